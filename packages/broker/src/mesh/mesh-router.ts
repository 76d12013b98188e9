/**
 * Routes under the mesh's policy. A call is a virtual HTTP request (`POST /<service>/<method>` to
 * the mesh host of whoever offers the service), and what decides is what decides for HTTP:
 *
 *     routes of the caller ─► fault ─► weighted target ─► endpoints ─► a leg behind one of them
 *                                                       authorization of that leg's workload
 */
import type { Clock, Logger } from '@weft/base'
import { PEER_HEADER } from '@weft/telemetry'
import {
  type FaultDecision,
  type FetchedKeys,
  type MatchedDecision,
  matchRoute,
  rollFault,
} from '@weft/traffic'
import { gsvServiceKey, RSOCKET_ERROR } from '@weft/wire'
import type { BrokerService } from '../broker-service.ts'
import type { BridgedCall } from '../http/bridge.ts'
import type { Leg } from '../leg.ts'
import { type PickDeps, pickLeg } from '../pick-leg.ts'
import type { Registry } from '../registry.ts'
import type { RequestCall } from '../request-call.ts'
import type { ForwardVerdict, Router, RouteVerdict } from '../router.ts'
import { Admission, withAuthority } from './admission.ts'
import type { CallLogs } from './call-logs.ts'
import type { CallMetrics } from './call-metrics.ts'
import { changesOfToken, Forwarding, type RoutedCall } from './forwarding.ts'
import { Gates, type GatesDeps } from './gates.ts'
import { GlobalTokens } from './global-tokens.ts'
import { withFieldChanges } from './http-head.ts'
import { MeshClusters } from './mesh-clusters.ts'
import type { Mirrors } from './mirrors.ts'
import { type NativeHost, nativeHost } from './native-hosts.ts'
import { asHttpRequest, authorityFor } from './native-out.ts'
import { leavesBroker, serviceOf } from './outside.ts'
import { ownAnswer, refused } from './own-answer.ts'
import type { WorkloadFeeds, WorkloadKind } from './workload-feeds.ts'
import type { WorkloadPolicy } from './workload-policy.ts'

export interface MeshRouterDeps extends PickDeps {
  readonly registry: Registry
  readonly service: BrokerService
  readonly feeds: WorkloadFeeds
  readonly mirrors: Mirrors
  readonly metrics: CallMetrics
  readonly logs: CallLogs
  readonly clock: Clock
  readonly log: Logger
  /** Wall clock. */
  readonly wallMs: () => number
  /** What a request of the HTTP bridge is for: its caller's proxy has routed it. */
  bridged(leg: Leg): BridgedCall | undefined
  /** The way to who did not dial in; undefined: the kind has none. */
  outside(kind: WorkloadKind): Leg | undefined
  /** The same for calls in RSocket's own form. */
  nativeOutside(kind: WorkloadKind): Leg | undefined
  /** Asks an issuer of tokens for its keys. */
  fetchKeys(uri: string, timeoutMs: number): Promise<FetchedKeys>
  /** Asks a gRPC service as the kind's sidecar would. */
  readonly askService: GatesDeps['askService']
  /** Resolves after so many milliseconds. */
  sleep(delayMs: number): Promise<void>
}

/** How long a call waits for the first configuration of its caller, in milliseconds. */
const CONFIGURATION_WAIT_MS = 5_000

/** By hash it would get past every rule that names the method. */
const METHOD_IN_TEXT: RouteVerdict = {
  kind: 'refuse',
  code: RSOCKET_ERROR.invalid,
  message: 'under policy a request names its method in text, not by hash alone',
}

export class MeshRouter implements Router {
  readonly #deps: MeshRouterDeps
  readonly #forwarding: Forwarding
  readonly #gates: Gates

  constructor(deps: MeshRouterDeps) {
    this.#deps = deps
    const { feeds, clock, log, random, wallMs, fetchKeys, askService } = deps
    const nowMs = () => deps.nowMs()
    const clusters = new MeshClusters({
      ...{ clock, nowMs, log, random },
      version: () => this.version,
      kindAt: (address) => feeds.kindAt(address),
    })
    this.#gates = new Gates({ clock, log, random, wallMs, nowMs, fetchKeys, askService })
    this.#forwarding = new Forwarding({ ...deps, clusters, nowMs, gates: this.#gates })
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
    if (call.isHashed) return METHOD_IN_TEXT
    const kind = this.#deps.feeds.kindOf(leg)
    if (kind === undefined) return refused('WEFT-503 the caller has no workload')
    const policy = kind.opened?.policy
    return policy === undefined
      ? this.#later(leg, call, kind)
      : this.#decide(leg, call, kind, policy)
  }

