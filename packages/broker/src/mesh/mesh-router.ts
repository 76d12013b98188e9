/**
 * Routes under the mesh's policy. A call is a virtual HTTP request (`POST /<service>/<method>` to
 * the mesh host of whoever offers the service), and what decides is what decides for HTTP:
 *
 *     routes of the caller ─► fault ─► weighted target ─► endpoints ─► a leg behind one of them
 *                                                       authorization of that leg's workload
 */
import { type RequestView, SAFE_RETRY } from '@weft/model'
import { RetryTokens } from '@weft/rsocket/link'
import { PEER_HEADER } from '@weft/telemetry'
import {
  type Caller,
  type CallerRequest,
  type FaultDecision,
  type MatchedDecision,
  matchRoute,
  pickTarget,
  redirectLocation,
  rollFault,
} from '@weft/traffic'
import {
  gsvServiceKey,
  HTTP_ENTRY_MIME,
  RSOCKET_ERROR,
  renderComposite,
  renderHttpResponse,
} from '@weft/wire'
import type { BrokerService } from '../broker-service.ts'
import type { Leg } from '../leg.ts'
import { type PickDeps, pickLeg } from '../pick-leg.ts'
import type { Registry } from '../registry.ts'
import type { RequestCall } from '../request-call.ts'
import type { ForwardVerdict, Refusal, Router, RouteVerdict } from '../router.ts'
import { type ChangeDeps, changesOf, copyVerdict, needsChanges } from './call-changes.ts'
import type { CallMetrics } from './call-metrics.ts'
import { errorOfStatus } from './error-of-status.ts'
import type { Mirrors } from './mirrors.ts'
import type { WorkloadFeeds, WorkloadKind } from './workload-feeds.ts'
import type { WorkloadPolicy } from './workload-policy.ts'

export interface MeshRouterDeps extends PickDeps {
  readonly registry: Registry
  readonly service: BrokerService
  readonly feeds: WorkloadFeeds
  readonly mirrors: Mirrors
  readonly metrics: CallMetrics
  /** Wall clock. */
  readonly wallMs: () => number
  /** The kind that a request of the HTTP bridge is for: its caller's proxy has routed it. */
  bridged(leg: Leg): WorkloadKind | undefined
  /** Resolves after so many milliseconds. */
  sleep(delayMs: number): Promise<void>
}

/** How long a call waits for the first configuration of its caller, in milliseconds. */
const CONFIGURATION_WAIT_MS = 5_000

export class MeshRouter implements Router {
  readonly #deps: MeshRouterDeps
  readonly #retries = new RetryTokens()

  constructor(deps: MeshRouterDeps) {
    this.#deps = deps
  }

  get version(): number {
    return this.#deps.registry.version + this.#deps.feeds.version
  }

  route(leg: Leg, call: RequestCall): RouteVerdict | Promise<RouteVerdict> {
    const copy = this.#deps.mirrors.verdictFor(leg)
    if (copy !== undefined) return copy
    const own = this.#deps.service.answer(leg, call)
    if (own !== undefined) return own
    const target = this.#deps.bridged(leg)
    if (target !== undefined) return this.#deliver(leg, call, target)
    const kind = this.#deps.feeds.kindOf(leg)
    if (kind === undefined) return refused('WEFT-503 the caller has no workload')
    const policy = kind.opened?.policy
    return policy === undefined ? this.#later(leg, call, kind) : this.#decide(leg, call, policy)
  }

