/** What the admin port sees of a running cluster. */
import type { ClusterStatus, HostStatus } from './admin/endpoint.ts'
import type { UpstreamCluster } from './upstream/cluster.ts'

export function clusterStatus(upstream: UpstreamCluster): ClusterStatus {
  return {
    cluster: upstream.model,
    inUse: upstream.limits.inUse(),
    hosts: upstream.hosts.map((host): HostStatus => {
      const { endpoint } = host
      return {
        address: endpoint.address,
        workload: endpoint.workload === undefined ? '' : endpoint.workload.name,
        weight: endpoint.weight,
        health: endpoint.health,
        ejected: host.ejected,
        failedCheck: host.failedCheck,
        activeRequests: host.activeRequests,
        activeConnections: upstream.connectionsOf(host),
      }
    }),
  }
}
