/** `corsPolicy` of VirtualServices and the CORS filter of HTTPRoutes. */
import { parseDurationMs } from '@weft/base'
import type { HttpRouteFilter, HttpRouteRule } from '@weft/config'
import type { CorsPolicy, StringMatch } from '@weft/model'
import { stringMatch } from './string-match.ts'

type IstioCors = NonNullable<HttpRouteRule['corsPolicy']>
type GatewayCors = NonNullable<HttpRouteFilter['cors']>

export function istioCors(policy: IstioCors | undefined): CorsPolicy | undefined {
  if (policy === undefined) return undefined
  const maxAgeMs = policy.maxAge === undefined ? undefined : parseDurationMs(policy.maxAge)
  const matches = (policy.allowOrigins ?? []).map(stringMatch).filter((one) => one !== undefined)
  return {
    // The deprecated list is exact names, `*` for all.
    allowOrigins: matches.length > 0 ? matches : (policy.allowOrigin ?? []).map(exactOrAll),
    allowMethods: policy.allowMethods ?? [],
    allowHeaders: policy.allowHeaders ?? [],
    exposeHeaders: policy.exposeHeaders ?? [],
    allowCredentials: policy.allowCredentials ?? false,
    forwardUnmatchedPreflights: policy.unmatchedPreflights !== 'IGNORE',
    ...(maxAgeMs === undefined ? {} : { maxAgeMs }),
  }
}

export function gatewayCors(policy: GatewayCors | undefined): CorsPolicy | undefined {
  if (policy === undefined) return undefined
  return {
    allowOrigins: (policy.allowOrigins ?? []).map(originPattern),
    allowMethods: policy.allowMethods ?? [],
    allowHeaders: policy.allowHeaders ?? [],
    exposeHeaders: policy.exposeHeaders ?? [],
    allowCredentials: policy.allowCredentials ?? false,
    forwardUnmatchedPreflights: false,
    maxAgeMs: policy.maxAge * 1000,
  }
}

function exactOrAll(origin: string): StringMatch {
  return origin === '*'
    ? { kind: 'regex', value: '.*' }
    : { kind: 'exact', value: origin, ignoreCase: false }
}

/** `https://*.example.com`: a `*` stands for any number of labels. */
function originPattern(origin: string): StringMatch {
  if (!origin.includes('*')) return { kind: 'exact', value: origin, ignoreCase: false }
  const parts = origin.split('*').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  return { kind: 'regex', value: parts.join('.*') }
}
