/** Turns a route table into the form that requests are held against. */
import type {
  ForwardAction,
  HostRewrite,
  Route,
  RouteTable,
  VirtualHost,
  WeightedTarget,
} from '@weft/model'
import { NO_HEADER_CHANGES } from '@weft/model'
import { ConfigError } from '../config-error.ts'
import { compileHeaderOps, hostFromHeaders } from '../headers/header-ops.ts'
import { repeatsProcessed } from '../retry.ts'
import type {
  CompiledAction,
  CompiledForward,
  CompiledRoute,
  CompiledRouteTable,
  CompiledTarget,
  CompiledVirtualHost,
} from './compiled.ts'
import { DomainIndex } from './domains.ts'
import { FieldMatcher } from './field-matcher.ts'
import { PathMatcher } from './path-matcher.ts'
import { buildPathRewrite } from './path-rewrite.ts'
import { INDEX_FROM, RouteIndex } from './route-index.ts'

/**
 * @throws {ConfigError} Naming virtual host and route: bad regex, duplicate
 * domain, weights that sum to 0, unknown `%…%` substitution.
 */
export function compileRouteTable(table: RouteTable): CompiledRouteTable {
  const virtualHosts = table.virtualHosts.map(compileVirtualHost)
  return { source: table, virtualHosts, domains: new DomainIndex(table, virtualHosts) }
}

/** What is written once while a virtual host and its routes come to point at each other. */
type Draft<T> = { -readonly [K in keyof T]: T[K] }

function compileVirtualHost(source: VirtualHost): CompiledVirtualHost {
  const draft = { source, routes: [], index: undefined, httpsRedirect: undefined } as Pick<
    Draft<CompiledVirtualHost>,
    'source' | 'routes' | 'index' | 'httpsRedirect'
  >
  const virtualHost = draft as Draft<CompiledVirtualHost>
  virtualHost.noRoute = { kind: 'noRoute', virtualHost }
  virtualHost.routes = source.routes.map((route, i) => compileRoute(route, i, virtualHost))
  if (virtualHost.routes.length >= INDEX_FROM) {
    virtualHost.index = new RouteIndex(virtualHost.routes)
  }
  if (source.requireTls === 'all') {
    virtualHost.httpsRedirect = compileRoute(HTTPS_REDIRECT, -1, virtualHost).decision
  }
  return virtualHost
}

const HTTPS_REDIRECT: Route = {
  name: 'https-redirect',
  match: { path: { kind: 'prefix', value: '/', ignoreCase: false }, headers: [], query: [] },
  action: { kind: 'redirect', status: 301, scheme: 'https', stripQuery: false },
  requestHeaders: NO_HEADER_CHANGES,
  responseHeaders: NO_HEADER_CHANGES,
  origins: [],
}

function compileRoute(
  source: Route,
  position: number,
  virtualHost: CompiledVirtualHost,
): CompiledRoute {
  const { match } = source
  const where = `virtual host "${virtualHost.source.name}", route "${source.name}"`
  const draft: Omit<Draft<CompiledRoute>, 'decision'> = {
    source,
    virtualHost,
    position,
    path: new PathMatcher(match.path, `${where}, path`),
    fields: [
      ...match.headers.map((header) => FieldMatcher.header(header, where)),
      ...match.query.map((query) => FieldMatcher.query(query, where)),
      ...(match.claims ?? []).map((claim) => FieldMatcher.claim(claim, where)),
    ],
    action: compileAction(source, virtualHost.source, where),
    responseHeaders: compileHeaderOps(
      [source.responseHeaders, virtualHost.source.responseHeaders],
      'response',
      where,
    ),
  }
  const route = draft as Draft<CompiledRoute>
  route.decision = { kind: 'matched', virtualHost, route }
  return route
}

function compileAction(route: Route, host: VirtualHost, where: string): CompiledAction {
  const { action } = route
  switch (action.kind) {
    case 'forward':
      return compileForward(action, route, host, where)
    case 'redirect':
      return {
        kind: 'redirect',
        source: action,
        rewritePath: buildPathRewrite(action.path, route.match.path, where),
      }
    case 'respond':
      return { kind: 'respond', source: action }
  }
}

function compileForward(
  source: ForwardAction,
  route: Route,
  host: VirtualHost,
  where: string,
): CompiledForward {
  const totalWeight = source.targets.reduce((sum, target) => sum + target.weight, 0)
  // A single target gets everything, whatever its weight says (Istio).
  if (totalWeight <= 0 && source.targets.length > 1) {
    throw new ConfigError(
      where,
      `Cannot split: need weights that sum to more than 0, got ${totalWeight}`,
    )
  }
  const [first, ...others] = source.targets
  const compile = (target: WeightedTarget) => compileTarget(target, source, route, host, where)
  return {
    kind: 'forward',
    source,
    targets: [compile(first), ...others.map(compile)],
    totalWeight,
    rewritePath: buildPathRewrite(source.pathRewrite, route.match.path, where),
    repeats: source.retry !== undefined && repeatsProcessed(source.retry),
  }
}

function compileTarget(
  source: WeightedTarget,
  action: ForwardAction,
  route: Route,
  host: VirtualHost,
  where: string,
): CompiledTarget {
  if (!(source.weight >= 0)) {
    throw new ConfigError(where, `Cannot split: need weights of 0 or more, got ${source.weight}`)
  }
  const inside = `${where}, target "${source.cluster}"`
  const requestLevels = [source.requestHeaders, route.requestHeaders, host.requestHeaders]
  const responseLevels = [source.responseHeaders, route.responseHeaders, host.responseHeaders]
  const headerHost = hostFromHeaders(requestLevels)
  const hostRewrite: HostRewrite | undefined =
    source.hostRewrite ??
    action.hostRewrite ??
    (headerHost === undefined ? undefined : { kind: 'literal', value: headerHost })
  return {
    source,
    cluster: source.cluster,
    weight: source.weight,
    requestHeaders: compileHeaderOps(requestLevels, 'request', inside),
    responseHeaders: compileHeaderOps(responseLevels, 'response', inside),
    hostRewrite,
  }
}
