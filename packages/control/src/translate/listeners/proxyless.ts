/**
 * What a gRPC program gets that is its own proxy: for each name of each service a listener to dial, for
 * each port that services send to it one to answer on. It has its identity from its bootstrap's
 * certificate provider `default` (`weft bootstrap grpc`).
 *
 * gRPC cannot tell plaintext from TLS on one port: mutual TLS is for STRICT ports, and towards
 * services all of whose endpoints take it.
 */
import {
  type Cluster,
  type Endpoints,
  type Listener,
  MATCH_ALL,
  type RouteTable,
  type UpstreamTls,
} from '@weft/model'
import type { MeshService, ServicePort } from '../../registries/registry.ts'
import { mutualTlsMode } from '../../snapshot/peer-authentications.ts'
import type { ClusterSet } from '../clusters/outbound.ts'
import { captureRouteTable } from '../routes/mesh-route-tables.ts'
import { serviceNames, withPort } from '../routes/service-domains.ts'
import { isRouted } from '../routes/service-routes.ts'
import type { ProxyScope } from '../scope.ts'
import { servedPorts } from './capture-inbound.ts'
import { inboundRoutes } from './explicit.ts'
import { httpManager } from './http-manager.ts'
import type { RoleResources } from './role-resources.ts'

const PROVIDER = 'default'
/** As `server_listener_resource_name_template` of the bootstrap has it. */
const SERVER = 'grpc/server?xds.resource.listening_address='
/** How a program may have written the address that it listens on. */
const ANY_HOST = ['0.0.0.0', '[::]', '127.0.0.1', '[::1]']

export function proxylessResources(scope: ProxyScope): RoleResources {
  const listeners: Listener[] = []
  const routes: RouteTable[] = []
  for (const service of scope.services.values()) {
    for (const port of service.ports.filter(isRouted)) {
      const table = tableOf(scope, service, port)
      routes.push(table)
      listeners.push(...dialled(scope, service, port, table))
    }
  }
  return { listeners: [...listeners, ...answered(scope)], routes, clusters: [] }
}

/** One service alone, so that whatever name was dialled is meant. */
function tableOf(scope: ProxyScope, service: MeshService, { port }: ServicePort): RouteTable {
  const table = captureRouteTable(scope, `${service.host}:${port}`, port, [service])
  const [host] = table.virtualHosts
  const virtualHosts = host === undefined ? [] : [{ ...host, domains: ['*'] }]
  return { name: table.name, virtualHosts, origins: table.origins }
}

function dialled(
  scope: ProxyScope,
  service: MeshService,
  { port }: ServicePort,
  { name: table }: RouteTable,
): readonly Listener[] {
  const names = serviceNames(scope, service)
  const manager = httpManager(scope.mesh, 'application', table, { kind: 'rds', name: table })
  const chain = { name: 'grpc', match: MATCH_ALL, filter: { ...manager, filters: [] } }
  return withPort([...names.primary, ...names.aliases], port).map((name) => ({
    name,
    address: { host: '0.0.0.0', port },
    direction: 'outbound',
    bindToPort: false,
    useOriginalDst: false,
    proxyless: 'client',
    filterChains: [chain],
    origins: service.origins,
  }))
}

function answered(scope: ProxyScope): readonly Listener[] {
  const { proxy, snapshot, mesh } = scope
  const hosts = [...new Set([...ANY_HOST, ...proxy.addresses])]
  return [...servedPorts(scope).keys()].flatMap((port) => {
    const { peerAuthentications } = snapshot
    const mode = mutualTlsMode(peerAuthentications, proxy, [port], mesh.rootNamespace)
    const manager = httpManager(mesh, 'mesh', `inbound_${port}`, {
      kind: 'inline',
      table: inboundRoutes(port),
    })
    const tls = {
      certificates: [PROVIDER],
      validation: PROVIDER,
      requireClientCertificate: true,
      alpn: [],
      fromProvider: true,
    } as const
    const chain = {
      name: `inbound_${port}`,
      match: MATCH_ALL,
      ...(proxy.hasIdentity && mode === 'STRICT' ? { tls } : {}),
      filter: { ...manager, filters: [] },
    }
    return hosts.map((host): Listener => {
      const bare = host.replace(/^\[|\]$/g, '')
      return {
        name: `${SERVER}${host}:${port}`,
        address: { host: bare, port },
        direction: 'inbound',
        bindToPort: true,
        useOriginalDst: false,
        proxyless: 'server',
        filterChains: [chain],
        origins: [],
      }
    })
  })
}

/** Only what gRPC knows: the rest would make it refuse the cluster. */
export function proxylessClusters({ clusters, endpoints }: ClusterSet): Map<string, Cluster> {
  const known = [...clusters].filter(([, { discovery }]) => discovery.kind === 'eds')
  return new Map(
    known.map(([name, cluster]) => [name, proxylessCluster(cluster, endpoints.get(name))]),
  )
}

function proxylessCluster(cluster: Cluster, endpoints: Endpoints | undefined): Cluster {
  const { name, discovery, connectTimeoutMs, limits, http, service, origins, tls, autoTls } =
    cluster
  const all = endpoints?.localities.flatMap((group) => group.endpoints) ?? []
  const isForAll = autoTls !== true || all.every(({ tlsMode }) => tlsMode === 'istio')
  return {
    name,
    discovery,
    loadBalancer: { kind: 'roundRobin' },
    connectTimeoutMs,
    limits,
    http,
    ...(tls !== undefined && isForAll ? { tls: fromProvider(tls) } : {}),
    ...(service === undefined ? {} : { service }),
    origins,
  }
}

function fromProvider({ subjectAltNames, subjectAltNameMatches }: UpstreamTls): UpstreamTls {
  return {
    certificate: PROVIDER,
    validation: PROVIDER,
    subjectAltNames,
    ...(subjectAltNameMatches === undefined ? {} : { subjectAltNameMatches }),
    alpn: [],
    fromProvider: true,
  }
}