  /** To one of a kind, whatever the routes say. */
  #deliver(leg: Leg, call: RequestCall, kind: WorkloadKind): RouteVerdict {
    const request = withAuthority(call, call.authority)
    return {
      kind: 'forward',
      isLasting: false,
      retries: 1,
      observer: this.#deps.metrics.observerOf({
        caller: undefined,
        peerHeader: call.header(PEER_HEADER),
      }),
      pick: (tried) => {
        const found = pickLeg([...kind.legs], tried, this.#deps)
        return found && this.#admit(leg, found, request)
      },
    }
  }

  #admit(caller: Leg, responder: Leg, request: RequestView): Leg | Refusal {
    const denial = denialOf(caller, responder, request, this.#deps.feeds)
    return denial === undefined ? responder : { code: RSOCKET_ERROR.denied, message: denial }
  }

  /** The control plane has not spoken about this kind of caller yet. */
  async #later(leg: Leg, call: RequestCall, kind: WorkloadKind): Promise<RouteVerdict> {
    const ready = kind.feed.then((feed) => feed.ready())
    await Promise.race([ready, this.#deps.sleep(CONFIGURATION_WAIT_MS)])
    const policy = kind.opened?.policy
    return policy === undefined
      ? refused('WEFT-503 the control plane has not answered')
      : this.#decide(leg, call, policy)
  }

  #decide(
    leg: Leg,
    call: RequestCall,
    policy: WorkloadPolicy,
  ): RouteVerdict | Promise<RouteVerdict> {
    const host = call.isHttp ? call.authority : this.#hostOf(leg, call)
    if (host === undefined) return refused(`WEFT-404 nobody offers ${gsvServiceKey(call.route)}`)
    if (policy.routes === undefined) return refused('WEFT-404 the caller has no routes')
    this.#retries.onRequest()
    const request = withAuthority(call, host)
    const decision = matchRoute(policy.routes, request)
    if (decision.kind !== 'matched') return refused(`WEFT-404 no route to ${host}`)
    const verdict = this.#follow(leg, call, request, decision, policy)
    const fault = rollFault(decision.route.source.fault, this.#deps.random)
    return fault === undefined ? verdict : this.#underFault(call, verdict, fault)
  }

  /** The mesh host of who offers the service: in the caller's namespace, else wherever it is. */
  #hostOf(leg: Leg, call: RequestCall): string | undefined {
    const { registry, feeds } = this.#deps
    const { route } = call
    let legs = registry.find(gsvServiceKey(route))
    if (legs.length === 0) {
      legs = registry.find(gsvServiceKey({ ...route, service: `${route.service}.${route.method}` }))
    }
    const kinds = legs.flatMap((each) => feeds.kindOf(each) ?? [])
    const near = feeds.kindOf(leg)?.workload.namespace
    const found = kinds.find(({ workload }) => workload.namespace === near) ?? kinds[0]
    const [service] = found?.services ?? []
    if (found === undefined || service === undefined) return undefined
    return `${service.name}.${found.workload.namespace}:${service.port}`
  }

  async #underFault(
    call: RequestCall,
    verdict: RouteVerdict,
    fault: FaultDecision,
  ): Promise<RouteVerdict> {
    if (fault.delayMs > 0) await this.#deps.sleep(fault.delayMs)
    if (fault.abort === undefined) return verdict
    return ownAnswer(call, fault.abort.status, 'fault filter abort')
  }

  #follow(
    leg: Leg,
    call: RequestCall,
    request: RequestView,
    { route }: MatchedDecision,
    policy: WorkloadPolicy,
  ): RouteVerdict {
    const { action } = route
    if (action.kind === 'respond') return ownAnswer(call, action.source.status, action.source.body)
    if (action.kind === 'redirect') {
      return call.isHttp
        ? httpAnswer(action.source.status, '', [['location', redirectLocation(action, request)]])
        : refused('WEFT-404 a redirect has no form in RSocket')
    }
    const timeoutMs = shortest(action.source.timeoutMs, call.timeoutMs)
    const limits = {
      retries: (action.source.retry ?? SAFE_RETRY).attempts,
      observer: this.#deps.metrics.observerOf({
        caller: this.#deps.feeds.kindOf(leg),
        peerHeader: undefined,
      }),
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
    }
    const { random } = this.#deps
    if (call.isHttp && needsChanges(action)) {
      const target = pickTarget(action, random)
      const { cluster } = target
      const routeName = route.source.name
      const isWhole = call.interaction !== 'channel'
      return {
        kind: 'forward',
        isLasting: false,
        pick: (tried) => this.#pick(leg, request, cluster, policy, tried),
        changes: changesOf(
          { leg, request, action, target, routeName, isWhole },
          this.#changeDeps(leg, request, policy),
        ),
        ...limits,
      }
    }
    return {
      kind: 'forward',
      // Faults are rolled for each call, so a route that has one is looked at each time.
      isLasting: route.source.fault === undefined,
      pick: (tried) => this.#pick(leg, request, pickTarget(action, random).cluster, policy, tried),
      ...limits,
    } satisfies ForwardVerdict
  }

  #changeDeps(leg: Leg, request: RequestView, policy: WorkloadPolicy): ChangeDeps {
    const { random, wallMs, mirrors, metrics, feeds } = this.#deps
    return {
      ...{ random, wallMs },
      admitRetry: () => this.#retries.admit(),
      mirror: (frame, cluster) =>
        mirrors.send(
          frame,
          copyVerdict(
            (tried) => this.#pick(leg, request, cluster, policy, tried),
            metrics.copyObserver(feeds.kindOf(leg)),
          ),
        ),
    }
  }

  #pick(
    leg: Leg,
    request: RequestView,
    cluster: string,
    policy: WorkloadPolicy,
    tried: readonly Leg[],
  ): Leg | Refusal | undefined {
    const { feeds } = this.#deps
    const addresses = policy.addressesOf(cluster)
    const legs: Leg[] = []
    for (const address of addresses) {
      for (const each of feeds.kindAt(address)?.legs ?? []) legs.push(each)
    }
    const found = pickLeg(legs, tried, this.#deps)
    return found && this.#admit(leg, found, request)
  }
}

