/**
 * Listeners of a sidecar that captures nothing: the application uses it as its
 * HTTP proxy, and peers reach the application through a port of its own.
 *
 *     application --HTTP_PROXY--> weft:outbound --> mesh
 *     mesh --> weft:inbound|<port> --> application
 */
import type { Cluster, Listener, OfferedPort, RouteTable } from '@weft/model'
import { MATCH_ALL } from '@weft/model'
import { isHttp, portProtocol } from '../../registries/declared/port-protocol.ts'
import { resolveHost } from '../../snapshot/hosts.ts'
import { plainCluster } from '../clusters/outbound.ts'
import { ANY_REQUEST } from '../features/http-match.ts'
import { underInboundPool } from '../features/inbound-pool.ts'
import { inboundChains, peerAuthenticationOrigins } from '../features/mutual-tls.ts'
import { HTTP_PROXY_ROUTES, inboundCluster } from '../names.ts'
import { forwardTo, plainRoute, virtualHost } from '../routes/default-route.ts'
import type { ProxyScope } from '../scope.ts'
import { httpManager, tcpProxy } from './http-manager.ts'

export function explicitOutbound(scope: ProxyScope): readonly Listener[] {
  const { capture } = scope.proxy
  if (capture.kind !== 'explicit' || capture.outbound === undefined) return []
  const routes = { kind: 'rds', name: HTTP_PROXY_ROUTES } as const
  return [
    {
      name: 'weft:outbound',
      address: capture.outbound,
      direction: 'outbound',
      bindToPort: true,
      useOriginalDst: false,
      filterChains: [
        {
          name: 'http',
          match: MATCH_ALL,
          filter: httpManager(scope.mesh, 'application', 'outbound_http_proxy', routes, [
            'websocket',
            'connect',
          ]),
        },
      ],
      origins: [],
    },
  ]
}

export function explicitInbound(scope: ProxyScope, offer: OfferedPort): Listener {
  const { port, protocol } = offer
  const isRouted = isHttp(portProtocol({ port, appProtocol: protocol }))
  const statPrefix = `inbound_${offer.address}_${offer.listenPort}`
  const name = isRouted ? 'http' : 'tcp'
  const bytes = tcpProxy(scope.mesh, statPrefix, [{ cluster: inboundCluster(port), weight: 1 }])
  const filter = isRouted
    ? httpManager(scope.mesh, 'mesh', statPrefix, { kind: 'inline', table: inboundRoutes(port) })
    : bytes
  return {
    name: `weft:inbound|${port}`,
    address: { host: offer.address, port: offer.listenPort },
    direction: 'inbound',
    bindToPort: true,
    useOriginalDst: false,
    filterChains: inboundChains(
      scope,
      {
        name,
        match: MATCH_ALL,
        ports: [offer.appPort, port],
        bytes,
        ...(isRouted ? { http: filter } : {}),
      },
      [{ name, match: MATCH_ALL, filter }],
    ),
    origins: peerAuthenticationOrigins(scope, [[offer.appPort, port]]),
  }
}

export function inboundRoutes(port: number, cluster = inboundCluster(port)): RouteTable {
  const route = plainRoute('default', ANY_REQUEST, [], forwardTo([cluster]))
  return {
    name: inboundCluster(port),
    virtualHosts: [virtualHost(`inbound|http|${port}`, ['*'], [route], [])],
    origins: [],
  }
}

/** The application behind an offer; its calls are counted for the service it offers. */
export function offeredAppCluster(scope: ProxyScope, offer: OfferedPort): Cluster {
  const { namespace } = scope.proxy
  const host = resolveHost(offer.service, namespace, scope.domain)
  const known = scope.snapshot.services.get(host)
  const service = known ?? { host, name: offer.service, namespace }
  const protocol = portProtocol({ port: offer.port, appProtocol: offer.protocol })
  const cluster = inboundAppCluster(scope, offer.port, offer.appAddress, offer.appPort)
  const ingress = scope.sidecar?.document.spec.ingress?.find(
    ({ port }) => port.number === offer.port,
  )
  return {
    ...underInboundPool(scope, cluster, protocol, ingress?.connectionPool),
    service: { host, name: service.name, namespace: service.namespace },
  }
}

/** @param host Where the application listens. */
export function inboundAppCluster(
  scope: ProxyScope,
  port: number,
  host: string,
  appPort: number,
): Cluster {
  const name = inboundCluster(port)
  const endpoint = {
    address: { host, port: appPort },
    weight: 1,
    health: 'healthy',
  } as const
  const locality = { region: '', zone: '', subZone: '' }
  return plainCluster(scope, name, {
    kind: 'static',
    endpoints: {
      name,
      localities: [{ locality, priority: 0, weight: 1, endpoints: [endpoint] }],
    },
  })
}
