/**
 * Who answers for a cluster: Envoy's `ClusterLoadAssignment` as plain values.
 */
import type { SocketAddress } from './address.ts'
import type { Locality } from './locality.ts'

/** All endpoints of one EDS name. */
export interface Endpoints {
  /** The EDS resource name; for Weft's clusters the cluster's name. */
  readonly name: string
  /** In any order; `priority` decides, 0 is highest and priorities have no gaps. */
  readonly localities: readonly LocalityEndpoints[]
}

export interface LocalityEndpoints {
  readonly locality: Locality
  readonly priority: number
  /** Share among localities of the same priority; > 0. */
  readonly weight: number
  readonly endpoints: readonly Endpoint[]
}

export interface Endpoint {
  readonly address: SocketAddress
  /** Share among the endpoints of a locality; > 0. */
  readonly weight: number
  readonly health: EndpointHealth
  /** Who it is, for metrics and logs; absent for endpoints outside the mesh. */
  readonly workload?: WorkloadRef
  /** Its proxy takes mutual TLS of the mesh (Istio's `tlsMode`); absent: nobody says so. */
  readonly tlsMode?: 'istio'
  /** How it is reached; absent: directly. */
  readonly path?: EndpointPath
}

/** `broker`: it has dialled out to a broker, which passes on what it is asked. */
export type EndpointPath = 'broker'

/** `draining` finishes what it has and gets nothing new (Envoy `HealthStatus`). */
export type EndpointHealth = 'healthy' | 'unhealthy' | 'draining'

/** What Istio's standard metrics need to know of a peer. */
export interface WorkloadRef {
  readonly name: string
  readonly namespace: string
  /** Label `service.istio.io/canonical-name`, else `app`, else the name. */
  readonly app: string
  /** Label `service.istio.io/canonical-revision`, else `version`, else `latest`. */
  readonly version: string
  /** Cluster (in Istio's sense) the workload runs in. */
  readonly cluster: string
}
