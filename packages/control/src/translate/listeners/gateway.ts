/**
 * Listeners and routes of a gateway: one listener per port, with a filter chain
 * for all plain HTTP servers, one per server that terminates TLS, and one per
 * SNI rule of those that pass TLS through.
 */
import type { FilterChain, Listener, RouteTable, SocketAddress } from '@weft/model'
import { MATCH_ALL, unixSocketOf } from '@weft/model'
import { intersectHosts } from '../../snapshot/hosts.ts'
import { captureListener } from '../names.ts'
import { asTargets } from '../routes/default-route.ts'
import { tcpRoutes, tlsRoutes } from '../routes/tcp-routes.ts'
import type { ProxyScope } from '../scope.ts'
import { autoPassthroughChains, isAutoPassthrough } from './auto-passthrough.ts'
import { fallbackCluster, fallbackClusters } from './default-endpoint.ts'
import { distinctChains } from './distinct-chains.ts'
import {
  doorHosts,
  doorProtocol,
  type GatewayDoor,
  type GatewayPort,
  gatewayPorts,
} from './gateway-ports.ts'
import {
  attachedVirtualServices,
  gatewayRouteTable,
  istioOrigin,
  kubernetesOrigin,
} from './gateway-routes.ts'
import { listenerTcpChains, listenerTlsChains } from './gateway-streams.ts'
import { downstreamTls } from './gateway-tls.ts'
import { httpManager, tcpProxy } from './http-manager.ts'
import type { RoleResources } from './role-resources.ts'
import { settingsOfTargets } from './stream-settings.ts'

type IstioDoor = Extract<GatewayDoor, { kind: 'istio' }>

export function gatewayResources(scope: ProxyScope): RoleResources {
  const listeners: Listener[] = []
  const routes: RouteTable[] = []
  const ports = gatewayPorts(scope)
  for (const port of ports) {
    const chains = [...plainChains(scope, port, routes), ...tlsChains(scope, port, routes)]
    if (chains.length === 0) continue
    listeners.push({
      name: captureListener(port.bind, port.port),
      address: addressOf(scope, port),
      direction: 'outbound',
      bindToPort: true,
      useOriginalDst: false,
      ...(scope.mesh.gatewayTopology.proxyProtocol ? { proxyProtocol: 'required' } : {}),
      filterChains: distinctChains(chains),
      origins: port.doors.map((door) =>
        door.kind === 'istio' ? istioOrigin(door) : kubernetesOrigin(door),
      ),
    })
  }
  return { listeners, routes, clusters: fallbackClusters(scope, ports) }
}

function addressOf(scope: ProxyScope, { bind, port }: GatewayPort): SocketAddress {
  return unixSocketOf(bind) ?? { host: bind === EVERYWHERE ? scope.proxy.bind : bind, port }
}

const EVERYWHERE = '0.0.0.0'

/** Of a route table: one port can be bound at several addresses. */
function portName({ bind, port }: GatewayPort): string {
  return bind === EVERYWHERE ? String(port) : `${port}.${bind}`
}

/** HTTP when any server of the port speaks it: bytes without TLS can be only one of the two. */
function plainChains(
  scope: ProxyScope,
  port: GatewayPort,
  routes: RouteTable[],
): readonly FilterChain[] {
  const http = asTargets(port.doors.filter((door) => doorProtocol(door) === 'http'))
  if (http !== undefined) {
    const table = gatewayRouteTable(scope, `http.${portName(port)}`, http)
    routes.push(table)
    return [
      {
        name: table.name,
        match: MATCH_ALL,
        filter: outsideManager(scope, port, table.name),
      },
    ]
  }
  const tcp = port.doors.filter((door) => doorProtocol(door) === 'tcp')
  return tcp.flatMap((door) =>
    door.kind === 'istio' ? tcpChains(scope, port, door) : listenerTcpChains(scope, port, door),
  )
}

function tlsChains(
  scope: ProxyScope,
  port: GatewayPort,
  routes: RouteTable[],
): readonly FilterChain[] {
  return port.doors.flatMap((door) => chainsOf(scope, port, door, routes))
}

