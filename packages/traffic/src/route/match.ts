/** Host, path, headers, query → route. */
import type { RequestView } from '@weft/model'
import type {
  CompiledRoute,
  CompiledRouteTable,
  CompiledVirtualHost,
  RouteDecision,
} from './compiled.ts'
import { explainRoute } from './explain.ts'
import { pathEnd } from './path-matcher.ts'
import { routeMatches } from './route-index.ts'
import type { RouteTrace } from './trace.ts'

const NO_VIRTUAL_HOST: RouteDecision = { kind: 'noVirtualHost' }

/**
 * Hot path: every decision was made when the table was compiled, so nothing is
 * allocated but the path without its query.
 *
 * @param trace Collects why each candidate did or did not match; then every
 * candidate is looked at.
 */
export function matchRoute(
  table: CompiledRouteTable,
  request: RequestView,
  trace?: RouteTrace,
): RouteDecision {
  const domain = table.domains.find(request.authority, request.scheme)
  if (trace !== undefined) return explainRoute(domain, request, trace) ?? NO_VIRTUAL_HOST
  if (domain === undefined) return NO_VIRTUAL_HOST
  const { virtualHost } = domain
  if (virtualHost.httpsRedirect !== undefined && request.scheme === 'http') {
    return virtualHost.httpsRedirect
  }
  const route = findRoute(virtualHost, request)
  return route === undefined ? virtualHost.noRoute : route.decision
}

function findRoute(
  virtualHost: CompiledVirtualHost,
  request: RequestView,
): CompiledRoute | undefined {
  const target = request.path
  const end = pathEnd(target)
  const path = end === target.length ? target : target.slice(0, end)
  if (virtualHost.index !== undefined) return virtualHost.index.find(request, path, target, end)
  const { routes } = virtualHost
  for (let i = 0; i < routes.length; i++) {
    const route = routes[i]
    if (route !== undefined && routeMatches(route, request, path, target, end)) return route
  }
  return undefined
}
