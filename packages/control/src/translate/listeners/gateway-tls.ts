/** TLS settings of a gateway's servers: which secrets terminate it, and whom they ask for a certificate. */
import type { ServerTlsSettings } from '@weft/config'
import type { DownstreamTls, TlsVersion } from '@weft/model'
import { secretName } from '../../snapshot/secrets.ts'
import type { ProxyScope } from '../scope.ts'
import type { GatewayDoor } from './gateway-ports.ts'

const VERSIONS: Readonly<Record<string, TlsVersion>> = {
  TLSV1_0: '1.0',
  TLSV1_1: '1.1',
  TLSV1_2: '1.2',
  TLSV1_3: '1.3',
}

/** `undefined` when no certificate is named: such a server cannot be served. */
export function downstreamTls(
  scope: ProxyScope,
  door: GatewayDoor,
  isHttp: boolean,
): DownstreamTls | undefined {
  const alpn = isHttp ? httpAlpn(scope) : []
  if (door.kind === 'kubernetes') {
    const { tls } = door.listener
    return tls === undefined ? undefined : { ...tls, alpn }
  }
  const { tls } = door.server
  if (tls === undefined) return undefined
  const certificates = certificatesOf(scope, door.gateway.metadata.namespace, tls)
  const [first] = certificates
  if (first === undefined) return undefined
  const isMutual = tls.mode === 'MUTUAL' || tls.mode === 'ISTIO_MUTUAL'
  const asksForClient = isMutual || tls.mode === 'OPTIONAL_MUTUAL'
  return {
    certificates,
    requireClientCertificate: isMutual,
    alpn,
    ...(asksForClient ? { validation: validationOf(scope, door, tls, first) } : {}),
    ...versions(tls),
  }
}

/** Our own proxies speak HTTP/1.1 so far; a stock Envoy takes both. */
function httpAlpn({ proxy }: ProxyScope): readonly string[] {
  return proxy.capture.kind === 'explicit' ? ['http/1.1'] : ['h2', 'http/1.1']
}

function certificatesOf(
  scope: ProxyScope,
  namespace: string,
  tls: ServerTlsSettings,
): readonly string[] {
  if (tls.mode === 'ISTIO_MUTUAL') return ['default']
  const names = [tls.credentialName, ...(tls.credentialNames ?? [])].filter(
    (name) => name !== undefined && name !== '',
  )
  if (names.length > 0) return names.map((name) => secretOf(scope, namespace, name ?? ''))
  return tls.serverCertificate === undefined
    ? []
    : [`file-cert:${tls.serverCertificate}~${tls.privateKey ?? ''}`]
}

function validationOf(
  scope: ProxyScope,
  door: Extract<GatewayDoor, { kind: 'istio' }>,
  tls: ServerTlsSettings,
  certificate: string,
): string {
  if (tls.mode === 'ISTIO_MUTUAL') return 'ROOTCA'
  if (tls.caCertCredentialName !== undefined) {
    return `${secretOf(scope, door.gateway.metadata.namespace, tls.caCertCredentialName)}-cacert`
  }
  return tls.caCertificates === undefined
    ? `${certificate}-cacert`
    : `file-root:${tls.caCertificates}`
}

/** Istio looks beside the proxy; who keeps the secret beside the Gateway is understood too. */
function secretOf({ snapshot, proxy }: ProxyScope, namespace: string, name: string): string {
  const besideProxy = secretName(proxy.namespace, name)
  const besideGateway = secretName(namespace, name)
  return snapshot.secrets.has(besideProxy) || !snapshot.secrets.has(besideGateway)
    ? besideProxy
    : besideGateway
}

function versions(tls: ServerTlsSettings): Pick<DownstreamTls, 'minVersion' | 'maxVersion'> {
  const min = VERSIONS[tls.minProtocolVersion ?? '']
  const max = VERSIONS[tls.maxProtocolVersion ?? '']
  return {
    ...(min === undefined ? {} : { minVersion: min }),
    ...(max === undefined ? {} : { maxVersion: max }),
  }
}
