/**
 * Cross-origin requests (Fetch standard, section 3.2): answers preflights that a
 * route's policy allows, and tells the browser which answers the page may read.
 */
import type { CorsPolicy, RequestView } from '@weft/model'
import { TextMatcher } from '@weft/traffic'
import { type EncodedHeaders, encodeStamps } from '../exchange/encoded-headers.ts'
import type { FilterVerdict, HttpFilter } from './http-filter.ts'

export const cors: HttpFilter = {
  name: 'cors',

  onRequest(route, request): FilterVerdict {
    const policy = route.cors
    if (policy === undefined || !isPreflight(request)) return undefined
    const origin = request.header('origin') ?? ''
    if (!isAllowedOrigin(policy, origin)) {
      // Without the headers the browser refuses; the application never sees the preflight.
      return policy.forwardUnmatchedPreflights
        ? undefined
        : { kind: 'reply', reply: { status: 200 } }
    }
    return { kind: 'reply', reply: { status: 200, headers: preflightHeaders(policy, origin) } }
  },

  onResponse(route, request): EncodedHeaders | undefined {
    const policy = route.cors
    const origin = policy === undefined ? undefined : request.header('origin')
    if (policy === undefined || origin === undefined || isPreflight(request)) return undefined
    if (!isAllowedOrigin(policy, origin)) return undefined
    const stamps = originHeaders(policy, origin)
    if (policy.exposeHeaders.length > 0) {
      stamps.push(['access-control-expose-headers', policy.exposeHeaders.join(',')])
    }
    return encodeStamps(stamps.map(([name, value]) => ({ name, value })))
  },
}

function isPreflight(request: RequestView): boolean {
  return (
    request.method === 'OPTIONS' &&
    request.header('origin') !== undefined &&
    request.header('access-control-request-method') !== undefined
  )
}

export function isAllowedOrigin(policy: CorsPolicy, origin: string): boolean {
  let matchers = originMatchers.get(policy)
  if (matchers === undefined) {
    matchers = policy.allowOrigins.map((match) => new TextMatcher(match, 'cors origins'))
    originMatchers.set(policy, matchers)
  }
  return matchers.some((matcher) => matcher.matches(origin))
}

const originMatchers = new WeakMap<CorsPolicy, readonly TextMatcher[]>()

function originHeaders(policy: CorsPolicy, origin: string): [name: string, value: string][] {
  const headers: [string, string][] = [['access-control-allow-origin', origin]]
  if (policy.allowCredentials) headers.push(['access-control-allow-credentials', 'true'])
  return headers
}

function preflightHeaders(policy: CorsPolicy, origin: string): [name: string, value: string][] {
  const headers = originHeaders(policy, origin)
  const { allowMethods, allowHeaders, maxAgeMs } = policy
  if (allowMethods.length > 0) {
    headers.push(['access-control-allow-methods', allowMethods.join(',')])
  }
  if (allowHeaders.length > 0) {
    headers.push(['access-control-allow-headers', allowHeaders.join(',')])
  }
  if (maxAgeMs !== undefined) {
    headers.push(['access-control-max-age', String(Math.floor(maxAgeMs / 1_000))])
  }
  return headers
}
