/** Sessions that policies ask for on routes to a service, and the filter that listeners need for any. */
import type { FilterChain, Listener, Route, RouteTable } from '@weft/model'
import type { ProxyScope } from '../scope.ts'

/**
 * XBackendTrafficPolicy: requests to its Service stay with one endpoint, unless the
 * route itself says how. Tables without such a route stay the same objects.
 */
export function withBackendSessions(
  { snapshot, cache }: ProxyScope,
  tables: readonly RouteTable[],
): readonly RouteTable[] {
  const { traffic } = snapshot.backendPolicies
  if (![...traffic.values()].some(({ session }) => session !== undefined)) return tables
  const sessionFor = ({ action, filters }: Route) => {
    if (action.kind !== 'forward' || filters?.session !== undefined) return undefined
    const [, , , host = ''] = action.targets[0].cluster.split('|')
    return traffic.get(host)?.session
  }
  return tables.map((table) =>
    cache.get(`sessions ${table.name}`, [table, traffic], () => {
      const virtualHosts = table.virtualHosts.map((host) => ({
        ...host,
        routes: host.routes.map((route) => {
          const session = sessionFor(route)
          return session === undefined
            ? route
            : { ...route, filters: { ...route.filters, session } }
        }),
      }))
      return keepsSessions({ ...table, virtualHosts }) ? { ...table, virtualHosts } : table
    }),
  )
}

/** Listeners whose routes keep sessions get the filter; the others stay the same objects. */
export function withSessionFilter(
  listeners: readonly Listener[],
  tables: readonly RouteTable[],
): readonly Listener[] {
  const keeping = new Set(tables.filter(keepsSessions).map(({ name }) => name))
  if (keeping.size === 0) return listeners
  return listeners.map((listener) => {
    const { filterChains, defaultFilterChain } = listener
    const chains = filterChains.map((chain) => withFilter(chain, keeping))
    const fallback =
      defaultFilterChain === undefined ? undefined : withFilter(defaultFilterChain, keeping)
    const isSame =
      fallback === defaultFilterChain && chains.every((chain, i) => chain === filterChains[i])
    if (isSame) return listener
    return {
      ...listener,
      filterChains: chains,
      ...(fallback === undefined ? {} : { defaultFilterChain: fallback }),
    }
  })
}

function keepsSessions({ virtualHosts }: RouteTable): boolean {
  return virtualHosts.some(({ routes }) => routes.some((one) => one.filters?.session !== undefined))
}

function withFilter(chain: FilterChain, keeping: ReadonlySet<string>): FilterChain {
  const { filter } = chain
  if (filter.kind !== 'http' || filter.routes.kind !== 'rds') return chain
  if (!keeping.has(filter.routes.name)) return chain
  if (filter.filters.some(({ kind }) => kind === 'statefulSession')) return chain
  return {
    ...chain,
    filter: { ...filter, filters: [...filter.filters, { kind: 'statefulSession' }] },
  }
}