  /** To one of a kind, whatever the routes say. */
  #deliver(
    leg: Leg,
    call: RequestCall,
    { kind, isJudged }: BridgedCall,
  ): RouteVerdict | Promise<RouteVerdict> {
    const request = withAuthority(call, call.authority)
    const { feeds } = this.#deps
    const gates = this.#gates
    const rules = isJudged ? undefined : kind.opened?.policy?.inbound(request)
    const gate = rules && gates.of(rules, kind)
    const tokens = gate?.asksOthers === true ? new GlobalTokens(gates.leases) : undefined
    const admission = new Admission({ leg, call, request, tokens }, { feeds, gates })
    const keys = isJudged ? undefined : admission.keysOf(kind)
    const verdict: ForwardVerdict = {
      kind: 'forward',
      isLasting: false,
      retries: 1,
      observer: this.#deps.metrics.observerOf({
        caller: undefined,
        peerHeader: call.header(PEER_HEADER),
        principal: leg.facts.identity.principal,
      }),
      pick: (tried) => {
        const found = pickLeg([...kind.legs], tried, this.#deps)
        return isJudged ? found : found && admission.admit(found)
      },
      ...(call.isHttp && !isJudged
        ? { changes: { request: (frame) => withFieldChanges(frame, admission.changes) } }
        : changesOfToken(call, gate?.changesHeads === true, admission)),
    }
    if (gate === undefined || tokens === undefined) {
      return keys === undefined ? verdict : keys.then(() => verdict)
    }
    const counted = async () => {
      await keys
      await tokens.prepare(admission.checksFor(kind, gate))
      setImmediate(() => tokens.settle())
      return verdict
    }
    return counted()
  }

  /** The control plane has not spoken about this kind of caller yet. */
  async #later(leg: Leg, call: RequestCall, kind: WorkloadKind): Promise<RouteVerdict> {
    const ready = kind.feed.then((feed) => feed.ready())
    await Promise.race([ready, this.#deps.sleep(CONFIGURATION_WAIT_MS)])
    const policy = kind.opened?.policy
    return policy === undefined
      ? refused('WEFT-503 the control plane has not answered')
      : this.#decide(leg, call, kind, policy)
  }

  #decide(
    leg: Leg,
    call: RequestCall,
    kind: WorkloadKind,
    policy: WorkloadPolicy,
  ): RouteVerdict | Promise<RouteVerdict> {
    const found = call.isHttp ? undefined : this.#hostOf(kind, call, policy)
    if (found?.kind === 'none') return this.#leave(kind, call, policy)
    if (found?.kind === 'several') return severalOffer(call, found.namespaces)
    const host = found?.host ?? call.authority
    if (policy.routes === undefined) return refused('WEFT-404 the caller has no routes')
    const request = withAuthority(call, host)
    const decision = matchRoute(policy.routes, request)
    if (decision.kind !== 'matched') return refused(`WEFT-404 no route to ${host}`)
    const out = this.#wayOut(kind, call, decision, policy)
    if (out !== undefined) return out
    const routed = { leg, kind, call, request, policy }
    const keys = this.#forwarding.keysFor(routed, decision)
    const follow = () => this.#follow(routed, decision)
    return keys === undefined ? follow() : keys.then(follow)
  }

  #follow(routed: RoutedCall, decision: MatchedDecision): RouteVerdict | Promise<RouteVerdict> {
    const tokens = this.#forwarding.tokensFor(routed, decision)
    if (tokens !== undefined) return this.#followCounted({ ...routed, tokens }, decision)
    const refusal = this.#forwarding.askOwn(routed, decision)
    return this.#rollFault(routed, decision, this.#forwarding.follow(routed, decision, refusal))
  }

  /** The same where others count: first for the caller's own listener, then for who answers. */
  async #followCounted(
    routed: RoutedCall & { readonly tokens: GlobalTokens },
    decision: MatchedDecision,
  ): Promise<RouteVerdict> {
    const forwarding = this.#forwarding
    const refusal =
      forwarding.askOwn(routed, decision) ?? (await forwarding.countOwn(routed, decision))
    const verdict = forwarding.follow(routed, decision, refusal)
    if (refusal !== undefined) return verdict
    const rolled = await this.#rollFault(routed, decision, verdict)
    if (rolled.kind === 'forward') await forwarding.countOthers(routed, decision)
    setImmediate(() => routed.tokens.settle())
    return rolled
  }

  #rollFault(
    { call }: RoutedCall,
    { route }: MatchedDecision,
    verdict: RouteVerdict,
  ): RouteVerdict | Promise<RouteVerdict> {
    const fault = rollFault(route.source.fault, this.#deps.random)
    return fault === undefined ? verdict : this.#underFault(call, verdict, fault)
  }

  /** A call in RSocket's own form to what nobody offers here: the mesh may have it. */
  #leave(kind: WorkloadKind, call: RequestCall, policy: WorkloadPolicy): RouteVerdict {
    const { route } = call
    const nobody = refused(`WEFT-404 nobody offers ${gsvServiceKey(route)}`)
    // Groups, versions and channels have no form in HTTP.
    if (route.group !== '' || route.version !== '' || call.interaction === 'channel') return nobody
    const authority = authorityFor(policy, route.service)
    if (authority === undefined || policy.routes === undefined) return nobody
    const decision = matchRoute(policy.routes, withAuthority(call, authority))
    if (decision.kind !== 'matched') return nobody
    if (!leavesBroker(decision.route.action, policy, this.#deps.feeds)) return nobody
    const way = this.#deps.nativeOutside(kind)
    if (way === undefined) return nobody
    const { timeoutMs } = call
    return {
      ...this.#outward(kind, way, decision, policy),
      changes: { request: (frame) => asHttpRequest(frame, call, authority) },
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
    }
  }

  /** Undefined: whoever may answer has dialled in here. */
  #wayOut(
    caller: WorkloadKind,
    call: RequestCall,
    decision: MatchedDecision,
    policy: WorkloadPolicy,
  ): ForwardVerdict | undefined {
    const { feeds } = this.#deps
    if (!call.isHttp || !leavesBroker(decision.route.action, policy, feeds)) return undefined
    const way = this.#deps.outside(caller)
    return way && this.#outward(caller, way, decision, policy)
  }

  /** All of the route is the sidecar's. */
  #outward(
    caller: WorkloadKind,
    way: Leg,
    { route }: MatchedDecision,
    policy: WorkloadPolicy,
  ): ForwardVerdict {
    const { metrics } = this.#deps
    const service = serviceOf(route.action, policy)
    return {
      kind: 'forward',
      isLasting: false,
      retries: 0,
      observer:
        service === undefined
          ? metrics.observerOf({ caller, peerHeader: undefined })
          : metrics.outsideObserver(caller, service),
      pick: (tried) => (tried.length === 0 ? way : undefined),
    }
  }

  #hostOf({ workload }: WorkloadKind, call: RequestCall, policy: WorkloadPolicy): NativeHost {
    const { registry, feeds } = this.#deps
    const { route } = call
    let legs = registry.find(gsvServiceKey(route))
    if (legs.length === 0) {
      legs = registry.find(gsvServiceKey({ ...route, service: `${route.service}.${route.method}` }))
    }
    const kinds = legs.flatMap((each) => feeds.kindOf(each) ?? [])
    return nativeHost(kinds, workload.namespace, (host) => {
      if (policy.routes === undefined) return false
      const decision = matchRoute(policy.routes, withAuthority(call, host))
      return decision.kind === 'matched' && serviceOf(decision.route.action, policy) !== undefined
    })
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
}

function severalOffer({ route }: RequestCall, namespaces: readonly string[]): RouteVerdict {
  const key = gsvServiceKey(route)
  return refused(
    `WEFT-404 ${key} is offered in ${namespaces.join(' and ')}, not in the caller's namespace: exportTo or a Sidecar must leave one`,
  )
}
