/** `match[]` of a VirtualService's `http[]`: path, headers and query, and the conditions on who asks. */
import type { HttpMatch } from '@weft/config'
import type {
  ClaimMatch,
  HeaderMatch,
  PathMatch,
  QueryMatch,
  RouteMatch,
  StringMatch,
} from '@weft/model'
import { selects } from '../../registries/declared/workload-ref.ts'
import { bindGateways } from '../../snapshot/virtual-services.ts'
import type { RouteContext } from '../routes/route-context.ts'
import { stringMatch } from './string-match.ts'

/** Any path; also what a rule without `match` means. */
export const ANY_REQUEST: RouteMatch = {
  path: { kind: 'prefix', value: '/', ignoreCase: false },
  headers: [],
  query: [],
}

export function httpMatch(match: HttpMatch): RouteMatch {
  const headers: HeaderMatch[] = []
  const parts = [
    [':method', match.method],
    [':scheme', match.scheme],
    [':authority', match.authority],
  ] as const
  const claims: ClaimMatch[] = []
  for (const [name, value] of Object.entries(match.headers ?? {})) {
    const path = claimPath(name)
    if (path !== undefined) claims.push({ path, value: valueMatch(value), invert: false })
    else headers.push({ name: name.toLowerCase(), value: valueMatch(value), invert: false })
  }
  for (const [name, value] of Object.entries(match.withoutHeaders ?? {})) {
    const path = claimPath(name)
    if (path !== undefined) claims.push({ path, value: valueMatch(value), invert: true })
    else headers.push({ name: name.toLowerCase(), value: valueMatch(value), invert: true })
  }
  for (const [name, value] of parts) {
    if (value !== undefined) headers.push({ name, value: valueMatch(value), invert: false })
  }
  const query = Object.entries(match.queryParams ?? {}).map(([name, value]): QueryMatch => {
    return { name, value: value.exact === '' ? EMPTY : valueMatch(value) }
  })
  return { path: pathOf(match), headers, query, ...(claims.length === 0 ? {} : { claims }) }
}

const CLAIMS = '@request.auth.claims'

/** `@request.auth.claims.a.b` or `@request.auth.claims[a][b]`, as Istio writes it. */
function claimPath(name: string): readonly [string, ...string[]] | undefined {
  if (!name.toLowerCase().startsWith(CLAIMS)) return undefined
  const rest = name.slice(CLAIMS.length)
  const bracketed = [...rest.matchAll(/\[([^\]]+)\]/g)].map(([, key = '']) => key)
  const [first, ...more] = bracketed.length > 0 ? bracketed : rest.slice(1).split('.')
  return first === undefined || first === '' ? undefined : [first, ...more]
}

/** Unlike a header, `queryParams: {debug: {exact: ""}}` asks for an empty value (`?debug=`). */
const EMPTY: StringMatch = { kind: 'exact', value: '', ignoreCase: false }

function valueMatch(match: Parameters<typeof stringMatch>[0]): HeaderMatch['value'] {
  return stringMatch(match) ?? { kind: 'present' }
}

function pathOf({ uri, ignoreUriCase: ignoreCase = false }: HttpMatch): PathMatch {
  if (uri?.exact !== undefined) return { kind: 'exact', value: uri.exact, ignoreCase }
  if (uri?.prefix !== undefined) return { kind: 'prefix', value: uri.prefix, ignoreCase }
  if (uri?.regex !== undefined) return { kind: 'regex', value: uri.regex, ignoreCase }
  return { kind: 'prefix', value: '/', ignoreCase: false }
}

/** What TCP, TLS and HTTP matches ask of the proxy rather than of the traffic. */
export interface ProxyConditions {
  readonly port?: number
  readonly gateways?: readonly string[]
  readonly sourceLabels?: Readonly<Record<string, string>>
  readonly sourceNamespace?: string
}

/**
 * Whether the match can apply at all on this proxy and port: decided here, not
 * per request. In `http[]` a match that names gateways asks nothing else of the
 * source (Istio: "the gateway match is independent of sourceLabels").
 */
export function appliesToHttp(
  match: ProxyConditions,
  namespace: string,
  context: RouteContext,
): boolean {
  if (!isForPort(match, context)) return false
  return (match.gateways ?? []).length > 0
    ? isForGateways(match, namespace, context)
    : isForSource(match, context)
}

/** In `tcp[]` and `tls[]` all conditions must hold together. */
export function appliesToBytes(
  match: ProxyConditions,
  namespace: string,
  context: RouteContext,
): boolean {
  return (
    isForPort(match, context) &&
    isForGateways(match, namespace, context) &&
    isForSource(match, context)
  )
}

function isForPort({ port = 0 }: ProxyConditions, context: RouteContext): boolean {
  return port === 0 || port === context.port
}

function isForGateways(
  { gateways = [] }: ProxyConditions,
  namespace: string,
  context: RouteContext,
): boolean {
  if (gateways.length === 0) return true
  return bindGateways(gateways, namespace).some((gateway) => context.gateways.has(gateway))
}

function isForSource(
  { sourceNamespace = '', sourceLabels = {} }: ProxyConditions,
  { scope: { proxy } }: RouteContext,
): boolean {
  if (sourceNamespace !== '' && sourceNamespace !== proxy.namespace) return false
  return Object.keys(sourceLabels).length === 0 || selects(sourceLabels, proxy.labels)
}

/** True for what matches every request, so that nothing after it can. */
export function isCatchAll({ path, headers, query, claims = [] }: RouteMatch): boolean {
  if (headers.length > 0 || query.length > 0 || claims.length > 0) return false
  return (
    ((path.kind === 'prefix' || path.kind === 'segments') && path.value === '/') ||
    (path.kind === 'regex' && path.value === '.*')
  )
}
