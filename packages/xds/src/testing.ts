/** Small resources for tests, and the set of a mesh that consists of one service. */
import type { Cluster, Endpoints, Listener, ResourceSet, RouteTable } from '@weft/model'
import { MATCH_ALL, NO_HEADER_CHANGES, NO_LIMITS, NO_LOCALITY } from '@weft/model'
import type { XdsNode } from './node.ts'

export function testNode(kind: string, id = 'n1'): XdsNode {
  return {
    id,
    cluster: 'app.default',
    locality: NO_LOCALITY,
    metadata: { WEFT_KIND: kind, LABELS: { app: 'app' } },
    userAgentName: 'weft',
    features: [],
  }
}

export function testCluster(name: string, connectTimeoutMs = 1_000): Cluster {
  return {
    name,
    discovery: { kind: 'eds', name },
    loadBalancer: { kind: 'roundRobin' },
    connectTimeoutMs,
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

export function testEndpoints(name: string, ...ports: number[]): Endpoints {
  const endpoints = ports.map((port) => ({
    address: { host: '127.0.0.1', port },
    weight: 1,
    health: 'healthy' as const,
  }))
  const locality = { region: 'r', zone: 'z', subZone: '' }
  return { name, localities: [{ locality, priority: 0, weight: 1, endpoints }] }
}

export function testRoutes(name: string, ...clusters: [string, ...string[]]): RouteTable {
  const none = NO_HEADER_CHANGES
  const [first, ...rest] = clusters.map((cluster) => ({
    cluster,
    weight: 1,
    requestHeaders: none,
    responseHeaders: none,
  }))
  return {
    name,
    virtualHosts: [
      {
        name: 'any',
        domains: ['*'],
        routes: [
          {
            name: 'all',
            match: {
              path: { kind: 'prefix', value: '/', ignoreCase: false },
              headers: [],
              query: [],
            },
            action: {
              kind: 'forward',
              targets: [first ?? neverTarget(), ...rest],
              timeoutMs: 0,
              mirrors: [],
              hashPolicies: [],
            },
            requestHeaders: none,
            responseHeaders: none,
            origins: [],
          },
        ],
        requireTls: 'none',
        requestHeaders: none,
        responseHeaders: none,
        origins: [],
      },
    ],
    origins: [],
  }
}

function neverTarget(): never {
  throw new Error('Cannot make routes: a cluster is needed')
}

export function testListener(name: string, routes: string, port = 0): Listener {
  return {
    name,
    address: { host: '127.0.0.1', port },
    direction: 'outbound',
    bindToPort: true,
    useOriginalDst: false,
    filterChains: [
      {
        name: 'http',
        match: MATCH_ALL,
        filter: {
          kind: 'http',
          statPrefix: name,
          routes: { kind: 'rds', name: routes },
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
        },
      },
    ],
    origins: [],
  }
}

interface SetParts {
  readonly listeners?: readonly Listener[]
  readonly routes?: readonly RouteTable[]
  readonly clusters?: readonly Cluster[]
  readonly endpoints?: readonly Endpoints[]
}

export function testSet(parts: SetParts): ResourceSet {
  const byName = <T extends { readonly name: string }>(list: readonly T[] = []) =>
    new Map(list.map((one) => [one.name, one]))
  return {
    listener: byName(parts.listeners),
    route: byName(parts.routes),
    cluster: byName(parts.clusters),
    endpoints: byName(parts.endpoints),
    secret: new Map(),
  }
}

/** Listener `l` → routes `r` → cluster `a` with one endpoint. */
export function oneService(port: number): ResourceSet {
  return testSet({
    listeners: [testListener('l', 'r')],
    routes: [testRoutes('r', 'a')],
    clusters: [testCluster('a')],
    endpoints: [testEndpoints('a', port)],
  })
}

/** Hands out values in the order in which they came; `next` waits for one that fits. */
export class Mailbox<T> {
  readonly #values: T[] = []
  readonly #waiting: { fits: (value: T) => boolean; resolve: (value: T) => void }[] = []

  put(value: T): void {
    const index = this.#waiting.findIndex(({ fits }) => fits(value))
    if (index < 0) this.#values.push(value)
    else this.#waiting.splice(index, 1)[0]?.resolve(value)
  }

  next(fits: (value: T) => boolean = () => true): Promise<T> {
    for (let index = 0; index < this.#values.length; index++) {
      const value = this.#values[index] as T
      if (!fits(value)) continue
      this.#values.splice(0, index + 1)
      return Promise.resolve(value)
    }
    this.#values.length = 0
    return new Promise((resolve) => this.#waiting.push({ fits, resolve }))
  }
}
