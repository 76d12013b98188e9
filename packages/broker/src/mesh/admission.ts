/**
 * Whether a call may go where it was routed: what the caller's own listener asks, then what the
 * workload asks that would answer, as its sidecar would. Made once per verdict; a verdict that is
 * kept asks again only what changes from call to call.
 */
import type { RequestView, SocketAddress } from '@weft/model'
import type { FieldChanges, GlobalLimitCheck, VerifiedToken } from '@weft/traffic'
import type { HttpResponseEntry } from '@weft/wire'
import { RSOCKET_ERROR } from '@weft/wire'
import type { Leg } from '../leg.ts'
import type { RequestCall } from '../request-call.ts'
import type { Refusal } from '../router.ts'
import { errorOfStatus } from './error-of-status.ts'
import type { Gate, GateCall, GateRefusal, Judgement } from './gate.ts'
import type { Gates } from './gates.ts'
import { GlobalTokens } from './global-tokens.ts'
import { httpAnswer } from './own-answer.ts'
import type { WorkloadFeeds, WorkloadKind } from './workload-feeds.ts'

export interface AdmissionDeps {
  readonly feeds: WorkloadFeeds
  readonly gates: Gates
}

export interface AdmissionCall {
  readonly leg: Leg
  readonly call: RequestCall
  /** The call as rules see it. */
  readonly request: RequestView
  /** Of limits that others count; absent: none was expected. */
  readonly tokens?: GlobalTokens | undefined
  /** What the route does to each answer. */
  changeAnswer?(head: HttpResponseEntry): HttpResponseEntry['fields']
}

/** As sidecars answer it. */
const SEVERAL_PATHS: GateRefusal = {
  status: 400,
  body: 'a path that applications read in several ways\n',
  headers: [],
  flag: '-',
}

const NOTHING_KNOWN: GateRefusal = {
  status: 403,
  body: 'RBAC: access denied',
  headers: [],
  flag: '-',
}

export class Admission {
  readonly #call: AdmissionCall
  readonly #deps: AdmissionDeps
  /** What the answer is to say of limits. */
  readonly stamps: (readonly [name: string, value: string])[] = []
  #gate: Gate | undefined
  #gateCall: GateCall | undefined
  #judgement: Judgement | undefined
  #ownTokens: GlobalTokens | undefined

  constructor(call: AdmissionCall, deps: AdmissionDeps) {
    this.#call = call
    this.#deps = deps
  }

