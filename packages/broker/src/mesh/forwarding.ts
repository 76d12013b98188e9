/**
 * What a matched route comes to for a call whose responder has dialled in:
 *
 *     timeouts ─► weighted target ─► cluster: limits, balancing ─► a leg that lets the caller in
 *                                                └─ again, as the route's retry policy says
 */
import { type RequestView, type RetryPolicy, SAFE_RETRY } from '@weft/model'
import {
  type CompiledForward,
  type CompiledRoute,
  type CompiledTarget,
  hashRequest,
  type MatchedDecision,
  pickTarget,
  redirectLocation,
  timeoutsOf,
} from '@weft/traffic'
import type { Leg } from '../leg.ts'
import type { RequestCall } from '../request-call.ts'
import type { CallObserver, CallWatch, ForwardVerdict, Refusal, RouteVerdict } from '../router.ts'
import { Admission, type AdmissionCall, gateCallOf, refusalOf } from './admission.ts'
import type { BrokerCluster, Wish } from './broker-cluster.ts'
import { type ChangeDeps, changesOf, copyVerdict, needsChanges } from './call-changes.ts'
import type { CallLogs, HeardAnswer } from './call-logs.ts'
import type { CallMetrics } from './call-metrics.ts'
import type { Gate, GateCall, Judgement } from './gate.ts'
import type { Gates } from './gates.ts'
import { GlobalTokens } from './global-tokens.ts'
import { changedAnswer, headerContextOf } from './http-head.ts'
import type { CallerClusters, MeshClusters } from './mesh-clusters.ts'
import type { Mirrors } from './mirrors.ts'
import { httpAnswer, ownAnswer, refused } from './own-answer.ts'
import { withoutUsedToken } from './shown-token.ts'
import { type WatchDeps, WatchedCall } from './watched-call.ts'
import type { WorkloadFeeds, WorkloadKind } from './workload-feeds.ts'
import type { WorkloadPolicy } from './workload-policy.ts'

export interface ForwardingDeps extends WatchDeps {
  readonly feeds: WorkloadFeeds
  readonly clusters: MeshClusters
  readonly gates: Gates
  readonly mirrors: Mirrors
  readonly metrics: CallMetrics
  readonly logs: CallLogs
}

/** One call on the way to its verdict. */
export interface RoutedCall {
  readonly leg: Leg
  readonly kind: WorkloadKind
  readonly call: RequestCall
  /** The call as rules see it. */
  readonly request: RequestView
  readonly policy: WorkloadPolicy
  /** Limits that others count are in its way. */
  readonly tokens?: GlobalTokens
}

/** Such a request may be repeated although its route says nothing of it. */
const RETRY_FIELDS = ['x-envoy-retry-on', 'x-envoy-retry-grpc-on', 'x-envoy-max-retries']

export class Forwarding {
  readonly #deps: ForwardingDeps

  constructor(deps: ForwardingDeps) {
    this.#deps = deps
  }

  /** @param refusal What the caller's own listener says of it, see `askOwn`. */
  follow(
    routed: RoutedCall,
    { route }: MatchedDecision,
    refusal: Refusal | undefined,
  ): RouteVerdict {
    const { call, request } = routed
    const { action } = route
    if (action.kind === 'respond') return ownAnswer(call, action.source.status, action.source.body)
    if (action.kind === 'redirect') {
      return call.isHttp
        ? httpAnswer(action.source.status, '', [['location', redirectLocation(action, request)]])
        : refused('WEFT-404 a redirect has no form in RSocket')
    }
    const verdict = this.#forward(routed, action, route)
    if (refusal === undefined) return verdict
    const { watch: _, ...rest } = verdict
    return { ...rest, isLasting: false, pick: () => refusal }
  }

  /** Keys that have to come before anybody can judge the call; undefined: none. */
  keysFor(routed: RoutedCall, { route }: MatchedDecision): Promise<unknown> | undefined {
    if (route.action.kind !== 'forward') return undefined
    const { call, request } = routed
    const token = { request, fieldLines: (name: string) => call.fieldLines(name) }
    const pending = this.#gatesOf(routed, route.action).flatMap(([gate]) => gate.pending(token))
    return pending.length === 0 ? undefined : Promise.all(pending)
  }

