/** Ingress listeners of a Sidecar: the ports of the workload itself, in the place of what its services say. */
import type { SidecarIngress } from '@weft/config'
import type { Cluster, DownstreamTls, FilterChain, Listener, SocketAddress } from '@weft/model'
import { MATCH_ALL } from '@weft/model'
import { isHttp, portProtocol, protocolNamed } from '../../registries/declared/port-protocol.ts'
import type { PortProtocol } from '../../registries/registry.ts'
import { underInboundPool } from '../features/inbound-pool.ts'
import { serverTls } from '../features/server-tls.ts'
import { captureListener, inboundCluster } from '../names.ts'
import type { ProxyScope } from '../scope.ts'
import { loopbackEndpoint } from './default-endpoint.ts'
import { inboundAppCluster, inboundRoutes } from './explicit.ts'
import { httpManager, tcpProxy } from './http-manager.ts'

export interface IngressPort {
  readonly port: number
  readonly protocol: PortProtocol
  readonly listener: SidecarIngress
  readonly tls?: DownstreamTls
  /** Where the application listens. */
  readonly app: SocketAddress
}

/** `undefined`: no Sidecar says which ports there are. */
export function ingressPorts(scope: ProxyScope): readonly IngressPort[] | undefined {
  const ingress = scope.sidecar?.document.spec.ingress ?? []
  if (ingress.length === 0) return undefined
  return ingress.flatMap((listener) => {
    const { number = 0, protocol = '', name = '' } = listener.port
    const app = loopbackEndpoint(listener.defaultEndpoint ?? '', number)
    if (app === undefined) return []
    const spoken = protocolNamed(protocol) ?? portProtocol({ port: number, name })
    const tls = listener.tls === undefined ? undefined : serverTls(listener.tls, (one) => one, ALPN)
    return [
      {
        port: number,
        // HTTPS that ends here is HTTP from here on.
        protocol: spoken === 'https' && tls !== undefined ? 'http' : spoken,
        listener,
        app,
        ...(tls === undefined ? {} : { tls }),
      },
    ]
  })
}

const ALPN = ['h2', 'http/1.1']

export function ingressChains(scope: ProxyScope, ingress: IngressPort): FilterChain[] {
  const { port, protocol, tls } = ingress
  const name = captureListener('0.0.0.0', port)
  const match = { ...MATCH_ALL, destinationPort: port }
  const filter = isHttp(protocol)
    ? httpManager(scope.mesh, 'mesh', `inbound_${name}`, {
        kind: 'inline',
        table: inboundRoutes(port),
      })
    : tcpProxy(scope.mesh, `inbound_${name}`, [{ cluster: inboundCluster(port), weight: 1 }])
  return [{ name, match, filter, ...(tls === undefined ? {} : { tls }) }]
}

/** Those that capture nothing bind their port themselves. */
export function boundIngress(
  scope: ProxyScope,
  ports: readonly IngressPort[],
): readonly Listener[] {
  const document = scope.sidecar?.document
  return ports.map((ingress) => {
    const bind = ingress.listener.bind ?? ''
    const host = bind === '' ? '0.0.0.0' : bind
    const chains = ingressChains(scope, ingress).map((chain) => ({ ...chain, match: MATCH_ALL }))
    return {
      name: captureListener(host, ingress.port),
      address: { host, port: ingress.port },
      direction: 'inbound',
      bindToPort: true,
      useOriginalDst: false,
      filterChains: chains,
      origins: document === undefined ? [] : [document.origin],
    }
  })
}

export function ingressCluster(scope: ProxyScope, ingress: IngressPort): Cluster {
  const { port, app, protocol, listener } = ingress
  const cluster = inboundAppCluster(scope, port, app.host, app.port)
  return underInboundPool(scope, cluster, protocol, listener.connectionPool)
}
