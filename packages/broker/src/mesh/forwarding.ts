/**
 * What a matched route comes to for a call whose responder has dialled in:
 *
 *     timeouts ─► weighted target ─► cluster: limits, balancing ─► a leg that lets the caller in
 *                                                └─ again, as the route's retry policy says
 */
import { type RequestView, type RetryPolicy, SAFE_RETRY } from '@weft/model'
import {
  type CompiledForward,
  hashRequest,
  type MatchedDecision,
  pickTarget,
  redirectLocation,
  timeoutsOf,
} from '@weft/traffic'
import type { Leg } from '../leg.ts'
import type { RequestCall } from '../request-call.ts'
import type { CallWatch, ForwardVerdict, Refusal, RouteVerdict } from '../router.ts'
import { admit } from './admission.ts'
import type { BrokerCluster, Wish } from './broker-cluster.ts'
import { type ChangeDeps, changesOf, copyVerdict, needsChanges } from './call-changes.ts'
import type { CallMetrics } from './call-metrics.ts'
import type { CallerClusters, MeshClusters } from './mesh-clusters.ts'
import type { Mirrors } from './mirrors.ts'
import { httpAnswer, ownAnswer, refused } from './own-answer.ts'
import { type WatchDeps, WatchedCall } from './watched-call.ts'
import type { WorkloadFeeds, WorkloadKind } from './workload-feeds.ts'
import type { WorkloadPolicy } from './workload-policy.ts'

export interface ForwardingDeps extends WatchDeps {
  readonly feeds: WorkloadFeeds
  readonly clusters: MeshClusters
  readonly mirrors: Mirrors
  readonly metrics: CallMetrics
}

/** One call on the way to its verdict. */
export interface RoutedCall {
  readonly leg: Leg
  readonly kind: WorkloadKind
  readonly call: RequestCall
  /** The call as rules see it. */
  readonly request: RequestView
  readonly policy: WorkloadPolicy
}

/** Such a request may be repeated although its route says nothing of it. */
const RETRY_FIELDS = ['x-envoy-retry-on', 'x-envoy-retry-grpc-on', 'x-envoy-max-retries']

export class Forwarding {
  readonly #deps: ForwardingDeps

  constructor(deps: ForwardingDeps) {
    this.#deps = deps
  }

  follow(routed: RoutedCall, { route }: MatchedDecision): RouteVerdict {
    const { call, request } = routed
    const { action } = route
    if (action.kind === 'respond') return ownAnswer(call, action.source.status, action.source.body)
    if (action.kind === 'redirect') {
      return call.isHttp
        ? httpAnswer(action.source.status, '', [['location', redirectLocation(action, request)]])
        : refused('WEFT-404 a redirect has no form in RSocket')
    }
    return this.#forward(routed, action, route.source.name, route.source.fault === undefined)
  }

  /** @param mayLast The route is nothing that is decided anew for each call. */
  #forward(
    routed: RoutedCall,
    action: CompiledForward,
    routeName: string,
    mayLast: boolean,
  ): ForwardVerdict {
    const { leg, call, request, kind, policy } = routed
    const { random, metrics, clusters } = this.#deps
    const mine = clusters.of(kind, policy)
    const wish = wishOf(routed, action)
    const { requestMs, perTryMs } = timeoutsOf(action.source, request, 0, true)
    const timeoutMs = shortest(requestMs, call.timeoutMs)
    const retry = action.source.retry
    const rest = {
      kind: 'forward' as const,
      retries: retriesOf(retry, request),
      observer: metrics.observerOf({ caller: kind, peerHeader: undefined }),
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
    }
    const isWatched =
      action.repeats ||
      perTryMs > 0 ||
      asksForRepeats(request) ||
      action.targets.some(({ cluster }) => mine.get(cluster)?.isWatched === true)
    const begin = (cluster: string): CallWatch =>
      this.#watch(routed, mine.get(cluster), wish, retry, perTryMs)
    if (call.isHttp && needsChanges(action)) {
      const target = pickTarget(action, random)
      const { cluster } = target
      const changed = { leg, request, action, target, routeName }
      return {
        ...rest,
        isLasting: false,
        pick: (tried) => this.#pick(routed, mine, cluster, wish, tried),
        changes: changesOf(changed, this.#changeDeps(routed, mine, wish)),
        ...(isWatched ? { watch: () => begin(cluster) } : {}),
      }
    }
    return {
      ...rest,
      isLasting: mayLast,
      pick: (tried) => this.#pick(routed, mine, pickTarget(action, random).cluster, wish, tried),
      ...(isWatched ? { watch: () => begin(pickTarget(action, random).cluster) } : {}),
    }
  }

  #watch(
    { leg, request }: RoutedCall,
    cluster: BrokerCluster | undefined,
    wish: Wish,
    retry: RetryPolicy | undefined,
    perTryMs: number,
  ): CallWatch {
    if (cluster === undefined) return NOWHERE
    const { feeds } = this.#deps
    return new WatchedCall(
      {
        ...{ cluster, wish, request, retry, perTryMs },
        admit: (found) => admit(leg, found, request, feeds),
      },
      this.#deps,
    )
  }

  #changeDeps(routed: RoutedCall, mine: CallerClusters, wish: Wish): ChangeDeps {
    const { random, wallMs, mirrors, metrics } = this.#deps
    return {
      ...{ random, wallMs },
      mirror: (frame, cluster) =>
        mirrors.send(
          frame,
          copyVerdict(
            (tried) => this.#pick(routed, mine, cluster, wish, tried),
            metrics.copyObserver(routed.kind),
          ),
        ),
    }
  }

  #pick(
    { leg, request }: RoutedCall,
    mine: CallerClusters,
    cluster: string,
    wish: Wish,
    tried: readonly Leg[],
  ): Leg | Refusal | undefined {
    const found = mine.get(cluster)?.pickLeg(wish, tried)
    return found && admit(leg, found, request, this.#deps.feeds)
  }
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