  /** Of those who may answer, where they see to each call. */
  #gatesOf(
    { kind, policy, request }: RoutedCall,
    { targets }: CompiledForward,
  ): readonly (readonly [Gate, WorkloadKind])[] {
    const { clusters, gates } = this.#deps
    const mine = clusters.of(kind, policy)
    const found: (readonly [Gate, WorkloadKind])[] = []
    for (const { cluster } of targets) {
      for (const each of mine.get(cluster)?.kinds ?? []) {
        const rules = each.opened?.policy?.inbound(request)
        const gate = rules && gates.of(rules, each)
        if (gate?.changesHeads === true) found.push([gate, each])
      }
    }
    return found
  }

  /** What others will count of the call; undefined: nothing. */
  tokensFor(routed: RoutedCall, { route }: MatchedDecision): GlobalTokens | undefined {
    const { action } = route
    if (action.kind !== 'forward') return undefined
    const { gates } = this.#deps
    const isCounted =
      gates.of(routed.policy.outbound(route), routed.kind).asksOthers ||
      this.#gatesOf(routed, action).some(([gate]) => gate.asksOthers)
    return isCounted ? new GlobalTokens(gates.leases) : undefined
  }

  /** What the caller's own listener says of it. */
  askOwn(routed: RoutedCall, { route }: MatchedDecision): Refusal | undefined {
    const gate = this.#ownGate(routed, route)
    if (route.action.kind !== 'forward' || gate.isOpen) return undefined
    const [asked, judgement] = this.#judgeOwn(routed, gate)
    const refusal = judgement.refusal ?? gate.limit(asked, judgement, [])
    return refusal && refusalOf(refusal, routed)
  }

  /** What who counts for its listener says of it. */
  async countOwn(routed: RoutedCall, { route }: MatchedDecision): Promise<Refusal | undefined> {
    const gate = this.#ownGate(routed, route)
    const tokens = new GlobalTokens(this.#deps.gates.leases)
    const checks = gate.asksOthers ? gate.globalChecks(...this.#judgeOwn(routed, gate)) : []
    await tokens.prepare(checks)
    for (const check of checks) {
      const { refusal } = tokens.take(check)
      if (refusal !== undefined) return refusalOf(refusal, routed)
    }
    return undefined
  }

  /** Asks who counts for those who may answer. */
  async countOthers(routed: RoutedCall, { route }: MatchedDecision): Promise<void> {
    if (route.action.kind !== 'forward' || routed.tokens === undefined) return
    const checks = this.#gatesOf(routed, route.action).flatMap(([gate, kind]) =>
      this.#admission(routed, route).checksFor(kind, gate),
    )
    await routed.tokens.prepare(checks)
  }

  #ownGate({ policy, kind }: RoutedCall, route: CompiledRoute): Gate {
    return this.#deps.gates.of(policy.outbound(route), kind)
  }

  #judgeOwn({ leg, call, request }: RoutedCall, gate: Gate): [GateCall, Judgement] {
    const asked = gateCallOf(leg, call, request, leg.socket.remoteAddress)
    return [asked, gate.judge(asked)]
  }

  /** For refusals of who would answer: the route changes those answers, too. */
  #answerOf(
    { leg, call, request }: RoutedCall,
    { action, source }: CompiledRoute,
    target?: CompiledTarget,
  ): Pick<AdmissionCall, 'call' | 'changeAnswer'> {
    if (!call.isHttp || action.kind !== 'forward') return { call }
    const { responseHeaders, cluster } = target ?? action.targets[0]
    if (responseHeaders.length === 0) return { call }
    const nowMs = this.#deps.wallMs()
    const facts = { routeName: source.name, clusterName: cluster, nowMs }
    return {
      call,
      changeAnswer: (head) =>
        changedAnswer(head, responseHeaders, headerContextOf(leg, request, facts, head)),
    }
  }

  #forward(routed: RoutedCall, action: CompiledForward, route: CompiledRoute): ForwardVerdict {
    const { leg, call, request, kind, policy } = routed
    const { random, clusters } = this.#deps
    const mine = clusters.of(kind, policy)
    const wish = wishOf(routed, action)
    const { requestMs, perTryMs } = timeoutsOf(action.source, request, 0, true)
    const timeoutMs = shortest(requestMs, call.timeoutMs)
    const retry = action.source.retry
    const isSeenTo = this.#gatesOf(routed, action).length > 0
    const isChanged = call.isHttp && (isSeenTo || needsChanges(action))
    const heard = isChanged ? { head: undefined, handedOn: undefined } : undefined
    const rest = {
      kind: 'forward' as const,
      retries: retriesOf(retry, request),
      observer: this.#observer(routed, action, route, heard),
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
    }
    const isWatched =
      action.repeats ||
      perTryMs > 0 ||
      asksForRepeats(request) ||
      action.targets.some(({ cluster }) => mine.get(cluster)?.isWatched === true)
    const begin = (cluster: string, admission: Admission): CallWatch =>
      this.#watch(routed, mine.get(cluster), wish, retry, perTryMs, admission)
    if (isChanged) {
      const target = pickTarget(action, random)
      const { cluster } = target
      const routeName = route.source.name
      const admission = this.#admission(routed, route, target)
      return {
        ...rest,
        isLasting: false,
        pick: (tried) => this.#pick(mine, cluster, wish, admission, tried),
        changes: changesOf(
          { leg, request, action, target, routeName, admission, heard },
          this.#changeDeps(routed, mine, wish, admission),
        ),
        ...(isWatched ? { watch: () => begin(cluster, admission) } : {}),
      }
    }
    const admission = this.#admission(routed, route)
    return {
      ...rest,
      // Faults are rolled for each call, and tokens expire.
      isLasting:
        route.source.fault === undefined && !isSeenTo && this.#ownGate(routed, route).isOpen,
      pick: (tried) => this.#pick(mine, pickTarget(action, random).cluster, wish, admission, tried),
      ...changesOfToken(call, isSeenTo, admission),
      ...(isWatched ? { watch: () => begin(pickTarget(action, random).cluster, admission) } : {}),
    }
  }

  #observer(
    routed: RoutedCall,
    action: CompiledForward,
    route: CompiledRoute,
    heard: HeardAnswer | undefined,
  ): CallObserver {
    const { leg, kind, call, request, policy } = routed
    const { logs, metrics, clusters } = this.#deps
    const observer = metrics.observerOf({ caller: kind, peerHeader: undefined })
    const mine = clusters.of(kind, policy)
    const isLogged =
      policy.logs.outbound.length > 0 ||
      action.targets.some(({ cluster }) => mine.get(cluster)?.isLogged === true)
    if (!isLogged) return observer
    const { name: routeName } = route.source
    const cluster = onlyClusterOf(action)
    const { trace } = call
    return logs.observing({ leg, request, trace, policy, routeName, cluster, heard }, observer)
  }

  #admission(routed: RoutedCall, route: CompiledRoute, target?: CompiledTarget): Admission {
    const { leg, request, tokens } = routed
    const call = { leg, request, tokens, ...this.#answerOf(routed, route, target) }
    return new Admission(call, this.#deps)
  }

  #watch(
    { request }: RoutedCall,
    cluster: BrokerCluster | undefined,
    wish: Wish,
    retry: RetryPolicy | undefined,
    perTryMs: number,
    admission: Admission,
  ): CallWatch {
    if (cluster === undefined) return NOWHERE
    return new WatchedCall(
      {
        ...{ cluster, wish, request, retry, perTryMs },
        admit: (found) => admission.admit(found),
        onRepeat: () => admission.onRepeat(),
      },
      this.#deps,
    )
  }

  #changeDeps(
    routed: RoutedCall,
    mine: CallerClusters,
    wish: Wish,
    admission: Admission,
  ): ChangeDeps {
    const { random, wallMs, mirrors, metrics } = this.#deps
    return {
      ...{ random, wallMs },
      mirror: (frame, cluster) =>
        mirrors.send(
          frame,
          copyVerdict(
            (tried) => this.#pick(mine, cluster, wish, admission, tried),
            metrics.copyObserver(routed.kind),
          ),
        ),
    }
  }

  #pick(
    mine: CallerClusters,
    cluster: string,
    wish: Wish,
    admission: Admission,
    tried: readonly Leg[],
  ): Leg | Refusal | undefined {
    const found = mine.get(cluster)?.pickLeg(wish, tried)
    return found && admission.admit(found)
  }
}

