/**
 * Outbound listeners for captured traffic, as Istio lays them out: one per HTTP
 * port, one per address and port of TCP services, and one that takes the rest.
 * None but the last binds; it hands connections over by original destination.
 */
import { isIP } from 'node:net'
import type { FilterChain, Listener, Origin, RouteTable } from '@weft/model'
import { MATCH_ALL } from '@weft/model'
import type { MeshService, ServicePort } from '../../registries/registry.ts'
import { covers } from '../../snapshot/hosts.ts'
import { BLACK_HOLE_CLUSTER, captureListener, PASSTHROUGH_CLUSTER } from '../names.ts'
import { captureRouteTable, portsWithoutService } from '../routes/mesh-route-tables.ts'
import { MESH_GATEWAY } from '../routes/route-context.ts'
import { serviceTcpTargets } from '../routes/service-routes.ts'
import { tlsRoutes } from '../routes/tcp-routes.ts'
import type { ProxyScope } from '../scope.ts'
import { httpManager, tcpProxy } from './http-manager.ts'

export interface CaptureOutbound {
  readonly listeners: readonly Listener[]
  readonly routes: readonly RouteTable[]
}

const ANY = '0.0.0.0'

export function captureOutbound(scope: ProxyScope): CaptureOutbound {
  const listeners = new Map<string, Listener>()
  const routes: RouteTable[] = []
  const plan = planPorts(scope)
  for (const [port, services] of plan.http) {
    const table = captureRouteTable(scope, String(port), port, services)
    routes.push(table)
    const name = captureListener(ANY, port)
    listeners.set(name, httpListener(scope, name, ANY, port, table.name, originsOf(services)))
  }
  for (const { service, port, address } of plan.sniffed) {
    const name = captureListener(address, port.port)
    const table = captureRouteTable(scope, `${service.host}:${port.port}`, port.port, [service])
    if (listeners.has(name)) continue
    routes.push(table)
    const origins = service.origins
    listeners.set(name, httpListener(scope, name, address, port.port, table.name, origins))
  }
  for (const { service, port, address } of plan.tcp) {
    const name = captureListener(address, port.port)
    if (!listeners.has(name)) {
      listeners.set(name, tcpListener(scope, name, address, service, port))
    }
  }
  for (const [port, services] of plan.tls) {
    const name = captureListener(ANY, port)
    const known = listeners.get(name)
    listeners.set(name, tlsListener(scope, name, port, services, known))
  }
  listeners.set('virtualOutbound', catchAll(scope))
  return { listeners: [...listeners.values()], routes }
}

interface AddressedPort {
  readonly service: MeshService
  readonly port: ServicePort
  readonly address: string
}

interface PortPlan {
  /** Ports that speak HTTP, shared by all services on them. */
  readonly http: ReadonlyMap<number, readonly MeshService[]>
  /** Nobody said which protocol, but the address tells whose port it is. */
  readonly sniffed: readonly AddressedPort[]
  readonly tcp: readonly AddressedPort[]
  /** TLS without an address: told apart by SNI. */
  readonly tls: ReadonlyMap<number, readonly MeshService[]>
}

function planPorts(scope: ProxyScope): PortPlan {
  const http = new Map<number, MeshService[]>()
  const tls = new Map<number, MeshService[]>()
  const sniffed: AddressedPort[] = []
  const tcp: AddressedPort[] = []
  for (const service of scope.services.values()) {
    for (const port of service.ports) {
      const addresses = addressesOf(scope, service, port)
      const at = addresses.map((address) => ({ service, port, address }))
      switch (port.protocol) {
        case 'http':
        case 'http2':
        case 'grpc':
          push(http, port.port, service)
          break
        case 'auto':
          if (addresses.length > 0) sniffed.push(...at)
          else push(http, port.port, service)
          break
        case 'tls':
        case 'https':
          if (addresses.length > 0) tcp.push(...at)
          else push(tls, port.port, service)
          break
        case 'tcp':
          tcp.push(...(addresses.length > 0 ? at : [{ service, port, address: ANY }]))
          break
        case 'udp':
          break
      }
    }
  }
  for (const [port] of portsWithoutService(scope)) if (!http.has(port)) http.set(port, [])
  return { http, sniffed, tcp, tls }
}

function push(map: Map<number, MeshService[]>, port: number, service: MeshService): void {
  const list = map.get(port)
  if (list === undefined) map.set(port, [service])
  else list.push(service)
}

/** Where captured connections to the service go: its virtual addresses; of a headless one its pods'. */
function addressesOf(
  scope: ProxyScope,
  service: MeshService,
  port: ServicePort,
): readonly string[] {
  if (service.resolution !== 'headless') {
    return service.addresses.filter((address) => isIP(address.replace(/\/.*$/, '')) !== 0)
  }
  const instances = scope.snapshot.instances.get(service.host) ?? []
  const own = instances.filter(({ servicePort }) => servicePort === port.port)
  return [...new Set(own.map(({ address }) => address))].sort()
}

