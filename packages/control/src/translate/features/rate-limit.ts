/** `limits` of a RateLimit → token buckets of each proxy. */
import { parseDurationMs } from '@weft/base'
import type { DocumentOf, RequestLimit } from '@weft/config'
import type {
  DescriptorEntry,
  HeaderMatch,
  LocalRateLimit,
  RateLimitAction,
  RateLimitActions,
  RateLimitService,
  StringMatch,
  TokenBucket,
} from '@weft/model'

/** Envoy refills no faster. */
const MIN_FILL_MS = 50
/** For requests that no limit counts. */
const UNLIMITED: TokenBucket = {
  maxTokens: 4_294_967_295,
  tokensPerFill: 4_294_967_295,
  fillIntervalMs: 1000,
}

/** Limits are tried in order; the first that fits a request decides. One that fits all is the default bucket. */
export function localRateLimit({ metadata, spec }: DocumentOf<'RateLimit'>): LocalRateLimit {
  const id = `${metadata.namespace}/${metadata.name}`
  const catchAll = spec.limits.findIndex(({ by, match }) => by === undefined && match === undefined)
  const chosen = catchAll < 0 ? spec.limits : spec.limits.slice(0, catchAll)
  const rest = spec.limits[catchAll]
  const lists = chosen.map((limit, index) => ({
    bucket: tokenBucket(limit),
    actions: actionsOf(limit, `${id}/${index}`),
  }))
  return {
    statPrefix: `rate_limit.${metadata.namespace}.${metadata.name}`,
    bucket: rest === undefined ? UNLIMITED : tokenBucket(rest),
    enabledPercent: 100,
    enforcedPercent: 100,
    status: spec.status,
    descriptors: lists.flatMap(({ bucket, actions }) =>
      presences(actions).map((present) => ({ bucket, entries: present.map(entryOf) })),
    ),
    actions: lists.map(({ actions }): RateLimitActions => ({ actions, stage: 0 })),
    perConnection: false,
    headers: spec.headers,
    responseHeaders: [],
  }
}

/** What a proxy asks, and what the control plane counts by. */
export interface GlobalLimit {
  readonly domain: string
  readonly service: RateLimitService
  readonly actions: readonly RateLimitActions[]
  readonly limits: readonly {
    readonly entries: readonly DescriptorEntry[]
    readonly bucket: TokenBucket
    readonly isRest: boolean
  }[]
}

/** The cluster that leads to the control plane itself; Envoys need one of that name in their bootstrap. */
const CONTROL_CLUSTER = 'weft-control'
const TIMEOUT_MS = 500

/** @param stage Tells a listener's limits apart. */
export function globalLimit(document: DocumentOf<'RateLimit'>, stage = 0): GlobalLimit {
  const { metadata, spec } = document
  const id = `${metadata.namespace}/${metadata.name}`
  const { bucket, descriptors, actions } = localRateLimit(document)
  const rest = { kind: 'genericKey', key: 'limit', value: `${id}/rest` } as const
  return {
    domain: `weft.io/${id}`,
    service: {
      domain: `weft.io/${id}`,
      cluster: CONTROL_CLUSTER,
      timeoutMs: TIMEOUT_MS,
      failureModeDeny: spec.failureMode === 'Closed',
      stage,
      headers: spec.headers,
      status: spec.status,
    },
    actions: [
      ...actions.map((one) => ({ ...one, stage })),
      ...(bucket === UNLIMITED ? [] : [{ actions: [rest], stage }]),
    ],
    limits: [
      ...descriptors.map((one) => ({ ...one, isRest: false })),
      ...(bucket === UNLIMITED
        ? []
        : [{ entries: [{ key: rest.key, value: rest.value }], bucket, isRest: true }]),
    ],
  }
}

/** A burst below a period's requests is refilled more often, at the same rate. */
export function tokenBucket({ requests, per, burst }: RequestLimit): TokenBucket {
  const periodMs = parseDurationMs(per === '1d' ? '24h' : per) ?? 1000
  if (burst === undefined || burst >= requests) {
    return { maxTokens: burst ?? requests, tokensPerFill: requests, fillIntervalMs: periodMs }
  }
  // Least fill that is a whole number of tokens and no faster than Envoy refills.
  const tokensPerFill = Math.max(1, Math.ceil((requests * MIN_FILL_MS) / periodMs))
  const fillIntervalMs = Math.max(MIN_FILL_MS, Math.round((tokensPerFill * periodMs) / requests))
  return { maxTokens: Math.max(burst, tokensPerFill), tokensPerFill, fillIntervalMs }
}

