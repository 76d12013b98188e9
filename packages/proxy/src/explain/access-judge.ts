/**
 * What the guards of a filter chain would say of a call that nobody makes. The guards are the very
 * filters that a listener binds – tokens, external authorization, policies – over a chain as the
 * control plane sends it; nothing here decides.
 *
 *     connection rules ─► path ─► tokens ─► CUSTOM ─► DENY ─► ALLOW
 */
import { type Clock, silentLogger } from '@weft/base'
import type {
  FilterChain,
  HttpConnectionManager,
  HttpFilterConfig,
  Origin,
  RbacFilter,
  RbacRules,
} from '@weft/model'
import { createHandleTransport, TimerWheel } from '@weft/net'
import { type Caller, canonicalPath, decideRbac, explainRbac, parseJwt } from '@weft/traffic'
import type { EngineDeps, HttpRuntime } from '../exchange/contract.ts'
import { guardsOf } from '../filters/bound-filters.ts'
import type { FilterVerdict } from '../filters/http-filter.ts'
import { callerOf } from '../filters/rbac.ts'
import { becauseOf, compiledRbac, rbacStep } from '../filters/rbac-step.ts'
import { believingClaims, hasRemoteKeys, withClaims, withoutRemoteKeys } from './assumed-token.ts'
import {
  type ImaginedCall,
  ImaginedExchange,
  type ImaginedRequest,
  isReadable,
} from './imagined-call.ts'

export interface AccessCall extends ImaginedCall {
  /** Claims as if a matching issuer had signed them. */
  readonly claims?: Readonly<Record<string, unknown>>
  /** A token as it is. */
  readonly token?: string
}

export interface Judgement {
  /** `ask`: all the rest allows it, and a service of the operator's has the last word. */
  readonly decision: 'allow' | 'deny' | 'ask'
  /** Of an AuthorizationPolicy's rule, e.g. `ns[shop]-policy[a]-rule[0]`; absent: none decided. */
  readonly policy?: string
  readonly origins: readonly Origin[]
  /** For a person. */
  readonly because: string
  /** What the client gets when it is refused; absent: nothing, the connection is closed. */
  readonly status?: number
  /** As the access log has it. */
  readonly details?: string
  /** What was noticed on the way: rules on trial, keys that are not here. */
  readonly notes: readonly string[]
}

/** Binds a chain's guards once; a judge may be asked many times. */
export class AccessJudge {
  readonly #chain: FilterChain
  readonly #deps: EngineDeps
  readonly #runtimes = new Map<'claims' | 'tokens', HttpRuntime>()