/** Of a call in RSocket's own form: what it shows goes no further than to who verifies it. */
export function changesOfToken(
  { isHttp, credentials }: RequestCall,
  isSeenTo: boolean,
  admission: Admission,
): Pick<ForwardVerdict, 'changes'> {
  if (isHttp || !isSeenTo || credentials === undefined) return {}
  return { changes: { request: (frame) => withoutUsedToken(frame, admission.changes) } }
}

/** Of a cluster that does not exist. */
const NOWHERE: CallWatch = {
  perTryMs: 0,
  pick: () => undefined,
  onAnswer: () => -1,
  onFailure: () => -1,
  onEnd() {},
}

function wishOf({ leg, call, request }: RoutedCall, { source }: CompiledForward): Wish {
  const { hash } = hashRequest(source.hashPolicies, {
    request,
    sourceHost: leg.socket.remoteAddress.host,
    // Nobody could take it back to the caller: RSocket has no cookies.
    createCookieValue: () => '',
  })
  return { caller: leg, route: call.route, hash }
}

/** Undefined: one of several, by weight. */
function onlyClusterOf({ targets }: CompiledForward): string | undefined {
  return targets.length === 1 ? targets[0].cluster : undefined
}

/** How often a request is kept for another try. */
function retriesOf(retry: RetryPolicy | undefined, request: RequestView): number {
  const { attempts } = retry ?? SAFE_RETRY
  return asksForRepeats(request) ? Math.max(1, attempts) : attempts
}

function asksForRepeats(request: RequestView): boolean {
  return RETRY_FIELDS.some((name) => request.header(name) !== undefined)
}

/** 0 and absent mean no limit. */
function shortest(a: number, b: number | undefined): number | undefined {
  if (a === 0) return b
  return b === undefined ? a : Math.min(a, b)
}