/** The first entry tells this limit's descriptor from those of the others. */
function actionsOf({ by = [], match }: RequestLimit, id: string): readonly RateLimitAction[] {
  const headers = matchHeaders(match)
  const first: RateLimitAction =
    headers.length === 0
      ? { kind: 'genericKey', key: 'limit', value: id }
      : { kind: 'headerValueMatch', key: 'limit', value: id, expectMatch: true, headers }
  return [first, ...by.map(countedAction)]
}

/** A property that may be absent leaves its entry out, so there is a descriptor for each way to be absent. */
function presences(actions: readonly RateLimitAction[]): readonly (readonly RateLimitAction[])[] {
  return actions.reduce<readonly (readonly RateLimitAction[])[]>(
    (lists, action) => {
      const without = 'skipIfAbsent' in action && action.skipIfAbsent ? lists : []
      return [...lists.map((list) => [...list, action]), ...without]
    },
    [[]],
  )
}

type Counted = NonNullable<RequestLimit['by']>[number]

function countedAction({
  type,
  name = '',
  v4Bits,
  v6Bits,
  countAbsent = false,
}: Counted): RateLimitAction {
  switch (type) {
    case 'Header': {
      const header = name.toLowerCase()
      return { kind: 'header', header, key: header, skipIfAbsent: countAbsent }
    }
    case 'Query':
      return { kind: 'query', name, key: name, skipIfAbsent: countAbsent }
    case 'SourceIp':
      return v4Bits === undefined && v6Bits === undefined
        ? { kind: 'remoteAddress' }
        : { kind: 'maskedRemoteAddress', v4Bits: v4Bits ?? 32, v6Bits: v6Bits ?? 128 }
    case 'SourcePrincipal':
      return { kind: 'sourcePrincipal' }
    case 'SourceCluster':
      return { kind: 'sourceCluster' }
    case 'DestinationCluster':
      return { kind: 'destinationCluster' }
    case 'Path':
      return { kind: 'path' }
    case 'Method':
      return { kind: 'method' }
  }
}

/** What a descriptor that counts must say: the limit itself exactly, the counted property anything. */
function entryOf(action: RateLimitAction): { readonly key: string; readonly value: string } {
  switch (action.kind) {
    case 'genericKey':
    case 'headerValueMatch':
    case 'queryValueMatch':
    case 'remoteAddressMatch':
      return { key: action.key, value: action.value }
    case 'header':
    case 'query':
    case 'metadata':
      return { key: action.key, value: '' }
    default:
      return { key: KEYS[action.kind], value: '' }
  }
}

/** Envoy's keys. */
const KEYS = {
  remoteAddress: 'remote_address',
  maskedRemoteAddress: 'masked_remote_address',
  sourceCluster: 'source_cluster',
  destinationCluster: 'destination_cluster',
  path: 'path',
  method: 'method',
  sourcePrincipal: 'source_principal',
} as const

function matchHeaders(match: RequestLimit['match']): readonly HeaderMatch[] {
  if (match === undefined) return []
  const { path, methods, headers = {} } = match
  return [
    ...(path === undefined ? [] : [headerMatch(':path', pathMatch(path))]),
    ...(methods === undefined
      ? []
      : [headerMatch(':method', { kind: 'regex', value: methods.map(quote).join('|') })]),
    ...Object.entries(headers).map(([name, one]) => headerMatch(name.toLowerCase(), asMatch(one))),
  ]
}

interface Written {
  readonly exact?: string
  readonly prefix?: string
  readonly regex?: string
}

/** `:path` carries the query too, which a limit's path does not. */
function pathMatch({ exact, regex, prefix }: Written): StringMatch {
  if (exact !== undefined) return { kind: 'regex', value: `${quote(exact)}(\\?.*)?` }
  if (regex !== undefined) return { kind: 'regex', value: `(${regex})(\\?.*)?` }
  return { kind: 'prefix', value: prefix ?? '/', ignoreCase: false }
}

function asMatch({ exact, prefix, regex }: Written): HeaderMatch['value'] {
  if (exact !== undefined) return { kind: 'exact', value: exact, ignoreCase: false }
  if (prefix !== undefined) return { kind: 'prefix', value: prefix, ignoreCase: false }
  return regex === undefined ? { kind: 'present' } : { kind: 'regex', value: regex }
}

function headerMatch(name: string, value: HeaderMatch['value']): HeaderMatch {
  return { name, value, invert: false }
}

/** RE2's special characters as themselves. */
function quote(text: string): string {
  return text.replaceAll(/[\\.+*?()|[\]{}^$]/g, '\\$&')
}