  constructor(chain: FilterChain, clock: Clock) {
    this.#chain = chain
    this.#deps = {
      transport: createHandleTransport(),
      clock,
      wheel: new TimerWheel(clock),
      random: () => 0,
      log: silentLogger,
    }
  }

  /** The decision alone: many times as fast. */
  decide(call: AccessCall): Judgement['decision'] {
    const { filter, rbac = [] } = this.#chain
    const caller = connectionCaller(call)
    if (rbac.some(({ rules }) => isRefused(rules, caller))) return 'deny'
    const { request } = call
    if (filter.kind !== 'http' || request === undefined) return 'allow'
    const { sent, runtime } = this.#withTokens(call, request, filter)
    const path = pathOf(sent, runtime.manager)
    if (path === undefined) return 'deny'
    const exchange = new ImaginedExchange(call, sent, path)
    let decision: Judgement['decision'] = 'allow'
    for (const entry of guardsOf(this.#deps, runtime)) {
      if (entry.kind !== 'bound') continue
      const verdict = entry.filter.onRequest(exchange.call)
      if (verdict?.kind === 'reply') return 'deny'
      if (verdict?.kind === 'change') exchange.change(verdict.changes)
      if (verdict?.kind === 'wait') decision = 'ask'
    }
    return decision
  }

  judge(call: AccessCall): Judgement {
    const refused = this.#judgeConnection(call)
    if (refused !== undefined) return refused
    const { filter } = this.#chain
    const { request } = call
    if (filter.kind === 'http' && request !== undefined) return this.#judgeRequest(call, request)
    const caller = connectionCaller(call)
    const { rbac = [] } = this.#chain
    return allowedBy(rbac, caller, notesOf(rbac, caller))
  }

  #judgeConnection(call: AccessCall): Judgement | undefined {
    const { rbac = [] } = this.#chain
    const caller = connectionCaller(call)
    for (const one of rbac) {
      const { denial } = rbacStep(one, { kind: 'network', name: 'tcp' }, this.#deps).judge(caller)
      if (denial !== undefined) return deniedBy(one, caller, { details: denial })
    }
    return undefined
  }

  #judgeRequest(call: AccessCall, asked: ImaginedRequest): Judgement {
    const { filter } = this.#chain
    if (filter.kind !== 'http') throw new Error('Cannot judge a request: the chain carries bytes')
    const { sent, runtime, notes } = this.#withTokens(call, asked, filter)
    const path = pathOf(sent, runtime.manager)
    if (path === undefined) {
      const because = 'the path can be read in several ways, or not at all'
      return { decision: 'deny', origins: [], because, status: 400, notes }
    }
    const exchange = new ImaginedExchange(call, sent, path)
    const guards = guardsOf(this.#deps, runtime)
    let asks: Pick<Judgement, 'policy' | 'origins'> | undefined
    for (const { place, ...entry } of guards) {
      const config = runtime.manager.filters[place]
      if (entry.kind !== 'bound' || config === undefined) continue
      const caller = callerOf(exchange.call, runtime.manager)
      notes.push(...(config.kind === 'rbac' ? notesOf([config], caller) : []))
      const verdict = entry.filter.onRequest(exchange.call)
      if (verdict === undefined) continue
      if (verdict.kind === 'change') exchange.change(verdict.changes)
      if (verdict.kind === 'wait') asks = askedBy(runtime.manager.filters, place, caller)
      if (verdict.kind === 'reply') return refusal(config, verdict, caller, notes)
    }
    const caller = callerOf(exchange.call, runtime.manager)
    const rules = runtime.manager.filters.filter((one) => one.kind === 'rbac')
    const allowed = allowedBy(rules, caller, notes)
    return asks === undefined ? allowed : { ...allowed, ...asks, decision: 'ask' }
  }

  /** @returns Its runtime's keys are here, whatever the configuration says. */
  #withTokens(call: AccessCall, request: ImaginedRequest, manager: HttpConnectionManager) {
    const { filters } = manager
    const notes: string[] = []
    const assumed = call.claims ?? this.#claimsOfUnknownKey(call, filters, notes)
    if (assumed !== undefined) {
      const sent = withClaims(request, assumed, filters, this.#deps.clock.nowMs())
      if (!filters.some(({ kind }) => kind === 'jwtAuthn')) {
        notes.push('no RequestAuthentication holds here: nobody looks at tokens')
      }
      return { sent, runtime: this.#runtime('claims', manager, believingClaims), notes }
    }
    const fields =
      call.token === undefined
        ? request.fields
        : new Map([...request.fields, ['authorization', [`Bearer ${call.token}`]]])
    const sent = { ...request, fields }
    return { sent, runtime: this.#runtime('tokens', manager, withoutRemoteKeys), notes }
  }

  #claimsOfUnknownKey(
    { token }: AccessCall,
    filters: readonly HttpFilterConfig[],
    notes: string[],
  ): AccessCall['claims'] {
    if (token === undefined) return undefined
    const parsed = parseJwt(token)
    if (!parsed.ok || !hasRemoteKeys(filters, parsed.jwt.issuer)) return undefined
    notes.push('the signature of the token was not checked: its keys are at a URI')
    return parsed.jwt.payload
  }

  #runtime(
    name: 'claims' | 'tokens',
    manager: HttpConnectionManager,
    change: (filters: readonly HttpFilterConfig[]) => readonly HttpFilterConfig[],
  ): HttpRuntime {
    const known = this.#runtimes.get(name)
    if (known !== undefined) return known
    const runtime: HttpRuntime = {
      kind: 'http',
      listener: '',
      direction: 'inbound',
      manager: { ...manager, filters: change(manager.filters) },
      routes: undefined,
      clusters: new Map(),
      observer: { onExchangeEnd() {}, onConnectionEnd() {} },
    }
    this.#runtimes.set(name, runtime)
    return runtime
  }
}

function isRefused(rules: RbacRules | undefined, caller: Caller): boolean {
  return rules !== undefined && !decideRbac(compiledRbac(rules), caller).allowed
}

