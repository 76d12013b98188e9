/**
 * What the mesh says about one kind of workload: where its calls go, and who may call it. Made
 * from the same listeners, routes, clusters and endpoints that a sidecar of that workload gets, so
 * that a rule means the same however the call travels.
 */
import type { Cluster, Endpoints, HttpConnectionManager, Listener, ResourceSet } from '@weft/model'
import {
  type Caller,
  type CompiledRbac,
  type CompiledRouteTable,
  compileRbac,
  compileRouteTable,
  decideRbac,
} from '@weft/traffic'

export interface ClusterResources {
  readonly model: Cluster
  /** Absent: nobody has said yet. */
  readonly endpoints: Endpoints | undefined
}

export interface WorkloadPolicy {
  /** Absent: the workload may call nobody by name. */
  readonly routes: CompiledRouteTable | undefined
  /** Undefined: there is no such cluster. */
  clusterOf(name: string): ClusterResources | undefined
  /** Why a call to this workload is refused, as the access log says it; undefined: it is not. */
  denial(caller: Caller): string | undefined
}

/** @throws {ConfigError} For rules that cannot be understood: nothing is let in by them. */
export function buildWorkloadPolicy(set: ResourceSet): WorkloadPolicy {
  const managers = (direction: Listener['direction']) =>
    [...set.listener.values()]
      .filter((listener) => listener.direction === direction)
      .flatMap(({ filterChains }) => filterChains.map(({ filter }) => filter))
      .filter((filter): filter is HttpConnectionManager => filter.kind === 'http')
  const table = routeTableOf(managers('outbound')[0], set)
  const rules = inboundRules(managers('inbound'))
  return {
    routes: table && compileRouteTable(table),
    clusterOf(name) {
      const model = set.cluster.get(name)
      return model && { model, endpoints: endpointsOf(model, set) }
    },
    denial: (caller) => denialOf(rules, caller),
  }
}

function routeTableOf(manager: HttpConnectionManager | undefined, set: ResourceSet) {
  if (manager === undefined) return undefined
  const { routes } = manager
  return routes.kind === 'inline' ? routes.table : set.route.get(routes.name)
}

function endpointsOf({ discovery }: Cluster, set: ResourceSet): Endpoints | undefined {
  if (discovery.kind === 'eds') return set.endpoints.get(discovery.name)
  return discovery.kind === 'static' ? discovery.endpoints : undefined
}

/** Chains of one listener differ in how bytes come in, not in who may call: one of them speaks. */
function inboundRules(managers: readonly HttpConnectionManager[]): readonly CompiledRbac[] {
  return (managers[0]?.filters ?? []).flatMap((filter) =>
    filter.kind === 'rbac' && filter.rules !== undefined ? [compileRbac(filter.rules)] : [],
  )
}

function denialOf(rules: readonly CompiledRbac[], caller: Caller): string | undefined {
  for (const each of rules) {
    const { allowed, policy } = decideRbac(each, caller)
    if (!allowed) return `rbac_access_denied_matched_policy[${policy ?? 'none'}]`
  }
  return undefined
}
