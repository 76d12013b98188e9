/** Model values for this package's tests and benches, with what they do not care about filled in. */
import {
  type Endpoint,
  type ForwardAction,
  type HeaderMatch,
  NO_HEADER_CHANGES,
  type PathMatch,
  type RequestView,
  type Route,
  type RouteAction,
  type RouteTable,
  type VirtualHost,
  type WeightedTarget,
} from '@weft/model'

export function table(
  virtualHosts: readonly VirtualHost[],
  more: Partial<RouteTable> = {},
): RouteTable {
  return { name: 'test', virtualHosts, origins: [], ...more }
}

export function virtualHost(
  domains: readonly string[],
  routes: readonly Route[],
  more: Partial<VirtualHost> = {},
): VirtualHost {
  return {
    name: domains[0] ?? 'empty',
    domains,
    routes,
    requireTls: 'none',
    requestHeaders: NO_HEADER_CHANGES,
    responseHeaders: NO_HEADER_CHANGES,
    origins: [],
    ...more,
  }
}

export interface RouteOptions {
  readonly path?: PathMatch
  readonly headers?: readonly HeaderMatch[]
  readonly query?: Route['match']['query']
  readonly action?: RouteAction
  readonly more?: Partial<Route>
}

/** A route to the cluster of its own name for every path, unless told otherwise. */
export function route(name: string, options: RouteOptions = {}): Route {
  return {
    name,
    match: {
      path: options.path ?? prefix('/'),
      headers: options.headers ?? [],
      query: options.query ?? [],
    },
    action: options.action ?? forward([name, 1]),
    requestHeaders: NO_HEADER_CHANGES,
    responseHeaders: NO_HEADER_CHANGES,
    origins: [],
    ...options.more,
  }
}

export function target(cluster: string, weight: number): WeightedTarget {
  return {
    cluster,
    weight,
    requestHeaders: NO_HEADER_CHANGES,
    responseHeaders: NO_HEADER_CHANGES,
  }
}

export function forward(
  first: readonly [string, number],
  ...others: readonly (readonly [string, number])[]
): ForwardAction {
  return {
    kind: 'forward',
    targets: [target(...first), ...others.map((other) => target(...other))],
    timeoutMs: 0,
    mirrors: [],
    hashPolicies: [],
  }
}

export function prefix(value: string, ignoreCase = false): PathMatch {
  return { kind: 'prefix', value, ignoreCase }
}

export function exact(value: string, ignoreCase = false): PathMatch {
  return { kind: 'exact', value, ignoreCase }
}

export function segments(value: string, ignoreCase = false): PathMatch {
  return { kind: 'segments', value, ignoreCase }
}

export function regex(value: string, ignoreCase = false): PathMatch {
  return { kind: 'regex', value, ignoreCase }
}

export function headerIs(name: string, value: string, invert = false): HeaderMatch {
  return { name, value: { kind: 'exact', value, ignoreCase: false }, invert }
}

export interface RequestOptions {
  readonly method?: string
  readonly scheme?: 'http' | 'https'
  readonly authority?: string
  readonly headers?: Readonly<Record<string, string>>
}

/** A `GET` for `path` at host `a.test`, unless told otherwise. */
export function request(path: string, options: RequestOptions = {}): RequestView {
  const headers = new Map(Object.entries(options.headers ?? {}))
  return {
    method: options.method ?? 'GET',
    scheme: options.scheme ?? 'http',
    authority: options.authority ?? 'a.test',
    path,
    header: (name) => headers.get(name),
  }
}

/** A healthy endpoint of weight 1 at port 80, unless told otherwise. */
export function endpoint(host: string, more: Partial<Endpoint> = {}): Endpoint {
  return { address: { host, port: 80 }, weight: 1, health: 'healthy', ...more }
}
