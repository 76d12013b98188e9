/** `inboundConnectionPool` and `ingress[].connectionPool` of a Sidecar: connections to the application itself. */
import type { ConnectionPoolSettings } from '@weft/config'
import type { Cluster } from '@weft/model'
import type { PortProtocol } from '../../registries/registry.ts'
import type { ProxyScope } from '../scope.ts'
import { connectionPool } from './connection-pool.ts'

/** What a Sidecar says of connections to the application: of one port, else of all. */
export function underInboundPool(
  scope: ProxyScope,
  cluster: Cluster,
  protocol: PortProtocol,
  own?: ConnectionPoolSettings,
): Cluster {
  const settings = own ?? scope.sidecar?.document.spec.inboundConnectionPool
  if (settings === undefined) return cluster
  const { http, ...pool } = connectionPool(settings, 'auto', scope.mesh)
  const isUpgraded = settings.http?.h2UpgradePolicy === 'UPGRADE' && protocol === 'http'
  return { ...cluster, ...pool, http: isUpgraded ? { ...http, protocol: 'http2' } : http }
}
