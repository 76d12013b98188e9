/**
 * Filter chains for bytes of captured connections: where TCP goes, and which TLS
 * goes where by its server name.
 */
import type { FilterChain, TcpProxy } from '@weft/model'
import { MATCH_ALL } from '@weft/model'
import type { MeshService, ServicePort } from '../../registries/registry.ts'
import { unknownTrafficCluster } from '../features/egress-proxy.ts'
import { outboundCluster } from '../names.ts'
import { MESH_GATEWAY } from '../routes/route-context.ts'
import { meshVirtualServices, serviceTcpRoutes } from '../routes/service-routes.ts'
import { tlsRoutes } from '../routes/tcp-routes.ts'
import type { ProxyScope } from '../scope.ts'
import { tcpProxy } from './http-manager.ts'
import { settingsOfTargets } from './stream-settings.ts'

/** A service port behind a listener. */
export interface BytePort {
  readonly service: MeshService
  readonly port: ServicePort
  /** Address ranges of the service that tell it apart on a listener of many. */
  readonly prefixes: readonly string[]
  /** Nothing but the server name tells the service apart. */
  readonly needsServerName: boolean
}

export function byteChains(scope: ProxyScope, one: BytePort): readonly FilterChain[] {
  return isTls(one.port) ? tlsChains(scope, one) : tcpChains(scope, one)
}

function isTls({ protocol }: ServicePort): boolean {
  return protocol === 'tls' || protocol === 'https'
}

function tcpChains(scope: ProxyScope, { service, port, prefixes }: BytePort): FilterChain[] {
  return serviceTcpRoutes(scope, service, port).map(({ targets, destinationPrefixes }) => ({
    name: 'tcp',
    match: {
      ...MATCH_ALL,
      destinationPrefixes: destinationPrefixes.length > 0 ? destinationPrefixes : prefixes,
    },
    filter: tcpProxy(
      scope.mesh,
      statPrefix(service, port),
      targets,
      bytesSettings(scope, service, port),
    ),
  }))
}

/** What the service's DestinationRule says of its connections. */
function bytesSettings(
  scope: ProxyScope,
  service: MeshService,
  port: ServicePort,
): Partial<TcpProxy> {
  const cluster = outboundCluster(service.host, port.port)
  return settingsOfTargets(scope, [{ cluster, weight: 1 }])
}

/** `tls[]` of VirtualServices for the service's host; without any, all TLS for the service. */
function tlsChains(scope: ProxyScope, one: BytePort): readonly FilterChain[] {
  const { service, port, prefixes } = one
  const context = { scope, port: port.port, gateways: MESH_GATEWAY }
  const prefix = statPrefix(service, port)
  const settings = bytesSettings(scope, service, port)
  const written = meshVirtualServices(scope, service.host).flatMap(({ bound }) =>
    tlsRoutes(bound, context).map((route, i) => ({
      name: `${bound.document.metadata.namespace}.${bound.document.metadata.name}.tls.${i}`,
      match: {
        ...MATCH_ALL,
        transportProtocol: 'tls' as const,
        serverNames: route.serverNames,
        destinationPrefixes:
          route.destinationPrefixes.length > 0 ? route.destinationPrefixes : prefixes,
      },
      filter: tcpProxy(scope.mesh, prefix, route.targets, settings),
    })),
  )
  if (written.length > 0) return written
  const cluster = outboundCluster(service.host, port.port)
  const filter = tcpProxy(scope.mesh, prefix, [{ cluster, weight: 1 }], settings)
  const aliases = scope.aliasesOf.get(service.host) ?? []
  if (!one.needsServerName) return [{ name: 'tcp', match: MATCH_ALL, filter }]
  return [
    {
      name: service.host,
      match: {
        ...MATCH_ALL,
        transportProtocol: 'tls',
        serverNames: [service.host, ...aliases.map(({ host }) => host)],
        destinationPrefixes: prefixes,
      },
      filter,
    },
  ]
}

/** Where connections go that no chain of a port is for. */
export function passthroughChain(scope: ProxyScope): FilterChain {
  const cluster = unknownTrafficCluster(scope)
  return {
    name: 'PassthroughFilterChain',
    match: MATCH_ALL,
    filter: tcpProxy(scope.mesh, cluster, [{ cluster, weight: 1 }]),
  }
}

function statPrefix(service: MeshService, port: ServicePort): string {
  return outboundCluster(service.host, port.port)
}
