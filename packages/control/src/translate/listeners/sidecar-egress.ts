/**
 * Egress listeners of a Sidecar with a port of their own. Those that name an
 * address, or that capture nothing, are one listener for all that they import;
 * the others are laid out like any captured port.
 */
import type { FilterChain, Listener, RouteTable } from '@weft/model'
import { MATCH_ALL, unixSocketOf } from '@weft/model'
import { isHttp, protocolNamed } from '../../registries/declared/port-protocol.ts'
import { captureListener, HTTP_PROXY_ROUTES } from '../names.ts'
import { captureRouteTable, explicitRouteTable } from '../routes/mesh-route-tables.ts'
import { narrowed, type ProxyScope } from '../scope.ts'
import type { EgressListener } from '../sidecar-scope.ts'
import { byteChains } from './capture-chains.ts'
import { distinctChains } from './distinct-chains.ts'
import { httpManager } from './http-manager.ts'

/** One egress listener's port and what it may see. */
interface EgressPort {
  readonly port: number
  readonly scope: ProxyScope
}

/** Captured ports with imports of their own; the rest of the scope serves every other port. */
export interface CapturedEgress {
  readonly ports: readonly EgressPort[]
  /** Absent: no egress listener is for all ports. */
  readonly rest: ProxyScope | undefined
}

export function capturedEgress(scope: ProxyScope): CapturedEgress {
  const egress = scope.sidecar?.egress ?? []
  if (egress.length === 0) return { ports: [], rest: scope }
  const last = egress.find(({ listener }) => listener.port === undefined)
  return {
    ports: egress.flatMap((one) => {
      const port = one.listener.port?.number ?? 0
      return port === 0 ? [] : [{ port, scope: { ...scope, ...narrowed(one.imports) } }]
    }),
    rest: last === undefined ? undefined : { ...scope, ...narrowed(last.imports) },
  }
}

export interface BoundEgress {
  readonly listeners: readonly Listener[]
  readonly routes: readonly RouteTable[]
  /** Ports that captured listeners leave alone. */
  readonly ports: ReadonlySet<number>
}

/** Listeners at an address of their own. A proxy that captures nothing binds them all. */
export function boundEgress(scope: ProxyScope): BoundEgress {
  const listeners: Listener[] = []
  const routes: RouteTable[] = []
  const ports = new Set<number>()
  const isExplicit = scope.proxy.capture.kind === 'explicit'
  for (const one of scope.sidecar?.egress ?? []) {
    const { port, captureMode, bind = '' } = one.listener
    const number = port?.number ?? 0
    const socket = unixSocketOf(bind)
    const isUnix = socket !== undefined
    const isBound = isUnix || captureMode === 'NONE' || (isExplicit && captureMode !== 'IPTABLES')
    if ((number === 0 && !isUnix) || (bind === '' && !isBound)) continue
    const host = socket?.host ?? (bind === '' ? LOOPBACK : bind)
    const { listener, table } = egressListener(scope, one, { host, port: number, isBound })
    if (listener.filterChains.length === 0) continue
    if (!isUnix) ports.add(number)
    listeners.push(listener)
    if (table !== undefined) routes.push(table)
  }
  return { listeners, routes, ports }
}

const LOOPBACK = '127.0.0.1'

interface Place {
  readonly host: string
  /** 0: a Unix socket, for every port. */
  readonly port: number
  readonly isBound: boolean
}

function egressListener(
  whole: ProxyScope,
  { listener, imports, index }: EgressListener,
  { host, port, isBound }: Place,
): { readonly listener: Listener; readonly table?: RouteTable } {
  const scope = { ...whole, ...narrowed(imports) }
  const protocol = (listener.port?.protocol ?? '').toLowerCase()
  const name = captureListener(host, port)
  const table = tableFor(scope, protocol, name, port)
  const chains = table === undefined ? bytesOf(scope, port) : [httpOf(scope, name, table, protocol)]
  const document = scope.sidecar?.document
  const path = `spec.egress[${index}]`
  return {
    listener: {
      name,
      address: { host, port },
      direction: 'outbound',
      bindToPort: isBound,
      useOriginalDst: false,
      filterChains: chains,
      origins:
        document === undefined ? [] : [{ ...document.origin, path, line: document.lineOf(path) }],
    },
    ...(table === undefined ? {} : { table }),
  }
}

function tableFor(
  scope: ProxyScope,
  protocol: string,
  name: string,
  port: number,
): RouteTable | undefined {
  const isOfHttp = isHttp(protocolNamed(protocol) ?? 'tcp')
  if (protocol === 'http_proxy' || (isOfHttp && port === 0)) {
    return { ...explicitRouteTable(scope), name: `${HTTP_PROXY_ROUTES} ${name}` }
  }
  if (!isOfHttp) return undefined
  const services = [...scope.services.values()].filter(({ ports }) =>
    ports.some((one) => one.port === port),
  )
  return captureRouteTable(scope, name, port, services)
}

function httpOf(scope: ProxyScope, name: string, table: RouteTable, protocol: string): FilterChain {
  const upgrades = protocol === 'http_proxy' ? ['websocket', 'connect'] : ['websocket']
  const routes = { kind: 'rds', name: table.name } as const
  return {
    name: 'http',
    match: MATCH_ALL,
    filter: httpManager(scope.mesh, 'application', `outbound_${name}`, routes, upgrades),
  }
}

/** Server names tell TLS services apart; of plain ones only the first can have the listener. */
function bytesOf(scope: ProxyScope, number: number): readonly FilterChain[] {
  const chains = [...scope.services.values()].flatMap((service) =>
    service.ports.flatMap((port) =>
      (port.port === number || number === 0) && port.protocol !== 'udp'
        ? byteChains(scope, { service, port, prefixes: [], needsServerName: true })
        : [],
    ),
  )
  return distinctChains(chains)
}
