/** `inboundConnectionPool` and `ingress[].connectionPool` of a Sidecar: connections to the application itself. */
import type { ConnectionPoolSettings } from '@weft/config'
import type { Cluster } from '@weft/model'
import type { PortProtocol } from '../../registries/registry.ts'
import type { ProxyScope } from '../scope.ts'
import { connectionPool } from './connection-pool.ts'

/**
 * The application gets the protocol that its port declares, whatever peers use among each other
 * (`h2UpgradePolicy` of a DestinationRule is theirs); what nobody declared gets what arrives.
 * Limits are what a Sidecar says of one port, else of all.
 */
export function underInboundPool(
  scope: ProxyScope,
  cluster: Cluster,
  protocol: PortProtocol,
  own?: ConnectionPoolSettings,
): Cluster {
  const settings = own ?? scope.sidecar?.document.spec.inboundConnectionPool
  const mesh = { ...scope.mesh, h2Upgrade: false }
  return { ...cluster, ...connectionPool(settings, protocol, mesh) }
}
