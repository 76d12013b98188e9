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
    return tls === undefined ? undefined : { ...tls, alpn }
  }
  const { tls } = door.server
  if (tls === undefined) return undefined
  const { namespace } = door.gateway.metadata
  return serverTls(tls, (name) => secretOf(scope, namespace, name), alpn)
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
