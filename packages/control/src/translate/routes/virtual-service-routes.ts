/**
 * `http[]` of a VirtualService → routes, in the order written. Each feature is
 * the file of its name in `features/`.
 */
import { parseDurationMs } from '@weft/base'
import type { HttpRouteRule, RouteDestination } from '@weft/config'
import type {
  ForwardAction,
  HashPolicy,
  Origin,
  RespondAction,
  Route,
  RouteAction,
  RouteMatch,
  WeightedTarget,
} from '@weft/model'
import { readRetryPolicy, repeatable } from '../../snapshot/retry-policy.ts'
import type { BoundVirtualService } from '../../snapshot/virtual-services.ts'
import { istioCors } from '../features/cors.ts'
import { resolveDestination } from '../features/destination.ts'
import { fault } from '../features/fault.ts'
import { headerOperations, hostOperation } from '../features/headers.ts'
import { ANY_REQUEST, appliesToHttp, httpMatch, isCatchAll } from '../features/http-match.ts'
import { mirrors } from '../features/mirror.ts'
import { istioRewrite } from '../features/path-rewrite.ts'
import { istioRedirect } from '../features/redirect.ts'
import { asTargets, plainTarget } from './default-route.ts'
import type { RouteContext } from './route-context.ts'

/** Empty when no rule applies to this proxy and port; what comes after a catch-all is left out. */
export function virtualServiceRoutes(
  bound: BoundVirtualService,
  context: RouteContext,
): readonly Route[] {
  const { document } = bound
  const routes: Route[] = []
  for (const [i, rule] of (document.spec.http ?? []).entries()) {
    const action = actionOf(rule, bound, context)
    if (action === undefined) continue
    for (const [j, match] of matchesOf(rule).entries()) {
      if (match !== undefined && !appliesToHttp(match, document.metadata.namespace, context))
        continue
      const path = match === undefined ? `spec.http[${i}]` : `spec.http[${i}].match[${j}]`
      const origin = { ...document.origin, path, line: document.lineOf(path) }
      const routeMatch = match === undefined ? ANY_REQUEST : httpMatch(match)
      const name = nameOf(bound, rule, i, match?.name)
      routes.push(routeOf(rule, name, routeMatch, action, origin))
      if (isCatchAll(routeMatch)) return routes
    }
  }
  return routes
}

function matchesOf(
  rule: HttpRouteRule,
): readonly (NonNullable<HttpRouteRule['match']>[number] | undefined)[] {
  return rule.match === undefined || rule.match.length === 0 ? [undefined] : rule.match
}

/** Istio's names; a rule without one is called by its place, which is also how Istio names HTTPRoutes. */
function nameOf(
  { document }: BoundVirtualService,
  rule: HttpRouteRule,
  index: number,
  matchName: string | undefined,
): string {
  const { namespace, name } = document.metadata
  const base = rule.name === undefined || rule.name === '' ? undefined : rule.name
  const suffix = matchName === undefined || matchName === '' ? '' : `.${matchName}`
  return `${base ?? `${namespace}.${name}.${index}`}${suffix}`
}

function routeOf(
  rule: HttpRouteRule,
  name: string,
  match: RouteMatch,
  action: RouteAction,
  origin: Origin,
): Route {
  const injected = fault(rule.fault)
  const cors = istioCors(rule.corsPolicy)
  return {
    name,
    match,
    action,
    requestHeaders: headerOperations(rule.headers?.request),
    responseHeaders: headerOperations(rule.headers?.response),
    ...(injected === undefined ? {} : { fault: injected }),
    ...(cors === undefined ? {} : { cors }),
    origins: [origin],
  }
}

/** `undefined` for a rule that does nothing here: a delegate, which config reports. */
function actionOf(
  rule: HttpRouteRule,
  bound: BoundVirtualService,
  context: RouteContext,
): RouteAction | undefined {
  if (rule.redirect !== undefined) return istioRedirect(rule.redirect, context.port)
  if (rule.directResponse !== undefined) return directResponse(rule.directResponse)
  return forwardAction(rule, bound, context)
}

function directResponse(response: NonNullable<HttpRouteRule['directResponse']>): RespondAction {
  const { status, body } = response
  const bytes = body?.bytes
  const text = bytes === undefined ? body?.string : Buffer.from(bytes, 'base64').toString('utf8')
  return { kind: 'respond', status, body: text ?? '' }
}

function forwardAction(
  rule: HttpRouteRule,
  { document }: BoundVirtualService,
  context: RouteContext,
): ForwardAction | undefined {
  const { namespace, annotations } = document.metadata
  const hashes: HashPolicy[] = []
  const all = rule.route ?? []
  // Of several destinations those without weight get nothing; a single one gets everything.
  const chosen = all.length > 1 ? all.filter(({ weight = 0 }) => weight > 0) : all
  const targets = asTargets(
    chosen.map((one) =>
      target(one, all.length === 1 ? 100 : (one.weight ?? 0), namespace, context, hashes),
    ),
  )
  if (targets === undefined) return undefined
  const host = hostRewrite(rule)
  const path = istioRewrite(rule.rewrite)
  const retry =
    rule.retries === undefined
      ? context.scope.mesh.defaultRetry
      : readRetryPolicy(rule.retries, repeatable(annotations))
  return {
    kind: 'forward',
    targets,
    timeoutMs: rule.timeout === undefined ? 0 : (parseDurationMs(rule.timeout) ?? 0),
    ...(retry === undefined ? {} : { retry }),
    ...(host === undefined ? {} : { hostRewrite: host }),
    ...(path === undefined ? {} : { pathRewrite: path }),
    mirrors: mirrors(rule, namespace, context),
    hashPolicies: hashes,
  }
}

function hostRewrite(rule: HttpRouteRule): ForwardAction['hostRewrite'] {
  const authority = rule.rewrite?.authority
  if (authority !== undefined && authority !== '') return { kind: 'literal', value: authority }
  return hostOperation(rule.headers?.request)
}

function target(
  { destination, headers }: RouteDestination,
  weight: number,
  namespace: string,
  context: RouteContext,
  hashes: HashPolicy[],
): WeightedTarget {
  const { cluster, hashPolicies } = resolveDestination(destination, namespace, context)
  for (const policy of hashPolicies) {
    if (!hashes.some((one) => JSON.stringify(one) === JSON.stringify(policy))) hashes.push(policy)
  }
  const host = hostOperation(headers?.request)
  return {
    ...plainTarget(cluster, weight),
    requestHeaders: headerOperations(headers?.request),
    responseHeaders: headerOperations(headers?.response),
    ...(host === undefined ? {} : { hostRewrite: host }),
  }
}
