/**
 * Who may be told who calls: requests to workloads of the mesh carry
 * `x-weft-peer`, requests to anybody else carry none, not even one that the
 * application made up. Done in the route table, because it depends on the target.
 */
import type { Endpoints, Route, RouteTable, WeightedTarget } from '@weft/model'
import { PEER_HEADER } from '@weft/telemetry'

/**
 * @param peer The header's value.
 * @param isMesh Whether a cluster, by name, is served by workloads of the mesh.
 */
export function stampPeer(
  table: RouteTable,
  peer: string,
  isMesh: (cluster: string) => boolean,
): RouteTable {
  // A percent sign begins a substitution in header values (Envoy's `%DOWNSTREAM_…%`).
  const stamp = { name: PEER_HEADER, value: peer.replaceAll('%', '%%') }
  const stampTarget = (target: WeightedTarget): WeightedTarget => {
    const changes = target.requestHeaders
    return {
      ...target,
      requestHeaders: isMesh(target.cluster)
        ? { ...changes, set: [...changes.set, stamp] }
        : { ...changes, remove: [...changes.remove, PEER_HEADER] },
    }
  }
  const stampRoute = (route: Route): Route => {
    if (route.action.kind !== 'forward') return route
    const [first, ...others] = route.action.targets
    const targets = [stampTarget(first), ...others.map(stampTarget)] as const
    return { ...route, action: { ...route.action, targets } }
  }
  return {
    ...table,
    virtualHosts: table.virtualHosts.map((host) => ({
      ...host,
      routes: host.routes.map(stampRoute),
    })),
  }
}

/** A cluster is of the mesh when one of its endpoints says which workload it is. */
export function isMeshCluster(endpoints: Endpoints | undefined): boolean {
  return (
    endpoints?.localities.some((locality) =>
      locality.endpoints.some(({ workload }) => workload !== undefined),
    ) ?? false
  )
}
