/** An engine as small as tests and benches want it: one listener, one route to one cluster. */
import { type Clock, realClock, silentLogger } from '@weft/base'
import {
  type Cluster,
  type Endpoints,
  type HttpConnectionManager,
  MATCH_ALL,
  NO_HEADER_CHANGES,
  NO_LIMITS,
  NO_LOCALITY,
  type Route,
  type RouteAction,
  type RouteTable,
  type SocketAddress,
} from '@weft/model'
import { createHandleTransport, TimerWheel, type Transport } from '@weft/net'
import { compileRouteTable } from '@weft/traffic'
import { UpstreamCluster } from '../upstream/cluster.ts'
import type { EngineDeps, ExchangeObserver, HttpRuntime, ListenerRuntime } from './contract.ts'

const SILENT: ExchangeObserver = { onExchangeEnd() {}, onConnectionEnd() {} }

export function engineDeps(
  transport: Transport = createHandleTransport(),
  clock: Clock = realClock,
): EngineDeps {
  const wheel = new TimerWheel(clock)
  return { transport, clock, wheel, random: Math.random, log: silentLogger }
}

export const MANAGER: HttpConnectionManager = {
  kind: 'http',
  statPrefix: 'test',
  routes: { kind: 'rds', name: 'test' },
  filters: [{ kind: 'cors' }, { kind: 'fault' }],
  useRemoteAddress: false,
  xffTrustedHops: 0,
  normalizePath: true,
  mergeSlashes: false,
  upgrades: ['websocket'],
  acceptHttp10: true,
  generateRequestId: true,
  maxRequestHeadBytes: 61_440,
  requestHeadTimeoutMs: 60_000,
  idleTimeoutMs: 3_600_000,
  streamIdleTimeoutMs: 300_000,
  accessLogs: [],
}

function endpointsOf(name: string, addresses: readonly SocketAddress[]): Endpoints {
  const endpoints = addresses.map((address) => ({ address, weight: 1, health: 'healthy' }) as const)
  return { name, localities: [{ locality: NO_LOCALITY, priority: 0, weight: 1, endpoints }] }
}

export function clusterOf(
  name: string,
  addresses: readonly SocketAddress[],
  changes: Partial<Cluster> = {},
): Cluster {
  return {
    name,
    discovery: { kind: 'static', endpoints: endpointsOf(name, addresses) },
    loadBalancer: { kind: 'leastRequest', choices: 2 },
    connectTimeoutMs: 2_000,
    limits: NO_LIMITS,
    http: {
      protocol: 'http1',
      idleTimeoutMs: 3_600_000,
      maxRequestsPerConnection: 0,
      maxConcurrentStreams: 0,
    },
    origins: [],
    ...changes,
  }
}

export function forwardTo(cluster: string, changes: Partial<RouteAction> = {}): RouteAction {
  const target = {
    cluster,
    weight: 1,
    requestHeaders: NO_HEADER_CHANGES,
    responseHeaders: NO_HEADER_CHANGES,
  }
  return {
    kind: 'forward',
    targets: [target],
    timeoutMs: 0,
    mirrors: [],
    hashPolicies: [],
    ...changes,
  } as RouteAction
}

export function routeOf(action: RouteAction, changes: Partial<Route> = {}): Route {
  return {
    name: 'default',
    match: { path: { kind: 'prefix', value: '/', ignoreCase: false }, headers: [], query: [] },
    action,
    requestHeaders: NO_HEADER_CHANGES,
    responseHeaders: NO_HEADER_CHANGES,
    origins: [],
    ...changes,
  }
}

export function tableOf(routes: readonly Route[], domains: readonly string[] = ['*']): RouteTable {
  const virtualHost = {
    name: 'all',
    domains,
    routes,
    requireTls: 'none',
    requestHeaders: NO_HEADER_CHANGES,
    responseHeaders: NO_HEADER_CHANGES,
    origins: [],
  } as const
  return { name: 'test', virtualHosts: [virtualHost], origins: [] }
}

export function httpRuntime(
  table: RouteTable,
  clusters: readonly UpstreamCluster[],
  changes: Partial<HttpRuntime> = {},
): HttpRuntime {
  return {
    kind: 'http',
    listener: 'test',
    direction: 'outbound',
    manager: MANAGER,
    routes: compileRouteTable(table),
    clusters: new Map(clusters.map((cluster) => [cluster.model.name, cluster])),
    observer: SILENT,
    ...changes,
  }
}

export function listenerRuntime(
  handler: ListenerRuntime['chains'][number]['handler'],
): ListenerRuntime {
  return {
    name: 'test',
    direction: 'outbound',
    chains: [{ name: 'only', match: MATCH_ALL, handler }],
  }
}

export function upstreamOf(cluster: Cluster, deps: EngineDeps): UpstreamCluster {
  const { discovery } = cluster
  return new UpstreamCluster(
    cluster,
    discovery.kind === 'static' ? discovery.endpoints : undefined,
    deps,
  )
}
