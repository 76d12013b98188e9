/**
 * Servers with TLS mode AUTO_PASSTHROUGH: what sidecars of another network send to a service of
 * this one, by the server name that every sidecar makes, `outbound_.<port>_.<subset>_.<host>`.
 * TLS goes through as it is, so the two ends know each other; only endpoints that take the
 * mesh's TLS are called.
 */
import {
  type Cluster,
  type Endpoints,
  type FilterChain,
  type LocalityEndpoints,
  MATCH_ALL,
} from '@weft/model'
import type { MeshService } from '../../registries/registry.ts'
import { intersectHosts } from '../../snapshot/hosts.ts'
import { MESH_ALPN, meshServerName } from '../features/mutual-tls.ts'
import { outboundCluster } from '../names.ts'
import type { ProxyScope } from '../scope.ts'
import { type GatewayDoor, type GatewayPort, gatewayPorts, splitHost } from './gateway-ports.ts'
import { tcpProxy } from './http-manager.ts'

type IstioDoor = Extract<GatewayDoor, { kind: 'istio' }>

export function isAutoPassthrough(door: GatewayDoor): door is IstioDoor {
  return door.kind === 'istio' && door.server.tls?.mode === 'AUTO_PASSTHROUGH'
}

/** One chain per port and subset of each service that the server's hosts cover. */
export function autoPassthroughChains(
  scope: ProxyScope,
  port: GatewayPort,
  door: IstioDoor,
): readonly FilterChain[] {
  return targetsOf(scope, door).map(({ name }) => ({
    name: `tls.${port.port}.${name}`,
    match: {
      ...MATCH_ALL,
      transportProtocol: 'tls',
      serverNames: [name],
      applicationProtocols: MESH_ALPN,
    },
    filter: tcpProxy(scope.mesh, `tls.${port.port}`, [{ cluster: name, weight: 1 }]),
  }))
}

export interface PassedOn {
  readonly clusters: readonly Cluster[]
  readonly endpoints: readonly Endpoints[]
}

/** What the chains lead to: the service's own clusters, without TLS of the gateway. */
export function autoPassthroughClusters(
  scope: ProxyScope,
  clusters: ReadonlyMap<string, Cluster>,
  endpoints: ReadonlyMap<string, Endpoints>,
): PassedOn {
  const doors =
    scope.proxy.role === 'gateway' ? gatewayPorts(scope).flatMap((one) => one.doors) : []
  const targets = new Map(
    doors
      .filter(isAutoPassthrough)
      .flatMap((door) => targetsOf(scope, door))
      .map((target) => [target.name, target]),
  )
  const made: { readonly clusters: Cluster[]; readonly endpoints: Endpoints[] } = {
    clusters: [],
    endpoints: [],
  }
  for (const { name, cluster: key } of targets.values()) {
    const cluster = clusters.get(key)
    const found = endpoints.get(key)
    if (cluster === undefined || found === undefined) continue
    made.clusters.push(scope.cache.get(`sni ${name}`, [cluster], () => withoutTls(cluster, name)))
    made.endpoints.push(scope.cache.get(`sni ends ${name}`, [found], () => secured(found, name)))
  }
  return made
}

interface Target {
  /** Of the cluster, and the server name that leads to it. */
  readonly name: string
  /** The cluster that requests to the service would take. */
  readonly cluster: string
}

function targetsOf(scope: ProxyScope, { server, gateway }: IstioDoor): readonly Target[] {
  const hosts = server.hosts.map(splitHost)
  const isServed = (service: MeshService) =>
    !service.external &&
    hosts.some(({ namespace, host }) => {
      const wanted = namespace === '.' ? gateway.metadata.namespace : namespace
      const isThere = wanted === '*' || wanted === service.namespace
      return isThere && intersectHosts(host, service.host) !== undefined
    })
  return [...scope.services.values()].filter(isServed).flatMap((service) => {
    const subsets = ['', ...scope.ruleFor(service).subsets.keys()]
    return service.ports
      .filter(({ protocol }) => protocol !== 'udp')
      .flatMap(({ port }) =>
        subsets.map((subset) => ({
          name: meshServerName(service.host, port, subset),
          cluster: outboundCluster(service.host, port, subset),
        })),
      )
  })
}

function withoutTls(cluster: Cluster, name: string): Cluster {
  const { tls: _tls, autoTls: _autoTls, tunnel: _tunnel, ...rest } = cluster
  return { ...rest, name, discovery: { kind: 'eds', name } }
}

/** Plaintext has no place here: only who takes the mesh's TLS answers. */
function secured({ localities }: Endpoints, name: string): Endpoints {
  const kept = localities.flatMap((locality): readonly LocalityEndpoints[] => {
    const endpoints = locality.endpoints.filter(({ tlsMode }) => tlsMode === 'istio')
    if (endpoints.length === 0) return []
    const weight = endpoints.reduce((sum, one) => sum + one.weight, 0)
    return [{ ...locality, endpoints, weight }]
  })
  const ranks = [...new Set(kept.map(({ priority }) => priority))].sort((a, b) => a - b)
  return {
    name,
    localities: kept.map((one) => ({ ...one, priority: ranks.indexOf(one.priority) })),
  }
}
