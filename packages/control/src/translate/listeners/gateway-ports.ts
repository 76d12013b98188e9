/**
 * Which ports a gateway proxy opens, and for which servers of Istio Gateways and
 * listeners of Gateway API gateways each of them stands.
 */
import type { DocumentOf, GatewayServer } from '@weft/config'
import { selects } from '../../registries/declared/workload-ref.ts'
import type { JudgedListener } from '../../snapshot/gateway-api/listeners.ts'
import type { ProxyScope } from '../scope.ts'

export type GatewayDoor =
  | {
      readonly kind: 'istio'
      readonly gateway: DocumentOf<'IstioGateway'>
      readonly server: GatewayServer
      readonly index: number
    }
  | { readonly kind: 'kubernetes'; readonly listener: JudgedListener }

export interface GatewayPort {
  /** Address to bind and to be named by, e.g. `0.0.0.0`, or `unix:///run/gateway.sock`. */
  readonly bind: string
  /** The port to bind; callers may know it by another number. 0: a Unix socket. */
  readonly port: number
  readonly doors: readonly GatewayDoor[]
}

/** How Gateway API gateways label the proxies that serve them. */
const GATEWAY_NAME_LABEL = 'gateway.networking.k8s.io/gateway-name'

export function gatewayPorts(scope: ProxyScope): readonly GatewayPort[] {
  const ports = new Map<string, GatewayPort & { readonly doors: GatewayDoor[] }>()
  const add = (bind: string, number: number, door: GatewayDoor) => {
    const port = number === 0 ? 0 : boundPort(scope, number)
    const key = `${bind}_${port}`
    const known = ports.get(key) ?? { bind, port, doors: [] }
    known.doors.push(door)
    ports.set(key, known)
  }
  for (const gateway of scope.snapshot.istioGateways) {
    const { selector = {}, servers = [] } = gateway.spec
    // No selector selects every gateway.
    if (Object.keys(selector).length > 0 && !selects(selector, scope.proxy.labels)) continue
    for (const [index, server] of servers.entries()) {
      const bind = server.bind === undefined || server.bind === '' ? '0.0.0.0' : server.bind
      add(bind, server.port.number, { kind: 'istio', gateway, server, index })
    }
  }
  for (const listener of scope.snapshot.listeners) {
    if (serves(scope, listener)) {
      add('0.0.0.0', listener.spec.port, { kind: 'kubernetes', listener })
    }
  }
  return [...ports.values()].sort((a, b) => a.port - b.port)
}

/** A proxy that is labelled for one gateway serves that one; others serve all. */
export function serves(scope: ProxyScope, { gateway }: JudgedListener): boolean {
  const own = scope.proxy.labels[GATEWAY_NAME_LABEL]
  if (own === undefined) return true
  return own === gateway.metadata.name && scope.proxy.namespace === gateway.metadata.namespace
}

/** What the proxy says, else the target port of a service in front of it, else the number itself. */
function boundPort(scope: ProxyScope, number: number): number {
  const mapped = scope.proxy.portMap.get(number)
  if (mapped !== undefined) return mapped
  for (const [host, instances] of scope.snapshot.instances) {
    const service = scope.snapshot.services.get(host)
    if (service === undefined || service.source === 'selfRegistered') continue
    const own = instances.find(
      (instance) =>
        instance.servicePort === number && scope.proxy.addresses.includes(instance.address),
    )
    if (own !== undefined) return own.port
  }
  return number
}

export function doorPort(door: GatewayDoor): number {
  return door.kind === 'istio' ? door.server.port.number : door.listener.spec.port
}

export type DoorProtocol = 'http' | 'https' | 'passthrough' | 'tls' | 'tcp'

/** `tls` terminates and passes bytes on; `passthrough` looks at the SNI only. */
export function doorProtocol(door: GatewayDoor): DoorProtocol {
  if (door.kind === 'kubernetes') return listenerProtocol(door.listener)
  const { port, tls } = door.server
  const isPassthrough = tls?.mode === 'PASSTHROUGH' || tls?.mode === 'AUTO_PASSTHROUGH'
  switch (port.protocol.toUpperCase()) {
    case 'HTTPS':
      return isPassthrough ? 'passthrough' : 'https'
    case 'TLS':
      return isPassthrough ? 'passthrough' : 'tls'
    case 'HTTP':
    case 'HTTP2':
    case 'GRPC':
    case 'GRPC-WEB':
      return 'http'
    default:
      return tls === undefined || isPassthrough ? 'tcp' : 'tls'
  }
}

function listenerProtocol({ spec }: JudgedListener): DoorProtocol {
  switch (spec.protocol) {
    case 'HTTPS':
      return 'https'
    case 'TLS':
      return spec.tls?.mode === 'Passthrough' ? 'passthrough' : 'tls'
    case 'TCP':
      return 'tcp'
    default:
      return 'http'
  }
}

/** Hosts without their namespace part, `*` for all. */
export function doorHosts(door: GatewayDoor): readonly string[] {
  if (door.kind === 'kubernetes') return [door.listener.spec.hostname ?? '*']
  return door.server.hosts.map((host) => splitHost(host).host)
}

/** `ns/host`, `./host`, `* /host` (without the blank) or `host`. */
export function splitHost(text: string): { readonly namespace: string; readonly host: string } {
  const slash = text.indexOf('/')
  return slash < 0
    ? { namespace: '*', host: text.toLowerCase() }
    : { namespace: text.slice(0, slash), host: text.slice(slash + 1).toLowerCase() }
}
