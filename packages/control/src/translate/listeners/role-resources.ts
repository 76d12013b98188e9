/** What a role adds to the clusters that every proxy has. */
import type { Cluster, Listener, RouteTable } from '@weft/model'

export interface RoleResources {
  readonly listeners: readonly Listener[]
  readonly routes: readonly RouteTable[]
  readonly clusters: readonly Cluster[]
}
