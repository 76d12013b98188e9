/** Where a sidecar sends what goes to nobody of the mesh. */
import { BLACK_HOLE_CLUSTER, outboundCluster, PASSTHROUGH_CLUSTER } from '../names.ts'
import type { ProxyScope } from '../scope.ts'
import { egressProxyHost } from '../sidecar-scope.ts'

/** The Sidecar's `egressProxy`, else where it was going; nowhere where that is forbidden. */
export function unknownTrafficCluster(scope: ProxyScope): string {
  if (scope.mesh.outboundTrafficPolicy !== 'ALLOW_ANY') return BLACK_HOLE_CLUSTER
  const { document } = scope.sidecar ?? {}
  const proxy = document?.spec.outboundTrafficPolicy?.egressProxy
  if (document === undefined || proxy === undefined) return PASSTHROUGH_CLUSTER
  const host = egressProxyHost(document, scope.domain) ?? proxy.host
  const ports = scope.services.get(host)?.ports ?? []
  const only = ports.length === 1 ? ports[0]?.port : undefined
  return outboundCluster(host, proxy.port?.number ?? only ?? 0, proxy.subset)
}
