/**
 * The inbound listener for captured traffic: one chain per port that services
 * send to this workload, and one that passes the rest through.
 */
import type { Cluster, FilterChain, Listener } from '@weft/model'
import { MATCH_ALL } from '@weft/model'
import { isHttp } from '../../registries/declared/port-protocol.ts'
import type { PortProtocol } from '../../registries/registry.ts'
import { plainCluster } from '../clusters/outbound.ts'
import { BLACK_HOLE_CLUSTER, INBOUND_PASSTHROUGH_CLUSTER, inboundCluster } from '../names.ts'
import type { ProxyScope } from '../scope.ts'
import { inboundAppCluster, inboundRoutes } from './explicit.ts'
import { httpManager, tcpProxy } from './http-manager.ts'

export interface CaptureInbound {
  readonly listener: Listener
  readonly clusters: readonly Cluster[]
}

export function captureInbound(scope: ProxyScope): CaptureInbound {
  const ports = servedPorts(scope)
  const chains = [...ports].map(([port, protocol]): FilterChain => {
    const name = inboundCluster(port)
    return {
      name: `0.0.0.0_${port}`,
      match: { ...MATCH_ALL, destinationPort: port },
      filter: isHttp(protocol)
        ? httpManager(scope.mesh, 'mesh', `inbound_0.0.0.0_${port}`, {
            kind: 'inline',
            table: inboundRoutes(port),
          })
        : tcpProxy(scope.mesh, `inbound_0.0.0.0_${port}`, [{ cluster: name, weight: 1 }]),
    }
  })
  return {
    listener: {
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
        {
          name: 'virtualInbound',
          match: MATCH_ALL,
          filter: tcpProxy(scope.mesh, INBOUND_PASSTHROUGH_CLUSTER, [
            { cluster: INBOUND_PASSTHROUGH_CLUSTER, weight: 1 },
          ]),
        },
      ],
      origins: [],
    },
    clusters: [
      ...[...ports.keys()].map((port) => inboundAppCluster(scope, port, '127.0.0.1', port)),
      plainCluster(scope, INBOUND_PASSTHROUGH_CLUSTER, { kind: 'originalDst' }),
    ],
  }
}

/** The workload's own ports that services send to, by the addresses that are its own. */
function servedPorts(scope: ProxyScope): ReadonlyMap<number, PortProtocol> {
  const addresses = new Set(scope.proxy.addresses)
  const ports = new Map<number, PortProtocol>()
  for (const [host, instances] of scope.snapshot.instances) {
    const service = scope.snapshot.services.get(host)
    if (service === undefined || service.external) continue
    for (const { address, port, servicePort } of instances) {
      const own = service.ports.find((one) => one.port === servicePort)
      if (own === undefined || !addresses.has(address) || ports.has(port)) continue
      ports.set(port, own.protocol)
    }
  }
  return new Map([...ports].sort(([a], [b]) => a - b))
}
