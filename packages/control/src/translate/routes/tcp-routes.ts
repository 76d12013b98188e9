/** `tcp[]` and `tls[]` of a VirtualService → where bytes go. */
import type { TcpRouteRule } from '@weft/config'
import type { Origin, TcpProxy } from '@weft/model'
import type { BoundVirtualService } from '../../snapshot/virtual-services.ts'
import { resolveDestination } from '../features/destination.ts'
import { appliesToBytes } from '../features/http-match.ts'
import { asTargets } from './default-route.ts'
import type { RouteContext } from './route-context.ts'

export type TcpTargets = TcpProxy['targets']

export interface TcpRoute {
  readonly targets: TcpTargets
  /** Empty: every destination address. */
  readonly destinationPrefixes: readonly string[]
  readonly origin: Origin
}

export interface TlsRoute extends TcpRoute {
  readonly serverNames: readonly string[]
}

/** In the order written; ends with the first rule that asks for nothing. */
export function tcpRoutes(bound: BoundVirtualService, context: RouteContext): readonly TcpRoute[] {
  const { document } = bound
  const { namespace } = document.metadata
  const routes: TcpRoute[] = []
  for (const [i, rule] of (document.spec.tcp ?? []).entries()) {
    const targets = targetsOf(rule, namespace, context)
    if (targets === undefined) continue
    const path = `spec.tcp[${i}]`
    const origin = { ...document.origin, path, line: document.lineOf(path) }
    const matches = rule.match ?? []
    if (matches.length === 0) return [...routes, { targets, destinationPrefixes: [], origin }]
    for (const match of matches) {
      if (!appliesToBytes(match, namespace, context)) continue
      const destinationPrefixes = match.destinationSubnets ?? []
      routes.push({ targets, destinationPrefixes, origin })
      if (destinationPrefixes.length === 0) return routes
    }
  }
  return routes
}

export function tlsRoutes(bound: BoundVirtualService, context: RouteContext): readonly TlsRoute[] {
  const { document } = bound
  const { namespace } = document.metadata
  return (document.spec.tls ?? []).flatMap((rule, i) => {
    const targets = targetsOf(rule, namespace, context)
    if (targets === undefined) return []
    const path = `spec.tls[${i}]`
    const origin = { ...document.origin, path, line: document.lineOf(path) }
    return rule.match
      .filter((match) => appliesToBytes(match, namespace, context))
      .map((match) => ({
        targets,
        serverNames: match.sniHosts,
        destinationPrefixes: match.destinationSubnets ?? [],
        origin,
      }))
  })
}

function targetsOf(
  rule: Pick<TcpRouteRule, 'route'>,
  namespace: string,
  context: RouteContext,
): TcpTargets | undefined {
  const all = rule.route ?? []
  const chosen = all.length > 1 ? all.filter(({ weight = 0 }) => weight > 0) : all
  const targets = chosen.map(({ destination, weight }) => ({
    cluster: resolveDestination(destination, namespace, context).cluster,
    weight: all.length === 1 ? 100 : (weight ?? 0),
  }))
  const some = asTargets(targets)
  return some === undefined ? undefined : [...some]
}
