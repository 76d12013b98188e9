/**
 * The inbound listener for captured traffic: one chain per port that services
 * send to this workload, and one that passes the rest through.
 */
import type { Cluster, FilterChain, Listener } from '@weft/model'
import { MATCH_ALL } from '@weft/model'
import { isHttp } from '../../registries/declared/port-protocol.ts'
import type { DefinedService, PortProtocol } from '../../registries/registry.ts'
import { plainCluster } from '../clusters/outbound.ts'
import { underInboundPool } from '../features/inbound-pool.ts'
import { inboundChains, peerAuthenticationOrigins } from '../features/mutual-tls.ts'
import { BLACK_HOLE_CLUSTER, INBOUND_PASSTHROUGH_CLUSTER, inboundCluster } from '../names.ts'
import type { ProxyScope } from '../scope.ts'
import { inboundAppCluster, inboundRoutes } from './explicit.ts'
import { httpManager, tcpProxy } from './http-manager.ts'
import {
  boundIngress,
  type IngressPort,
  ingressChains,
  ingressCluster,
  ingressPorts,
} from './sidecar-ingress.ts'

export interface CaptureInbound {
  readonly listeners: readonly Listener[]
  readonly clusters: readonly Cluster[]
}

const PLAIN_HTTP = {
  transportProtocol: 'raw_buffer',
  applicationProtocols: ['http/1.0', 'http/1.1', 'h2c'],
} as const

export function captureInbound(scope: ProxyScope): CaptureInbound {
  const { chains, clusters, listeners } = portsOf(scope)
  const { passing, last } = passthroughChains(scope)
  return {
    listeners: [
      {
        name: 'virtualInbound',
        address: { host: '0.0.0.0', port: 15006 },
        direction: 'inbound',
        bindToPort: true,
        useOriginalDst: true,
        filterChains: [
          {
            name: 'virtualInbound-blackhole',
            match: { ...MATCH_ALL, destinationPort: 15006 },
            filter: tcpProxy(scope.mesh, BLACK_HOLE_CLUSTER, [
              { cluster: BLACK_HOLE_CLUSTER, weight: 1 },
            ]),
          },
          ...chains,
          ...passing,
        ],
        ...(last === undefined ? {} : { defaultFilterChain: last }),
        origins: peerAuthenticationOrigins(scope, [
          [],
          ...chains.flatMap(({ match: { destinationPort: port } }) => (port ? [[port]] : [])),
        ]),
      },
      ...listeners,
    ],
    clusters: [
      ...clusters,
      plainCluster(scope, INBOUND_PASSTHROUGH_CLUSTER, { kind: 'originalDst' }),
    ],
  }
}

/**
 * Ports that no service names take the mutual TLS of the workload. With it there is no chain for
 * the rest: Envoy would hand it what a STRICT port refuses.
 */
function passthroughChains(scope: ProxyScope): {
  readonly passing: readonly FilterChain[]
  readonly last?: FilterChain
} {
  const http = httpManager(scope.mesh, 'mesh', 'inbound_0.0.0.0_0', {
    kind: 'inline',
    table: inboundRoutes(0, INBOUND_PASSTHROUGH_CLUSTER),
  })
  const bytes = tcpProxy(scope.mesh, INBOUND_PASSTHROUGH_CLUSTER, [
    { cluster: INBOUND_PASSTHROUGH_CLUSTER, weight: 1 },
  ])
  const name = 'virtualInbound'
  const first = {
    name: `${name}-catchall-http`,
    match: { ...MATCH_ALL, ...PLAIN_HTTP },
    filter: http,
  }
  const last = { name, match: MATCH_ALL, filter: bytes }
  const plain = [first, last]
  const all = { name, match: MATCH_ALL, ports: [], http, bytes, detects: true } as const
  const chains = inboundChains(scope, all, plain)
  return chains === plain ? { passing: [first], last } : { passing: chains }
}

interface InboundPorts {
  readonly chains: readonly FilterChain[]
  readonly clusters: readonly Cluster[]
  /** Of ports that are not captured. */
  readonly listeners: readonly Listener[]
}

/** The ports that a Sidecar lists, else those that services send to. */
function portsOf(scope: ProxyScope): InboundPorts {
  const ingress = ingressPorts(scope)
  if (ingress !== undefined) {
    const isCaptured = (one: IngressPort) => one.listener.captureMode !== 'NONE'
    return {
      chains: ingress.filter(isCaptured).flatMap((one) => ingressChains(scope, one)),
      clusters: ingress.map((one) => ingressCluster(scope, one)),
      listeners: boundIngress(
        scope,
        ingress.filter((one) => !isCaptured(one)),
      ),
    }
  }
  const ports = servedPorts(scope)
  return {
    chains: [...ports].flatMap(([port, protocol]) => portChains(scope, port, protocol)),
    clusters: [...ports].map(([port, protocol]) =>
      underInboundPool(scope, inboundAppCluster(scope, port, '127.0.0.1', port), protocol),
    ),
    listeners: [],
  }
}

/**
 * A port of which nobody says what it speaks has a chain for each answer that
 * the first bytes can give: Envoy never goes back from one that asks for more.
 */
function portChains(
  scope: ProxyScope,
  port: number,
  protocol: PortProtocol,
): readonly FilterChain[] {
  const name = `0.0.0.0_${port}`
  const match = { ...MATCH_ALL, destinationPort: port }
  const http = httpManager(scope.mesh, 'mesh', `inbound_${name}`, {
    kind: 'inline',
    table: inboundRoutes(port),
  })
  const tcp = tcpProxy(scope.mesh, `inbound_${name}`, [
    { cluster: inboundCluster(port), weight: 1 },
  ])
  const bytes = { name, match, ports: [port], bytes: tcp }
  if (protocol !== 'auto') {
    const filter = isHttp(protocol) ? http : tcp
    const inbound = isHttp(protocol) ? { ...bytes, http } : bytes
    return inboundChains(scope, inbound, [{ name, match, filter }])
  }
  return inboundChains(scope, { ...bytes, http, detects: true }, [
    { name, match: { ...match, ...PLAIN_HTTP }, filter: http },
    { name: `${name}-raw`, match: { ...match, transportProtocol: 'raw_buffer' }, filter: tcp },
    { name: `${name}-other`, match, filter: tcp },
  ])
}

/** The workload's own ports that services send to, by the addresses that are its own. */
export function servedPorts(scope: ProxyScope): ReadonlyMap<number, PortProtocol> {
  const addresses = new Set(scope.proxy.addresses)
  const ports = new Map<number, PortProtocol>()
  for (const { service, instances } of definitions(scope)) {
    if (service.external) continue
    for (const { address, port, servicePort } of instances) {
      const own = service.ports.find((one) => one.port === servicePort)
      if (own === undefined || !addresses.has(address) || ports.has(port)) continue
      ports.set(port, own.protocol)
    }
  }
  return new Map([...ports].sort(([a], [b]) => a - b))
}

/** Every definition of every host: a workload serves them all. */
function definitions({ snapshot }: ProxyScope): readonly DefinedService[] {
  const first = [...snapshot.services].map(([host, service]) => ({
    service,
    instances: snapshot.instances.get(host) ?? [],
  }))
  return [...first, ...[...snapshot.rivals.values()].flat()]
}
