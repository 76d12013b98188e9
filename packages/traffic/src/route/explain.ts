/**
 * The same decision as `matchRoute`, made slowly and with reasons: every route
 * is looked at, in order, without the index.
 */
import type { HeaderMatch, PathMatch, QueryMatch, RequestView, StringMatch } from '@weft/model'
import type { CompiledRoute, MatchedDecision, NoRouteDecision } from './compiled.ts'
import type { DomainMatch } from './domains.ts'
import type { FieldMatcher } from './field-matcher.ts'
import { pathEnd } from './path-matcher.ts'
import type { PredicateTrace, RouteTrace } from './trace.ts'

/** Fills `trace`; `undefined` when no virtual host answers. */
export function explainRoute(
  domain: DomainMatch | undefined,
  request: RequestView,
  trace: RouteTrace,
): MatchedDecision | NoRouteDecision | undefined {
  trace.authority = request.authority
  trace.path = request.path
  if (domain === undefined) return undefined
  const { virtualHost } = domain
  const { name, origins } = virtualHost.source
  trace.virtualHost = { name, domain: domain.domain, origins }
  if (virtualHost.httpsRedirect !== undefined && request.scheme === 'http') {
    trace.redirectsToHttps = true
    return virtualHost.httpsRedirect
  }
  let winner: CompiledRoute | undefined
  for (const route of virtualHost.routes) {
    const predicates = explainPredicates(route, request)
    const matched = predicates.every((predicate) => predicate.matched)
    const outcome = !matched ? 'failed' : winner === undefined ? 'matched' : 'shadowed'
    if (outcome === 'shadowed') trace.runnerUp ??= route.source.name
    if (outcome === 'matched') winner = route
    trace.candidates.push({
      route: route.source.name,
      position: route.position,
      outcome,
      predicates,
      origins: route.source.origins,
    })
  }
  return winner?.decision ?? virtualHost.noRoute
}

/** As far as they decide: nothing after the first that fails. */
function explainPredicates(route: CompiledRoute, request: RequestView): PredicateTrace[] {
  const target = request.path
  const end = pathEnd(target)
  const path = target.slice(0, end)
  const matched = route.path.matches(path, request)
  const found = route.path.source.kind === 'connect' ? request.method : JSON.stringify(path)
  const predicates: PredicateTrace[] = [{ rule: renderPath(route.path.source), found, matched }]
  for (const field of route.fields) {
    if (predicates.at(-1)?.matched === false) break
    const value = field.read(request, target, end)
    predicates.push({
      rule: renderField(field),
      found: value === undefined ? 'absent' : JSON.stringify(value),
      matched: field.matches(request, target, end),
    })
  }
  return predicates
}

function renderPath(match: PathMatch): string {
  switch (match.kind) {
    case 'connect':
      return 'method is CONNECT'
    case 'segments':
      return `path is or is below ${renderText(match)}`
    case 'exact':
      return `path is ${renderText(match)}`
    case 'prefix':
      return `path begins with ${renderText(match)}`
    case 'regex':
      return `path matches regex ${renderText(match)}`
  }
}

function renderField(field: FieldMatcher): string {
  const { source } = field
  const subject =
    'path' in source
      ? `claim ${source.path.join('.')}`
      : `${field.isQuery ? 'query parameter' : 'header'} ${source.name}`
  const rule = `${subject} ${renderValue(source.value)}`
  return 'invert' in source && source.invert ? `not: ${rule}` : rule
}

function renderValue(value: HeaderMatch['value'] | QueryMatch['value']): string {
  return value.kind === 'present' ? 'is present' : `${VERBS[value.kind]} ${renderText(value)}`
}

const VERBS: Readonly<Record<StringMatch['kind'], string>> = {
  exact: 'is',
  prefix: 'begins with',
  suffix: 'ends with',
  contains: 'contains',
  regex: 'matches regex',
}

function renderText(match: { readonly value: string; readonly ignoreCase?: boolean }): string {
  return `${JSON.stringify(match.value)}${match.ignoreCase === true ? ' (ignoring case)' : ''}`
}
