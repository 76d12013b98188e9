/**
 * Outbound listeners for captured traffic, as Istio lays them out: one per HTTP
 * port, one per address and port of other services, and one that takes the rest.
 * None but the last binds; it hands connections over by original destination.
 *
 * Where services of several kinds share an address and port, the first bytes
 * tell HTTP from the rest, and address ranges and server names tell the rest apart.
 */
import { isIP } from 'node:net'
import type { FilterChain, Listener, Origin, RouteTable } from '@weft/model'
import { MATCH_ALL } from '@weft/model'
import type { MeshService, ServicePort } from '../../registries/registry.ts'
import { BLACK_HOLE_CLUSTER, captureListener } from '../names.ts'
import { captureRouteTable } from '../routes/mesh-route-tables.ts'
import { isRouted, serviceTcpTargets } from '../routes/service-routes.ts'
import type { ProxyScope } from '../scope.ts'
import { type BytePort, byteChains, passthroughChain } from './capture-chains.ts'
import { distinctChains } from './distinct-chains.ts'
import { httpManager, tcpProxy } from './http-manager.ts'
import { boundEgress, capturedEgress } from './sidecar-egress.ts'

export interface CaptureOutbound {
  readonly listeners: readonly Listener[]
  readonly routes: readonly RouteTable[]
}

const ANY = '0.0.0.0'

export function captureOutbound(scope: ProxyScope): CaptureOutbound {
  const listeners: Listener[] = []
  const routes: RouteTable[] = []
  const bound = boundEgress(scope)
  const { ports, rest } = capturedEgress(scope)
  const add = (own: ProxyScope, isServed: (port: number) => boolean) => {
    for (const door of doorsOf(own).filter(({ port }) => isServed(port))) {
      const table = door.isHttp ? routeTable(own, door) : undefined
      if (table !== undefined) routes.push(table)
      listeners.push(captureDoor(own, door, table))
    }
  }
  for (const { port, scope: own } of ports) {
    if (!bound.ports.has(port)) add(own, (one) => one === port)
  }
  const taken = new Set([...bound.ports, ...ports.map(({ port }) => port)])
  if (rest !== undefined) add(rest, (port) => !taken.has(port))
  return {
    listeners: [...listeners, ...bound.listeners, catchAll(scope)],
    routes: [...routes, ...bound.routes],
  }
}

/** One address and port, and what is behind it. */
interface Door {
  readonly host: string
  readonly port: number
  readonly services: Set<MeshService>
  readonly bytes: BytePort[]
  isHttp: boolean
}

function doorsOf(scope: ProxyScope): readonly Door[] {
  const doors = new Map<string, Door>()
  const doorAt = (host: string, port: number, service: MeshService) => {
    const name = captureListener(host, port)
    const door = doors.get(name) ?? { host, port, services: new Set(), bytes: [], isHttp: false }
    doors.set(name, door)
    door.services.add(service)
    return door
  }
  for (const service of scope.services.values()) {
    for (const port of service.ports) {
      switch (port.protocol) {
        case 'udp':
          break
        case 'http':
        case 'http2':
        case 'grpc':
          doorAt(ANY, port.port, service).isHttp = true
          break
        default:
          for (const { host, prefixes } of placesOf(scope, service, port)) {
            const door = doorAt(host, port.port, service)
            door.bytes.push({ service, port, prefixes, needsServerName: host === ANY })
            if (port.protocol === 'auto') door.isHttp = true
          }
      }
    }
  }
  return [...doors.values()]
}

/**
 * Where captured connections to the service go: to each of its addresses, to any
 * of its address ranges, or, when it has neither, anywhere.
 */
function placesOf(
  scope: ProxyScope,
  service: MeshService,
  port: ServicePort,
): readonly { readonly host: string; readonly prefixes: readonly string[] }[] {
  const addresses = addressesOf(scope, service, port)
  const prefixes = addresses.filter((address) => address.includes('/'))
  const hosts = addresses.filter((address) => !address.includes('/'))
  return [
    ...hosts.map((host) => ({ host, prefixes: [] })),
    ...(hosts.length === 0 || prefixes.length > 0 ? [{ host: ANY, prefixes }] : []),
  ]
}

/** Virtual addresses; of a headless service those of its pods. A range of one is an address. */
function addressesOf(
  scope: ProxyScope,
  service: MeshService,
  port: ServicePort,
): readonly string[] {
  if (service.resolution !== 'headless') {
    return service.addresses
      .map((address) => address.replace(address.includes(':') ? /\/128$/ : /\/32$/, ''))
      .filter((address) => isIP(address.replace(/\/.*$/, '')) !== 0)
  }
  const own = scope.instancesOf(service).filter(({ servicePort }) => servicePort === port.port)
  return [...new Set(own.map(({ address }) => address))].sort()
}

/** A listener that many services share has the routes of them all, one of its own address only its own. */
function routeTable(scope: ProxyScope, { host, port, services }: Door): RouteTable {
  if (host === ANY) {
    const all = [...scope.services.values()].filter((service) =>
      service.ports.some((one) => one.port === port && isRouted(one)),
    )
    return captureRouteTable(scope, String(port), port, all)
  }
  const [service] = services
  return captureRouteTable(scope, `${service?.host}:${port}`, port, [...services])
}

function captureDoor(scope: ProxyScope, door: Door, table: RouteTable | undefined): Listener {
  const { host, port } = door
  const name = captureListener(host, port)
  const chains = distinctChains([
    ...(table === undefined ? [] : [httpChain(scope, name, table)]),
    ...door.bytes.flatMap((one) => byteChains(scope, one)),
  ])
  // Envoy never goes back from a chain that asks for more, so what asks for nothing is the default.
  const catching = chains.find(({ match }) => isMatchAll(match))
  const isAlone = chains.length === 1 && catching !== undefined
  const last = catching ?? (host === ANY ? passthroughChain(scope) : undefined)
  return {
    name,
    address: { host, port },
    direction: 'outbound',
    bindToPort: false,
    useOriginalDst: false,
    filterChains: isAlone ? chains : chains.filter((chain) => chain !== catching),
    ...(isAlone || last === undefined ? {} : { defaultFilterChain: last }),
    origins: originsOf(scope, door),
  }
}

function httpChain(scope: ProxyScope, listener: string, table: RouteTable): FilterChain {
  return {
    name: 'http',
    match: {
      ...MATCH_ALL,
      transportProtocol: 'raw_buffer',
      applicationProtocols: ['http/1.0', 'http/1.1', 'h2c'],
    },
    filter: httpManager(scope.mesh, 'application', `outbound_${listener}`, {
      kind: 'rds',
      name: table.name,
    }),
  }
}

function isMatchAll(match: FilterChain['match']): boolean {
  return JSON.stringify(match) === JSON.stringify(MATCH_ALL)
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
      { ...passthroughChain(scope), name: 'virtualOutbound-catchall-tcp' },
    ],
    origins: [],
  }
}

function originsOf(scope: ProxyScope, { services, bytes }: Door): readonly Origin[] {
  const own = [...services].flatMap(({ origins }) => origins)
  const routed = bytes.flatMap(
    ({ service, port }) => serviceTcpTargets(scope, service, port).origins,
  )
  return [...new Set([...own, ...routed])]
}
