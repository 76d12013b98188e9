/**
 * What the mesh says about one kind of workload: where its calls go, and who may call it. Made
 * from the same listeners, routes, clusters and endpoints that a sidecar of that workload gets, so
 * that a rule means the same however the call travels.
 */
import type {
  AccessLogTarget,
  Cluster,
  Endpoints,
  HttpConnectionManager,
  Listener,
  RequestView,
  ResourceSet,
} from '@weft/model'
import {
  type CompiledRoute,
  type CompiledRouteTable,
  canonicalPath,
  compileRouteTable,
  matchRoute,
} from '@weft/traffic'
import { type GateRoute, type GateRules, readGateRules } from './gate-rules.ts'

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
  /** What the workload asks of those who call it so. */
  inbound(request: RequestView): GateRules
  /** Applications read this path of a call in several ways, and its listener lets no such in. */
  refusesPath(path: string): boolean
  /** Where lines of the access log go, of calls to it and of its own. */
  readonly logs: {
    readonly inbound: readonly AccessLogTarget[]
    readonly outbound: readonly AccessLogTarget[]
  }
  /** What its own listener asks of its calls by this route. */
  outbound(route: CompiledRoute): GateRules
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
  return {
    routes: table && compileRouteTable(table),
    clusterOf(name) {
      const model = set.cluster.get(name)
      return model && { model, endpoints: endpointsOf(model, set) }
    },
    inbound: inboundRulesOf(inbound, rulesByRoute(inbound)),
    refusesPath: (path) =>
      inbound?.escapedSlashes === 'reject' && canonicalPath(path, inbound) === undefined,
    logs: { inbound: inbound?.accessLogs ?? [], outbound: outbound?.accessLogs ?? [] },
    outbound: rulesByRoute(outbound),
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

const NO_ROUTE: GateRoute = {
  source: { name: '', action: { kind: 'respond', status: 404, body: '' } },
  overrides: {},
}

/** What a listener asks by a route of its, read once for each. */
function rulesByRoute(
  manager: HttpConnectionManager | undefined,
): (route: CompiledRoute) => GateRules {
  const known = new Map<CompiledRoute, GateRules>()
  return (route) => {
    let rules = known.get(route)
    if (rules === undefined) {
      const { source, virtualHost } = route
      const overrides = { ...virtualHost.source.filters, ...source.filters }
      rules = readGateRules(manager, { source, overrides })
      known.set(route, rules)
    }
    return rules
  }
}

/** What goes to the application has one route, unless policies tell apart what is asked of it. */
function inboundRulesOf(
  manager: HttpConnectionManager | undefined,
  rulesOf: (route: CompiledRoute) => GateRules,
): WorkloadPolicy['inbound'] {
  const withoutRoute = readGateRules(manager, NO_ROUTE)
  if (manager?.routes.kind !== 'inline') return () => withoutRoute
  const table = compileRouteTable(manager.routes.table)
  return (request) => {
    const decision = matchRoute(table, request)
    return decision.kind === 'matched' ? rulesOf(decision.route) : withoutRoute
  }
}
