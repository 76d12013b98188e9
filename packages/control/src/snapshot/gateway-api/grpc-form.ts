/**
 * A GRPCRoute as the HTTPRoute that means the same: a call is a POST to
 * `/package.Service/Method`. Rules, filters and backends keep their places, so
 * paths into the object stay right.
 */
import type { DocumentOf, GrpcRouteMatch, HttpRouteMatch, HttpRouteRuleSpec } from '@weft/config'

export function httpFormOf(document: DocumentOf<'GRPCRoute'>): DocumentOf<'HTTPRoute'> {
  const { spec } = document
  const rules = (spec.rules ?? []).map((rule): HttpRouteRuleSpec => {
    const { matches = [], ...rest } = rule
    return { ...rest, matches: matches.length === 0 ? [ANY_CALL] : matches.map(matchOf) }
  })
  return {
    ...document,
    type: 'HTTPRoute',
    spec: { ...spec, rules: rules.length === 0 ? [{ matches: [ANY_CALL] }] : rules },
    lineOf: (path) => document.lineOf(path),
  }
}

/** Whether the document is a GRPCRoute in its HTTP form. */
export function isGrpc({ kind }: Pick<DocumentOf<'HTTPRoute'>, 'kind'>): boolean {
  return kind === 'GRPCRoute'
}

const ANY_CALL: HttpRouteMatch = { path: { type: 'PathPrefix', value: '/' } }
const ANY_PART = '[^/]+'

function matchOf({ method, headers }: GrpcRouteMatch): HttpRouteMatch {
  return { path: pathOf(method), ...(headers === undefined ? {} : { headers }) }
}

/** Exact names are ordered as the specification wants by length; a lone method can only be a pattern. */
function pathOf(method: GrpcRouteMatch['method']): HttpRouteMatch['path'] {
  const { type = 'Exact', service, method: name } = method ?? {}
  if (service === undefined && name === undefined) return ANY_CALL.path
  if (type === 'Exact' && service !== undefined) {
    return name === undefined
      ? { type: 'PathPrefix', value: `/${service}` }
      : { type: 'Exact', value: `/${service}/${name}` }
  }
  const part = (text: string | undefined) => {
    if (text === undefined) return ANY_PART
    return type === 'Exact' ? text : `(?:${text})`
  }
  return { type: 'RegularExpression', value: `/${part(service)}/${part(name)}` }
}