/** An answer of the broker's own: to HTTP callers it is one like any other, and final. */
function ownAnswer(call: RequestCall, status: number, body: string): RouteVerdict {
  if (call.isHttp) return httpAnswer(status, body, [])
  return status < 400
    ? { kind: 'answer', data: Buffer.from(body) }
    : { kind: 'refuse', code: errorOfStatus(status), message: `WEFT-${status} ${body}` }
}

function httpAnswer(
  status: number,
  text: string,
  more: readonly (readonly [string, string])[],
): RouteVerdict {
  const data = Buffer.from(text)
  const length = ['content-length', String(data.length)] as const
  const type = data.length === 0 ? [] : ([['content-type', 'text/plain']] as const)
  const content = renderHttpResponse({ status, fields: [...more, length, ...type] })
  return { kind: 'answer', data, metadata: renderComposite([{ mime: HTTP_ENTRY_MIME, content }]) }
}

/** The details are for the log; callers hear as little as HTTP callers do. */
function denialOf(
  caller: Leg,
  responder: Leg,
  request: RequestView,
  feeds: WorkloadFeeds,
): string | undefined {
  const policy = feeds.kindOf(responder)?.opened
  // Who cannot be judged is not let in.
  if (policy?.policy === undefined) return 'RBAC: access denied'
  const why = policy.policy.denial(callerOf(caller, policy.endpoint, request))
  return why === undefined ? undefined : 'RBAC: access denied'
}

function callerOf(
  leg: Leg,
  endpoint: { readonly host: string; readonly port: number },
  request: RequestView,
): Caller {
  const { principal } = leg.facts.identity
  const { host } = leg.socket.remoteAddress
  return {
    sourceIp: host,
    remoteIp: host,
    destinationIp: endpoint.host,
    destinationPort: endpoint.port,
    serverName: undefined,
    principals: principal === undefined ? undefined : [principal],
    request: callerRequest(request),
  }
}

function callerRequest(request: RequestView): CallerRequest {
  return {
    method: request.method,
    scheme: request.scheme,
    authority: request.authority,
    path: request.path,
    header: (name) => request.header(name),
    headerValues(name) {
      const value = request.header(name)
      return value === undefined ? [] : [value]
    },
    tokens: [],
  }
}

function withAuthority(call: RequestCall, authority: string): RequestView {
  const { method, scheme, path } = call
  return { method, scheme, path, authority, header: (name) => call.header(name) }
}

/** 0 and absent mean no limit. */
function shortest(a: number, b: number | undefined): number | undefined {
  if (a === 0) return b
  return b === undefined ? a : Math.min(a, b)
}

function refused(message: string): RouteVerdict {
  return { kind: 'refuse', code: RSOCKET_ERROR.rejected, message }
}
