/**
 * What of a workload's configuration its sidecar in the broker goes by. All of it, but for three
 * things that are the broker's:
 *
 * - Who dials in does not get a forward proxy to whatever the broker can reach: clusters that go
 *   where a request says are left out unless a service is declared that way.
 * - Who may call a service that speaks RSocket, and how often, is judged by the broker, which knows
 *   service and method; the sidecar says by certificate who asks.
 * - Behind the sidecar is the broker, not the application: it is told which workload the caller's
 *   proxy says it is, for metrics.
 */
import type {
  FilterChain,
  HttpConnectionManager,
  HttpFilterName,
  Listener,
  ResourceSet,
  Route,
  RouteTable,
  WeightedTarget,
} from '@weft/model'
import { PEER_HEADER } from '@weft/telemetry'
import type { WorkloadKind } from './workload-feeds.ts'

/** `x-weft-peer` as the sidecar hands it on, which takes that one out. */
export const CALLER_HEADER = 'x-weft-caller'

export function forSidecar(
  set: ResourceSet,
  { isHttp }: Pick<WorkloadKind, 'isHttp'>,
): ResourceSet {
  const cluster = new Map(
    [...set.cluster].filter(([, { discovery, service }]) => {
      const isAnywhere = discovery.kind === 'forwardProxy' || discovery.kind === 'originalDst'
      return !isAnywhere || service !== undefined
    }),
  )
  const listener = new Map([...set.listener].map(([name, one]) => [name, changed(one, isHttp)]))
  return { ...set, cluster, listener }
}

/** See `Gate`. */
const JUDGED_BY_BROKER: ReadonlySet<HttpFilterName> = new Set([
  'rbac',
  'jwtAuthn',
  'localRateLimit',
  'rateLimit',
])

/** By listener, so that one that is the same stays the same. */
const known = new WeakMap<Listener, Listener>()

function changed(listener: Listener, isHttp: boolean): Listener {
  if (listener.direction !== 'inbound') return listener
  let made = known.get(listener)
  if (made === undefined) {
    const filterChains = listener.filterChains.map((chain) => changedChain(chain, isHttp))
    made = { ...listener, filterChains }
    known.set(listener, made)
  }
  return made
}

function changedChain(chain: FilterChain, isHttp: boolean): FilterChain {
  const { filter } = chain
  if (filter.kind !== 'http') return chain
  const filters = isHttp
    ? filter.filters
    : filter.filters.filter(({ kind }) => !JUDGED_BY_BROKER.has(kind))
  return { ...chain, filter: { ...filter, filters, routes: tellingCaller(filter.routes) } }
}

function tellingCaller(routes: HttpConnectionManager['routes']): HttpConnectionManager['routes'] {
  if (routes.kind !== 'inline') return routes
  const { table } = routes
  const virtualHosts = table.virtualHosts.map((host) => ({
    ...host,
    routes: host.routes.map(routeTelling),
  }))
  return { ...routes, table: { ...table, virtualHosts } satisfies RouteTable }
}

function routeTelling(route: Route): Route {
  if (route.action.kind !== 'forward') return route
  const [first, ...more] = route.action.targets
  const targets = [targetTelling(first), ...more.map(targetTelling)] as const
  return { ...route, action: { ...route.action, targets } }
}

function targetTelling(target: WeightedTarget): WeightedTarget {
  const { requestHeaders } = target
  const told = { name: CALLER_HEADER, value: `%REQ(${PEER_HEADER})%` }
  return { ...target, requestHeaders: { ...requestHeaders, set: [...requestHeaders.set, told] } }
}
