/**
 * Rules of Gateway API HTTPRoutes → routes, in the order that the specification
 * gives to matches of all routes that share a host.
 */
import type { HttpRouteMatch, HttpRouteRuleSpec } from '@weft/config'
import type { PathMatch, QueryMatch, Route, RouteMatch } from '@weft/model'
import type { HttpRouteAttachment } from '../../snapshot/gateway-api/attachment.ts'
import { liftedFilters } from '../../snapshot/gateway-api/backend-filters.ts'
import { isGrpc } from '../../snapshot/gateway-api/grpc-form.ts'
import { sessionOf } from '../../snapshot/gateway-api/session.ts'
import { gatewayCors } from '../features/cors.ts'
import { headerModifier } from '../features/headers.ts'
import { httpRouteAction, invalidPercent } from './http-route-action.ts'
import type { RouteContext } from './route-context.ts'

/** Of gRPC. */
const UNAVAILABLE = 14

interface RankedRoute {
  readonly route: Route
  readonly match: HttpRouteMatch
}

/** @param attachments In order of precedence: that decides among matches that are equally specific. */
export function httpRouteRoutes(
  attachments: readonly HttpRouteAttachment[],
  context: RouteContext,
): readonly Route[] {
  const ranked: RankedRoute[] = []
  for (const attachment of attachments) {
    for (const [i, rule] of attachment.document.spec.rules.entries()) {
      for (const match of rule.matches) {
        ranked.push({ route: routeOf(attachment, rule, i, match, context), match })
      }
    }
  }
  // The sort is stable: what ties keeps the order of objects, rules and matches.
  return ranked.sort((a, b) => compareMatches(a.match, b.match)).map(({ route }) => route)
}

function routeOf(
  attachment: HttpRouteAttachment,
  rule: HttpRouteRuleSpec,
  index: number,
  match: HttpRouteMatch,
  context: RouteContext,
): Route {
  const { document } = attachment
  const { namespace, name } = document.metadata
  const filters = rule.filters ?? []
  const routeMatch = matchOf(match)
  const path = `spec.rules[${index}]`
  const action = httpRouteAction(attachment, rule, routeMatch.path, context)
  // Requests that fall to an invalid backend are answered 500, those beside it are not disturbed.
  const failing = action.kind === 'forward' ? invalidPercent(attachment, rule) : 0
  const failure = isGrpc(document) ? { status: 503, grpcStatus: UNAVAILABLE } : { status: 500 }
  const all = [...filters, ...liftedFilters(rule)]
  const cors = gatewayCors(all.find((filter) => filter.cors !== undefined)?.cors)
  const session = sessionOf(rule.sessionPersistence)
  const find = <K extends 'requestHeaderModifier' | 'responseHeaderModifier'>(kind: K) =>
    filters.find((filter) => filter[kind] !== undefined)?.[kind]
  return {
    name: rule.name ?? `${namespace}.${name}.${index}`,
    match: routeMatch,
    action,
    requestHeaders: headerModifier(find('requestHeaderModifier')),
    responseHeaders: headerModifier(find('responseHeaderModifier')),
    ...(failing === 0 ? {} : { fault: { abort: { percent: failing, ...failure } } }),
    ...(cors === undefined ? {} : { cors }),
    ...(session === undefined ? {} : { filters: { session } }),
    origins: [{ ...document.origin, path, line: document.lineOf(path) }],
  }
}

function matchOf(match: HttpRouteMatch): RouteMatch {
  const headers = (match.headers ?? []).map(({ type, name, value }) => ({
    name: name.toLowerCase(),
    value: valueMatch(type, value),
    invert: false,
  }))
  const query = (match.queryParams ?? []).map(
    ({ type, name, value }): QueryMatch => ({ name, value: valueMatch(type, value) }),
  )
  if (match.method !== undefined) {
    headers.push({ name: ':method', value: valueMatch('Exact', match.method), invert: false })
  }
  return { path: pathOf(match), headers, query }
}

function valueMatch(type: 'Exact' | 'RegularExpression', value: string) {
  return type === 'Exact'
    ? ({ kind: 'exact', value, ignoreCase: false } as const)
    : ({ kind: 'regex', value } as const)
}

function pathOf({ path }: HttpRouteMatch): PathMatch {
  switch (path.type) {
    case 'Exact':
      return { kind: 'exact', value: path.value, ignoreCase: false }
    case 'RegularExpression':
      return { kind: 'regex', value: path.value, ignoreCase: false }
    case 'PathPrefix': {
      // `/foo/` and `/foo` are the same prefix of segments.
      const value = path.value.length > 1 ? path.value.replace(/\/+$/, '') || '/' : path.value
      return { kind: 'segments', value, ignoreCase: false }
    }
  }
}

/**
 * Exact path; longest prefix; then method, number of headers, number of query
 * parameters. Where a regex stands is left to implementations: after prefixes,
 * as in Istio, but before `/`, which would hide it.
 */
function compareMatches(a: HttpRouteMatch, b: HttpRouteMatch): number {
  return (
    pathRank(b) - pathRank(a) ||
    b.path.value.length - a.path.value.length ||
    Number(b.method !== undefined) - Number(a.method !== undefined) ||
    (b.headers?.length ?? 0) - (a.headers?.length ?? 0) ||
    (b.queryParams?.length ?? 0) - (a.queryParams?.length ?? 0)
  )
}

function pathRank({ path }: HttpRouteMatch): number {
  if (path.type === 'Exact') return 3
  if (path.type === 'RegularExpression') return 1
  return path.value === '/' ? 0 : 2
}
