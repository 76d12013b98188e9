/**
 * What BackendTLSPolicy, XBackendTrafficPolicy and a Gateway's client certificate
 * make of clusters. TLS is for gateways: between sidecars it is the mesh's matter.
 */
import type { Cluster, UpstreamTls } from '@weft/model'
import type { BackendTls } from '../../snapshot/gateway-api/backend-policies.ts'
import { objectKey } from '../../snapshot/mesh-snapshot.ts'
import { serves } from '../listeners/gateway-ports.ts'
import type { ProxyScope } from '../scope.ts'

/** Puts changed clusters in the place of those in `clusters`. */
export function applyBackendPolicies(scope: ProxyScope, clusters: Map<string, Cluster>): void {
  const { tls, traffic } = scope.snapshot.backendPolicies
  if (tls.size === 0 && traffic.size === 0) return
  const certificate = scope.proxy.role === 'gateway' ? clientCertificate(scope) : undefined
  for (const [name, cluster] of clusters) {
    const [kind, port, , host = ''] = name.split('|')
    if (kind !== 'outbound') continue
    const ofTraffic = traffic.get(host)
    const ofTls = scope.proxy.role === 'gateway' ? tls.get(`${host}|${port}`) : undefined
    if (ofTraffic === undefined && ofTls === undefined) continue
    const changed = scope.cache.get(
      `backend-policy ${scope.proxy.role} ${certificate ?? ''} ${name}`,
      [cluster, ofTls, ofTraffic],
      () => {
        const budget = ofTraffic?.retryBudget
        const origins = [ofTls?.origin, ofTraffic?.origin].filter((one) => one !== undefined)
        // What a policy says of TLS holds for every endpoint, whatever the endpoint offers.
        const { autoTls, ...rest } = cluster
        return {
          ...(ofTls === undefined ? cluster : rest),
          ...(budget === undefined ? {} : { retryBudget: budget }),
          ...(ofTls === undefined ? {} : secured(cluster, ofTls, certificate)),
          origins: [...cluster.origins, ...origins],
        }
      },
    )
    clusters.set(name, changed)
  }
}

/** Without a CA that is valid no connection may succeed: the cluster has no endpoints then. */
function secured(
  cluster: Cluster,
  policy: BackendTls,
  certificate: string | undefined,
): Partial<Cluster> {
  const { validation, sni, names } = policy
  if (validation === undefined) {
    return { discovery: { kind: 'static', endpoints: { name: cluster.name, localities: [] } } }
  }
  const tls: UpstreamTls = {
    sni,
    validation,
    subjectAltNames: [],
    subjectAltNameMatches: names,
    alpn: cluster.http.protocol === 'http2' ? ['h2'] : [],
    ...(certificate === undefined ? {} : { certificate }),
  }
  return { tls }
}

/** Of the first gateway that the proxy serves and that has one. */
function clientCertificate(scope: ProxyScope): string | undefined {
  const { listeners, clientCertificates } = scope.snapshot
  for (const listener of listeners) {
    if (!serves(scope, listener)) continue
    const { type, metadata } = listener.gateway
    const found = clientCertificates.get(objectKey(type, metadata.namespace, metadata.name))
    if (found !== undefined) return found
  }
  return undefined
}
