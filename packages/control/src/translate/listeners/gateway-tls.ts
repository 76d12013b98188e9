/** TLS settings of a gateway's servers: which secrets terminate it, and whom they ask for a certificate. */
import type { DownstreamTls } from '@weft/model'
import { secretName } from '../../snapshot/secrets.ts'
import { serverTls } from '../features/server-tls.ts'
import type { ProxyScope } from '../scope.ts'
import type { GatewayDoor } from './gateway-ports.ts'

/** `undefined` when no certificate is named: such a server cannot be served. */
export function downstreamTls(
  scope: ProxyScope,
  door: GatewayDoor,
  isHttp: boolean,
): DownstreamTls | undefined {
  const alpn = isHttp ? HTTP_ALPN : []
  if (door.kind === 'kubernetes') {
    const { tls } = door.listener
    return tls === undefined ? undefined : withDefaults(scope, { ...tls, alpn })
  }
  const { tls } = door.server
  if (tls === undefined) return undefined
  const { namespace } = door.gateway.metadata
  const own = serverTls(tls, (name) => secretOf(scope, namespace, name), alpn)
  if (own === undefined) return undefined
  // What the mesh says of TLS in general is not for its own certificates.
  return tls.mode === 'ISTIO_MUTUAL' ? { ...scope.mesh.meshMtls, ...own } : withDefaults(scope, own)
}

/** `tlsDefaults` of the mesh stand in for what a server does not say. */
function withDefaults({ mesh }: ProxyScope, tls: DownstreamTls): DownstreamTls {
  const { minVersion, ...rest } = mesh.tlsDefaults
  // A server that allows nothing newer means what it says.
  const isBelow =
    minVersion !== undefined && tls.maxVersion !== undefined && tls.maxVersion < minVersion
  return { ...rest, ...(minVersion === undefined || isBelow ? {} : { minVersion }), ...tls }
}

const HTTP_ALPN = ['h2', 'http/1.1'] as const

/** Istio looks beside the proxy; who keeps the secret beside the Gateway is understood too. */
function secretOf({ snapshot, proxy }: ProxyScope, namespace: string, name: string): string {
  const besideProxy = secretName(proxy.namespace, name)
  const besideGateway = secretName(namespace, name)
  return snapshot.secrets.has(besideProxy) || !snapshot.secrets.has(besideGateway)
    ? besideProxy
    : besideGateway
}