function httpListener(
  scope: ProxyScope,
  name: string,
  host: string,
  port: number,
  routeName: string,
  origins: readonly Origin[],
): Listener {
  return {
    ...captured(name, host, port, origins),
    filterChains: [
      {
        name: 'http',
        match: {
          ...MATCH_ALL,
          transportProtocol: 'raw_buffer',
          applicationProtocols: ['http/1.0', 'http/1.1', 'h2c'],
        },
        filter: httpManager(scope.mesh, 'application', `outbound_${name}`, {
          kind: 'rds',
          name: routeName,
        }),
      },
    ],
    defaultFilterChain: fallback(scope),
  }
}

function tcpListener(
  scope: ProxyScope,
  name: string,
  address: string,
  service: MeshService,
  port: ServicePort,
): Listener {
  const { targets, origins } = serviceTcpTargets(scope, service, port)
  const [host = address, bits] = address.split('/')
  const isRange = bits !== undefined && bits !== '32' && bits !== '128'
  const prefix = isRange ? [address] : []
  const sni = sniChains(scope, service, port)
  const chain: FilterChain = {
    name: 'tcp',
    match: { ...MATCH_ALL, destinationPrefixes: prefix },
    filter: tcpProxy(scope.mesh, statPrefix(service, port), targets),
  }
  return {
    ...captured(name, isRange ? ANY : host, port.port, [
      ...new Set([...service.origins, ...origins]),
    ]),
    filterChains: [...sni, chain],
    ...(isRange ? { defaultFilterChain: fallback(scope) } : {}),
  }
}

/** @param known An HTTP listener of the same port gains the TLS chains: the first bytes tell them apart. */
function tlsListener(
  scope: ProxyScope,
  name: string,
  port: number,
  services: readonly MeshService[],
  known: Listener | undefined,
): Listener {
  const taken = new Set<string>()
  const chains: FilterChain[] = []
  const add = (chain: FilterChain) => {
    const serverNames = chain.match.serverNames.filter((one) => !taken.has(one))
    for (const one of serverNames) taken.add(one)
    if (serverNames.length > 0) chains.push({ ...chain, match: { ...chain.match, serverNames } })
  }
  for (const service of services) {
    const own = service.ports.find((one) => one.port === port)
    if (own === undefined) continue
    for (const chain of sniChains(scope, service, own)) add(chain)
    const { targets } = serviceTcpTargets(scope, service, own)
    add({
      name: service.host,
      match: { ...MATCH_ALL, transportProtocol: 'tls', serverNames: [service.host] },
      filter: tcpProxy(scope.mesh, statPrefix(service, own), targets),
    })
  }
  if (known !== undefined) {
    return { ...known, filterChains: [...known.filterChains, ...chains] }
  }
  return {
    ...captured(name, ANY, port, originsOf(services)),
    filterChains: chains,
    defaultFilterChain: fallback(scope),
  }
}

/** `tls[]` of VirtualServices for the service's host. */
function sniChains(
  scope: ProxyScope,
  service: MeshService,
  port: ServicePort,
): readonly FilterChain[] {
  const context = { scope, port: port.port, gateways: MESH_GATEWAY }
  return scope.virtualServices
    .filter(
      ({ gateways, hosts }) =>
        gateways.includes('mesh') && hosts.some((host) => covers(host, service.host)),
    )
    .flatMap((bound) =>
      tlsRoutes(bound, context).map((route, i) => ({
        name: `${bound.document.metadata.namespace}.${bound.document.metadata.name}.tls.${i}`,
        match: {
          ...MATCH_ALL,
          transportProtocol: 'tls' as const,
          serverNames: route.serverNames,
          destinationPrefixes: route.destinationPrefixes,
        },
        filter: tcpProxy(scope.mesh, statPrefix(service, port), route.targets),
      })),
    )
}

function catchAll(scope: ProxyScope): Listener {
  return {
    name: 'virtualOutbound',
    address: { host: ANY, port: 15001 },
    direction: 'outbound',
    bindToPort: true,
    useOriginalDst: true,
    filterChains: [
      {
        // Nobody dials the proxy's own port; who does would be sent back to it for ever.
        name: 'virtualOutbound-blackhole',
        match: { ...MATCH_ALL, destinationPort: 15001 },
        filter: tcpProxy(scope.mesh, BLACK_HOLE_CLUSTER, [
          { cluster: BLACK_HOLE_CLUSTER, weight: 1 },
        ]),
      },
      { ...fallback(scope), name: 'virtualOutbound-catchall-tcp' },
    ],
    origins: [],
  }
}

function fallback(scope: ProxyScope): FilterChain {
  const cluster =
    scope.mesh.outboundTrafficPolicy === 'ALLOW_ANY' ? PASSTHROUGH_CLUSTER : BLACK_HOLE_CLUSTER
  return {
    name: 'PassthroughFilterChain',
    match: MATCH_ALL,
    filter: tcpProxy(scope.mesh, cluster, [{ cluster, weight: 1 }]),
  }
}

function captured(name: string, host: string, port: number, origins: readonly Origin[]) {
  return {
    name,
    address: { host, port },
    direction: 'outbound' as const,
    bindToPort: false,
    useOriginalDst: false,
    origins,
  }
}

function statPrefix(service: MeshService, port: ServicePort): string {
  return `outbound|${port.port}||${service.host}`
}

function originsOf(services: readonly MeshService[]): readonly Origin[] {
  return services.flatMap(({ origins }) => origins)
}
