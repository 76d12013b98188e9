/**
 * What the mesh says about one kind of workload: where its calls go, and who may call it. Made
 * from the same listeners, routes, clusters and endpoints that a sidecar of that workload gets, so
 * that a rule means the same however the call travels.
 */
import type {
  AccessLogTarget,
  Cluster,
  Endpoints,
  FilterOverrides,
  HttpConnectionManager,
  Listener,
  ResourceSet,
  Route,
} from '@weft/model'
import { type CompiledRouteTable, compileRouteTable } from '@weft/traffic'
import { type GateRules, readGateRules } from './gate-rules.ts'

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
  /** What the workload asks of those who call it. */
  readonly inbound: GateRules
  /** Where lines of the access log go, of calls to it and of its own. */
  readonly logs: {
    readonly inbound: readonly AccessLogTarget[]
    readonly outbound: readonly AccessLogTarget[]
  }
  /** What its own listener asks of its calls by this route. */
  outbound(route: Route): GateRules
}

/** @throws {ConfigError} For rules that cannot be understood: nothing is let in by them. */
export function buildWorkloadPolicy(set: ResourceSet): WorkloadPolicy {
  const managers = (direction: Listener['direction']) =>
    [...set.listener.values()]
      .filter((listener) => listener.direction === direction)
      .flatMap(({ filterChains }) => filterChains.map(({ filter }) => filter))
      .filter((filter): filter is HttpConnectionManager => filter.kind === 'http')
  const table = routeTableOf(managers('outbound')[0], set)
  // Chains of one listener differ in how bytes come in, not in who may call: one of them speaks.
  const [inbound] = managers('inbound')
  const [outbound] = managers('outbound')
  const ofRoutes = new Map<Route, GateRules>()
  return {
    routes: table && compileRouteTable(table),
    clusterOf(name) {
      const model = set.cluster.get(name)
      return model && { model, endpoints: endpointsOf(model, set) }
    },
    inbound: readGateRules(inbound, inboundOverrides(inbound)),
    logs: { inbound: inbound?.accessLogs ?? [], outbound: outbound?.accessLogs ?? [] },
    outbound(route) {
      let rules = ofRoutes.get(route)
      if (rules === undefined) {
        rules = readGateRules(outbound, route.filters ?? {})
        ofRoutes.set(route, rules)
      }
      return rules
    },
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

/** What goes to the application has one route, unless policies tell apart what is asked of it. */
function inboundOverrides(manager: HttpConnectionManager | undefined): FilterOverrides {
  if (manager?.routes.kind !== 'inline') return {}
  const [host] = manager.routes.table.virtualHosts
  return { ...host?.filters, ...host?.routes[0]?.filters }
}