  /** The responder, or why it must not be asked. */
  admit(responder: Leg): Leg | Refusal {
    const { feeds, gates } = this.#deps
    const kind = feeds.kindOf(responder)
    const feed = kind?.opened
    // Who cannot be judged is not let in.
    if (kind === undefined || feed?.policy === undefined) return this.#refuse(NOTHING_KNOWN)
    const { call, request } = this.#call
    if (call.isHttp && feed.policy.refusesPath(request.path)) {
      return { ...this.#refuse(SEVERAL_PATHS), by: responder }
    }
    const gate = gates.of(feed.policy.inbound(request), kind)
    if (gate.isOpen) {
      this.#judgement = undefined
      return responder
    }
    const [gateCall, judgement] = this.#judge(gate, feed.endpoint)
    this.stamps.length = 0
    const refusal =
      judgement.refusal ??
      gate.limit(gateCall, judgement, this.stamps) ??
      this.#count(gate.globalChecks(gateCall, judgement))
    return refusal === undefined ? responder : { ...this.#refuse(refusal), by: responder }
  }

  #judge(gate: Gate, endpoint: SocketAddress): [GateCall, Judgement] {
    if (gate !== this.#gate || this.#gateCall === undefined || this.#judgement === undefined) {
      const { leg, call, request } = this.#call
      this.#gate = gate
      this.#gateCall = gateCallOf(leg, call, request, endpoint)
      this.#judgement = gate.judge(this.#gateCall)
    }
    return [this.#gateCall, this.#judgement]
  }

  /** What others count of the call, if one of the kind gets it; nothing where it may not have it. */
  checksFor({ opened }: WorkloadKind, gate: Gate): readonly GlobalLimitCheck[] {
    if (!gate.asksOthers || opened === undefined) return []
    const [gateCall, judgement] = this.#judge(gate, opened.endpoint)
    return judgement.refusal === undefined ? gate.globalChecks(gateCall, judgement) : []
  }

  /** The call goes to somebody again: whoever counts is asked meanwhile. */
  onRepeat(): void {
    if (this.#gate?.asksOthers !== true) return
    if (this.#gateCall === undefined || this.#judgement === undefined) return
    void this.#tokens().prepare(this.#gate.globalChecks(this.#gateCall, this.#judgement))
  }

  #count(checks: readonly GlobalLimitCheck[]): GateRefusal | undefined {
    for (const check of checks) {
      const { refusal, headers } = this.#tokens().take(check)
      if (refusal !== undefined) return refusal
      this.stamps.push(...headers)
    }
    return undefined
  }

  #tokens(): GlobalTokens {
    this.#ownTokens ??= this.#call.tokens ?? new GlobalTokens(this.#deps.gates.leases)
    return this.#ownTokens
  }

  /** Keys that have to come before a kind can judge the call; undefined: none. */
  keysOf(kind: WorkloadKind): Promise<unknown> | undefined {
    const { call, request } = this.#call
    const rules = kind.opened?.policy?.inbound(request)
    if (rules === undefined || rules.tokens.length === 0) return undefined
    const token = { request, fieldLines: (name: string) => call.fieldLines(name) }
    const pending = this.#deps.gates.of(rules, kind).pending(token)
    return pending.length === 0 ? undefined : Promise.all(pending)
  }

  /** What the one that was admitted last does to the request's head before its application sees it. */
  get changes(): readonly FieldChanges[] {
    return this.#judgement?.changes ?? []
  }

  #refuse(refusal: GateRefusal): Refusal {
    return refusalOf(refusal, this.#call)
  }
}

/** HTTP callers get the sidecar's answer; others hear as little. */
export function refusalOf(
  { status, body, headers, flag, details }: GateRefusal,
  { call, changeAnswer }: Pick<AdmissionCall, 'call' | 'changeAnswer'>,
): Refusal {
  const code = errorOfStatus(status)
  const message =
    code === RSOCKET_ERROR.denied && status === 403 ? body : `WEFT-${status} ${body || details}`
  if (!call.isHttp) return { code, message, flag, status }
  const { head, ...answer } = httpAnswer(status, body, headers, changeAnswer)
  return { code, message, flag, status, answer, head }
}

/** A call as gates see it. */
export function gateCallOf(
  leg: Leg,
  call: RequestCall,
  request: RequestView,
  endpoint: SocketAddress,
): GateCall {
  const { principal } = leg.facts.identity
  const { host } = leg.socket.remoteAddress
  return {
    request,
    fieldLines: (name) => call.fieldLines(name),
    peerTokens: peerTokensOf(leg, call),
    connection: leg,
    caller: {
      sourceIp: host,
      remoteIp: host,
      destinationIp: endpoint.host,
      destinationPort: endpoint.port,
      serverName: undefined,
      principals: principal === undefined ? undefined : [principal],
    },
  }
}

/** RSocket: what SETUP shows holds for each request that shows nothing of its own. */
function peerTokensOf(leg: Leg, call: RequestCall): readonly VerifiedToken[] {
  const { claims } = leg.facts.identity
  if (call.isHttp || call.credentials !== undefined || claims === undefined) return []
  const { iss } = claims
  return typeof iss === 'string' ? [{ issuer: iss, payload: claims }] : []
}

/** The call as rules see it, for this host of the mesh. */
export function withAuthority(call: RequestCall, authority: string): RequestView {
  const { method, scheme, path } = call
  return { method, scheme, path, authority, header: (name) => call.header(name) }
}
