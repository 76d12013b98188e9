/** The RSocket data plane. */

export { HELLO_MIME } from '@weft/wire'
export { type BrokerAdmin, openBrokerAdmin } from './admin/admin-server.ts'
export type { LeaseRow, LinkRow } from './admin/link-list.ts'
export { HttpAgent, type HttpAgentOptions, type HttpAgentStatus } from './agent/http-agent.ts'
export {
  type Authentication,
  type AuthenticationOptions,
  openAuthentication,
} from './auth/open-authentication.ts'
export { openServerTls } from './auth/server-tls.ts'
export { Broker, type BrokerDeps, type BrokerOptions, type DrainOptions } from './broker.ts'
export { drainCluster } from './cluster/drain-cluster.ts'
export { type Cluster, type ClusterSettings, createCluster } from './cluster/open-cluster.ts'
export type { BrokerRow } from './cluster/peer-broker.ts'
export type { BrokerFilter, FilterHost } from './filters/filter.ts'
export type { FilterRow } from './filters/filter-set.ts'
export { FilterSet } from './filters/filter-set.ts'
export { FILTER_TYPES_FILE } from './filters/filter-types.ts'
export { type BrokerLimits, DEFAULT_LIMITS } from './limits.ts'
export { type MeshBroker, openMeshBroker } from './mesh/open-mesh-broker.ts'
export type { OpenSidecar, Sidecar, SidecarOrder } from './mesh/sidecar.ts'
export { Upstream, type UpstreamOptions } from './upstream/upstream.ts'