function chainsOf(
  scope: ProxyScope,
  port: GatewayPort,
  door: GatewayDoor,
  routes: RouteTable[],
): readonly FilterChain[] {
  const protocol = doorProtocol(door)
  if (protocol === 'https') return httpsChains(scope, port, door, routes)
  if (door.kind !== 'istio') {
    return protocol === 'tls' || protocol === 'passthrough'
      ? listenerTlsChains(scope, port, door)
      : []
  }
  if (isAutoPassthrough(door)) return autoPassthroughChains(scope, port, door)
  if (protocol === 'passthrough') return passthroughChains(scope, port, door)
  return protocol === 'tls' ? terminatedChains(scope, port, door) : []
}

function httpsChains(
  scope: ProxyScope,
  port: GatewayPort,
  door: GatewayDoor,
  routes: RouteTable[],
): readonly FilterChain[] {
  const tls = downstreamTls(scope, door, true)
  if (tls === undefined) return []
  const table = gatewayRouteTable(scope, `https.${portName(port)}.${doorName(door)}`, [door])
  routes.push(table)
  return [
    {
      name: table.name,
      match: tlsMatch(doorHosts(door)),
      tls,
      filter: outsideManager(scope, port, table.name),
    },
  ]
}

function tcpChains(scope: ProxyScope, port: GatewayPort, door: IstioDoor): readonly FilterChain[] {
  const routed = distinctServices(scope, door).flatMap(({ bound, context }) =>
    tcpRoutes(bound, context).map((route, i) => ({
      name: `tcp.${port.port}.${bound.document.metadata.name}.${i}`,
      match: { ...MATCH_ALL, destinationPrefixes: route.destinationPrefixes },
      filter: tcpProxy(
        scope.mesh,
        `tcp.${port.port}`,
        route.targets,
        settingsOfTargets(scope, route.targets),
      ),
    })),
  )
  const fallback = fallbackCluster(door)
  if (fallback === undefined) return routed
  const targets = [{ cluster: fallback, weight: 1 }] as const
  const filter = tcpProxy(scope.mesh, `tcp.${port.port}`, targets)
  return [...routed, { name: `tcp.${port.port}.default-endpoint`, match: MATCH_ALL, filter }]
}

function passthroughChains(
  scope: ProxyScope,
  port: GatewayPort,
  door: IstioDoor,
): readonly FilterChain[] {
  const hosts = doorHosts(door)
  return distinctServices(scope, door).flatMap(({ bound, context }) =>
    tlsRoutes(bound, context).flatMap((route, i) => {
      const names = route.serverNames.flatMap((name) =>
        hosts.flatMap((host) => intersectHosts(host, name.toLowerCase()) ?? []),
      )
      if (names.length === 0) return []
      return [
        {
          name: `tls.${port.port}.${bound.document.metadata.name}.${i}`,
          match: {
            ...tlsMatch([...new Set(names)]),
            destinationPrefixes: route.destinationPrefixes,
          },
          filter: tcpProxy(
            scope.mesh,
            `tls.${port.port}`,
            route.targets,
            settingsOfTargets(scope, route.targets),
          ),
        },
      ]
    }),
  )
}

/** TLS ends here and bytes go on by the `tcp[]` routes, as Istio does. */
function terminatedChains(
  scope: ProxyScope,
  port: GatewayPort,
  door: IstioDoor,
): readonly FilterChain[] {
  const tls = downstreamTls(scope, door, false)
  if (tls === undefined) return []
  return tcpChains(scope, port, door).map((chain) => ({
    ...chain,
    match: { ...tlsMatch(doorHosts(door)), destinationPrefixes: chain.match.destinationPrefixes },
    tls,
  }))
}

function distinctServices(scope: ProxyScope, door: IstioDoor) {
  const attached = attachedVirtualServices(scope, door)
  return attached.filter(
    ({ bound }, i) => attached.findIndex((other) => other.bound === bound) === i,
  )
}

function outsideManager(scope: ProxyScope, port: GatewayPort, name: string) {
  const prefix = `outbound_${port.bind}_${port.port}`
  return httpManager(scope.mesh, 'outside', prefix, { kind: 'rds', name })
}

/** `*` among the hosts takes every TLS connection. */
function tlsMatch(hosts: readonly string[]): FilterChain['match'] {
  const serverNames = hosts.includes('*') ? [] : hosts
  return { ...MATCH_ALL, transportProtocol: 'tls', serverNames }
}

function doorName(door: GatewayDoor): string {
  if (door.kind === 'istio') {
    const { name, namespace } = door.gateway.metadata
    return `${door.server.port.name}.${name}.${namespace}`
  }
  const { name, namespace } = door.listener.gateway.metadata
  return `${door.listener.spec.name}.${name}.${namespace}`
}