function connectionCaller(call: ImaginedCall): Caller {
  return {
    sourceIp: call.sourceIp,
    remoteIp: call.sourceIp,
    destinationIp: call.destinationIp,
    destinationPort: call.destinationPort,
    serverName: call.serverName,
    principals: call.principals,
  }
}

/** As it is judged and forwarded; `undefined`: refused before anybody judges. */
function pathOf(request: ImaginedRequest, manager: HttpConnectionManager): string | undefined {
  if (!isReadable(request)) return undefined
  return request.path.startsWith('/') ? canonicalPath(request.path, manager) : request.path
}

function refusal(
  config: HttpFilterConfig,
  { reply, details }: Extract<FilterVerdict, { kind: 'reply' }>,
  caller: Caller,
  notes: readonly string[],
): Judgement {
  const told = { status: reply.status, ...(details === undefined ? {} : { details }) }
  if (config.kind === 'rbac') return { ...deniedBy(config, caller, told), notes }
  const because = typeof reply.body === 'string' ? reply.body : (details ?? 'refused')
  return {
    decision: 'deny',
    origins: [],
    because: `the token is refused: ${because}`,
    ...told,
    notes,
  }
}

function deniedBy(
  { rules }: RbacFilter,
  caller: Caller,
  told: Pick<Judgement, 'status' | 'details'>,
): Judgement {
  if (rules === undefined) throw new Error('Cannot explain a refusal: the step has no rules')
  const compiled = compiledRbac(rules)
  const decision = decideRbac(compiled, caller)
  const found = rules.policies.find(({ name }) => name === decision.policy)
  const origins = found?.origins ?? rules.policies.flatMap(({ origins: all }) => all)
  const why = becauseOf(compiled, decision, caller)
  const because =
    decision.policy === undefined
      ? `no ALLOW policy matches: ${why}`
      : `a DENY policy matches: ${why}`
  return {
    decision: 'deny',
    origins,
    because,
    notes: [],
    ...told,
    ...(decision.policy === undefined ? {} : { policy: decision.policy }),
  }
}

/** The ALLOW rule that matched, where there is one. */
function allowedBy(
  steps: readonly RbacFilter[],
  caller: Caller,
  notes: readonly string[],
): Judgement {
  for (const { rules } of steps) {
    if (rules?.action !== 'allow') continue
    const compiled = compiledRbac(rules)
    const { policy } = decideRbac(compiled, caller)
    const matched = explainRbac(compiled, caller).find((one) => one.policy === policy)
    if (policy === undefined || matched === undefined) continue
    const because = `an ALLOW policy matches: ${becauseOf(compiled, { allowed: true, policy }, caller)}`
    return { decision: 'allow', policy, origins: matched.origins, because, notes }
  }
  const isJudged = steps.some(({ rules }) => rules !== undefined)
  const because = isJudged
    ? 'no DENY policy matches, and there is no ALLOW policy'
    : 'no AuthorizationPolicy holds here'
  return { decision: 'allow', origins: [], because, notes }
}

/** What policies on trial would have said. */
function notesOf(steps: readonly RbacFilter[], caller: Caller): readonly string[] {
  return steps.flatMap(({ shadowRules, shadowStatPrefix = '' }) => {
    if (shadowRules === undefined || !shadowStatPrefix.startsWith('istio_dry_run')) return []
    const { allowed, policy } = decideRbac(compiledRbac(shadowRules), caller)
    return allowed
      ? []
      : [`on trial: ${policy ?? 'no ALLOW policy on trial matches and it'} would deny`]
  })
}

/** Who is asked by the filter at a place: the shadow rules before it say which policy matched. */
function askedBy(
  filters: readonly HttpFilterConfig[],
  place: number,
  caller: Caller,
): Pick<Judgement, 'policy' | 'origins'> {
  for (const config of filters.slice(0, place).toReversed()) {
    if (config.kind !== 'rbac' || config.shadowRules === undefined) continue
    const { policy } = decideRbac(compiledRbac(config.shadowRules), caller)
    if (policy === undefined) continue
    const found = config.shadowRules.policies.find(({ name }) => name === policy)
    return { policy, origins: found?.origins ?? [] }
  }
  return { origins: [] }
}
