/** Small configurations for tests: valid, with everything that does not matter filled in. */
import {
  type Cluster,
  type Endpoints,
  type HttpConnectionManager,
  type Listener,
  MATCH_ALL,
  NO_HEADER_CHANGES,
  NO_LIMITS,
  NO_LOCALITY,
  type ResourceSet,
  type RouteTable,
  type SocketAddress,
} from '@weft/model'

export function cluster(
  name: string,
  discovery: Cluster['discovery'] = { kind: 'eds', name },
): Cluster {
  return {
    name,
    discovery,
    loadBalancer: { kind: 'roundRobin' },
    connectTimeoutMs: 1_000,
    limits: NO_LIMITS,
    http: {
      protocol: 'http1',
      idleTimeoutMs: 0,
      maxRequestsPerConnection: 0,
      maxConcurrentStreams: 0,
    },
    origins: [],
  }
}

/** @param hosts Addresses; the port is 80 unless given as `host:port`. */
export function endpoints(name: string, hosts: readonly string[], inMesh: boolean): Endpoints {
  const workload = { name: 'w', namespace: 'd', app: 'a', version: 'v', cluster: 'c' }
  return {
    name,
    localities: [
      {
        locality: NO_LOCALITY,
        priority: 0,
        weight: 1,
        endpoints: hosts.map((text) => ({
          address: addressOf(text),
          weight: 1,
          health: 'healthy',
          ...(inMesh ? { workload } : {}),
        })),
      },
    ],
  }
}

function addressOf(text: string): SocketAddress {
  const [host = '', port = '80'] = text.split(/(?<=[\d.]):(?=\d+$)/)
  return { host, port: Number(port) }
}

/** One virtual host, one route, to the given clusters in equal parts. */
export function table(targets: readonly string[]): RouteTable {
  const [first = '', ...others] = targets
  const target = (name: string) => ({
    cluster: name,
    weight: 1,
    requestHeaders: NO_HEADER_CHANGES,
    responseHeaders: NO_HEADER_CHANGES,
  })
  return {
    name: 'http_proxy',
    virtualHosts: [
      {
        name: 'all',
        domains: ['*'],
        routes: [
          {
            name: 'default',
            match: {
              path: { kind: 'prefix', value: '/', ignoreCase: false },
              headers: [],
              query: [],
            },
            action: {
              kind: 'forward',
              targets: [target(first), ...others.map(target)],
              timeoutMs: 0,
              mirrors: [],
              hashPolicies: [],
            },
            requestHeaders: NO_HEADER_CHANGES,
            responseHeaders: NO_HEADER_CHANGES,
            origins: [],
          },
        ],
        requireTls: 'none',
        requestHeaders: NO_HEADER_CHANGES,
        responseHeaders: NO_HEADER_CHANGES,
        origins: [],
      },
    ],
    origins: [],
  }
}

export function listener(
  name: string,
  direction: Listener['direction'] = 'outbound',
  port = 15_001,
): Listener {
  const filter: HttpConnectionManager = {
    kind: 'http',
    statPrefix: name,
    routes: { kind: 'rds', name: 'http_proxy' },
    filters: [],
    useRemoteAddress: false,
    xffTrustedHops: 0,
    normalizePath: true,
    mergeSlashes: false,
    upgrades: [],
    acceptHttp10: true,
    generateRequestId: true,
    maxRequestHeadBytes: 65_536,
    requestHeadTimeoutMs: 0,
    idleTimeoutMs: 0,
    streamIdleTimeoutMs: 0,
    accessLogs: [],
  }
  return {
    name,
    address: { host: '127.0.0.1', port },
    direction,
    bindToPort: true,
    useOriginalDst: false,
    filterChains: [{ name: 'http', match: MATCH_ALL, filter }],
    origins: [],
  }
}

export interface SetParts {
  readonly listener: readonly Listener[]
  readonly route: readonly RouteTable[]
  readonly cluster: readonly Cluster[]
  readonly endpoints: readonly Endpoints[]
}

export function setOf(parts: SetParts): ResourceSet {
  return {
    listener: byName(parts.listener),
    route: byName(parts.route),
    cluster: byName(parts.cluster),
    endpoints: byName(parts.endpoints),
    secret: new Map(),
  }
}

function byName<R extends { readonly name: string }>(list: readonly R[]): Map<string, R> {
  return new Map(list.map((resource) => [resource.name, resource]))
}
