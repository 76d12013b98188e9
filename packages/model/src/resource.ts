/** The resource types that meet on xDS, as one map from type to model value. */
import type { Cluster } from './cluster.ts'
import type { Endpoints } from './endpoint.ts'
import type { Listener } from './listener.ts'
import type { RouteTable } from './route.ts'
import type { Secret } from './tls.ts'

export interface Resources {
  readonly listener: Listener
  readonly route: RouteTable
  readonly cluster: Cluster
  readonly endpoints: Endpoints
  readonly secret: Secret
}

export type ResourceType = keyof Resources

/** Every resource of one proxy, by type and name. */
export type ResourceSet = {
  readonly [T in ResourceType]: ReadonlyMap<string, Resources[T]>
}
