/**
 * The HTTP filters that Weft's proxies have, with their settings: what stands in a
 * listener's chain, and what a virtual host or route says otherwise. Each is one of
 * Envoy's filters of the same meaning; a field without an Envoy field rides in metadata.
 */
import type { JwtAuthentication } from './authentication.ts'
import type { RbacFilter } from './authorization.ts'
import type { ExternalAuthorization } from './external-authorization.ts'
import type { HeaderMatch, QueryMatch, StringMatch } from './matcher.ts'

/** One of a listener's filters, in order; the router is implied as the last one. */
export type HttpFilterConfig =
  | { readonly kind: 'cors' }
  | { readonly kind: 'fault' }
  | { readonly kind: 'grpcWeb' }
  | { readonly kind: 'csrf'; readonly policy?: CsrfPolicy }
  | { readonly kind: 'localRateLimit'; readonly limit?: LocalRateLimit }
  | { readonly kind: 'rateLimit'; readonly service: RateLimitService }
  | { readonly kind: 'adaptiveConcurrency'; readonly settings?: AdaptiveConcurrency }
  | { readonly kind: 'compressor'; readonly settings: Compression }
  | { readonly kind: 'buffer'; readonly maxRequestBytes?: number }
  | { readonly kind: 'statefulSession'; readonly session?: SessionPersistence }
  | { readonly kind: 'jwtAuthn'; readonly authentication: JwtAuthentication }
  | { readonly kind: 'extAuthz'; readonly authorization: ExternalAuthorization }
  /** May stand in a chain several times. */
  | ({ readonly kind: 'rbac' } & RbacFilter)

export type HttpFilterName = HttpFilterConfig['kind']

/** What a virtual host or a route says otherwise (Envoy `typed_per_filter_config`); the route wins. */
export interface FilterOverrides {
  readonly localRateLimit?: LocalRateLimit
  /** Actions for the global limit; each list yields one descriptor (Envoy `rate_limits`). */
  readonly rateLimits?: readonly RateLimitActions[]
  readonly csrf?: CsrfPolicy
  readonly adaptiveConcurrency?: AdaptiveConcurrency
  readonly compressor?: Partial<Compression> & { readonly disabled?: boolean }
  /** 0 switches the listener's limit off. */
  readonly maxRequestBytes?: number
  readonly session?: SessionPersistence
  /** Name of one of the listener's `named` requirements for tokens. */
  readonly jwtRequirement?: string
  /** Facts of the route for the external authorization service (Envoy `context_extensions`). */
  readonly authorizationContext?: Readonly<Record<string, string>>
  /** Filters that do not run here. */
  readonly disabled?: readonly HttpFilterName[]
}

/** A token bucket in each proxy (Envoy `local_ratelimit`). */
export interface LocalRateLimit {
  readonly statPrefix: string
  readonly bucket: TokenBucket
  /** 0 to 100: share of requests that are counted, and of those over the limit that are refused. */
  readonly enabledPercent: number
  readonly enforcedPercent: number
  /** 400 to 599. */
  readonly status: number
  /** Buckets of their own; the first whose entries all equal the request's descriptor decides. */
  readonly descriptors: readonly {
    readonly entries: readonly DescriptorEntry[]
    readonly bucket: TokenBucket
  }[]
  /** How the descriptors come out of a request; needed when `descriptors` is not empty. */
  readonly actions: readonly RateLimitActions[]
  /** One bucket per connection in place of one per proxy. */
  readonly perConnection: boolean
  /** The default bucket also pays for what a descriptor's bucket let pass. Absent: false. */
  readonly alwaysConsumeDefault?: boolean
  /** `x-ratelimit-limit`, `-remaining`, `-reset` on answers (draft version 3). */
  readonly headers: boolean
  readonly responseHeaders: readonly { readonly name: string; readonly value: string }[]
}

export interface TokenBucket {
  /** > 0. */
  readonly maxTokens: number
  /** > 0. */
  readonly tokensPerFill: number
  /** In milliseconds, > 0. */
  readonly fillIntervalMs: number
}

export interface DescriptorEntry {
  readonly key: string
  /** Empty in a limit: any value, each with a bucket of its own. */
  readonly value: string
}

/** Envoy `RateLimit.actions`: all must yield an entry, else there is no descriptor. */
export interface RateLimitActions {
  readonly actions: readonly RateLimitAction[]
  /** Only looked at by the global limit. */
  readonly stage: number
  readonly disableKey?: string
  /** What a request costs of this descriptor, only looked at by the global limit; absent: 1. */
  readonly hits?: HitsAddend
  /** Holds in place of the service's own limit, only looked at by the global limit. */
  readonly limit?: LimitOverride
}

/** Envoy `RateLimit.Override`: written down, or `requests_per_unit` and `unit` that a filter left behind. */
export type LimitOverride =
  | { readonly kind: 'fixed'; readonly requestsPerUnit: number; readonly unit: LimitUnit }
  | { readonly kind: 'metadata'; readonly filter: string; readonly path: readonly string[] }

export const LIMIT_UNITS = ['SECOND', 'MINUTE', 'HOUR', 'DAY', 'MONTH', 'YEAR'] as const
export type LimitUnit = (typeof LIMIT_UNITS)[number]

/** Envoy `RateLimit.HitsAddend`: written down, or found in the request; absent or no number there: 1. */
export type HitsAddend =
  | { readonly kind: 'fixed'; readonly hits: number }
  | { readonly kind: 'header'; readonly header: string }
  | { readonly kind: 'metadata'; readonly filter: string; readonly path: readonly string[] }

export type RateLimitAction =
  | { readonly kind: 'genericKey'; readonly key: string; readonly value: string }
  | {
      readonly kind: 'header'
      readonly header: string
      readonly key: string
      /** Without the header: leave the entry out in place of the whole descriptor. */
      readonly skipIfAbsent: boolean
    }
  | {
      readonly kind: 'query'
      readonly name: string
      readonly key: string
      readonly skipIfAbsent: boolean
    }
  | { readonly kind: 'remoteAddress' }
  /** Prefix lengths 0 to 32 and 0 to 128. */
  | { readonly kind: 'maskedRemoteAddress'; readonly v4Bits: number; readonly v6Bits: number }
  /** Yields its entry when the client's address is in one of the ranges (CIDR), or is not. */
  | {
      readonly kind: 'remoteAddressMatch'
      readonly key: string
      readonly value: string
      readonly ranges: readonly string[]
      readonly invert: boolean
    }
  /** The caller of the rate limit service: this proxy's own cluster name, `<workload>.<namespace>`. */
  | { readonly kind: 'sourceCluster' }
  | { readonly kind: 'destinationCluster' }
  | { readonly kind: 'path' }
  | { readonly kind: 'method' }
  /** The peer's SPIFFE id, or nothing without mTLS. */
  | { readonly kind: 'sourcePrincipal' }
  /** A text that an earlier filter left behind (Envoy `metadata`). */
  | {
      readonly kind: 'metadata'
      readonly key: string
      readonly filter: string
      /** At least one. */
      readonly path: readonly string[]
      /** Stands in for what is not there; absent: nothing does. */
      readonly defaultValue?: string
      readonly skipIfAbsent: boolean
    }
  | {
      readonly kind: 'headerValueMatch'
      readonly key: string
      readonly value: string
      readonly expectMatch: boolean
      readonly headers: readonly HeaderMatch[]
    }
  | {
      readonly kind: 'queryValueMatch'
      readonly key: string
      readonly value: string
      readonly expectMatch: boolean
      readonly query: readonly QueryMatch[]
    }

/** Envoy's rate limit service protocol (`envoy.service.ratelimit.v3`). */
export interface RateLimitService {
  readonly domain: string
  readonly cluster: string
  readonly authority?: string
  /** In milliseconds, > 0. */
  readonly timeoutMs: number
  /** When the service does not answer: true refuses with 500, false lets pass. */
  readonly failureModeDeny: boolean
  readonly stage: number
  readonly headers: boolean
  /** 400 to 599. */
  readonly status: number
  /** In place of what routes say; absent: what routes say. */
  readonly actions?: readonly RateLimitActions[]
}

/** Gradient controller (Envoy `adaptive_concurrency`). */
export interface AdaptiveConcurrency {
  readonly enabled: boolean
  /** Of a window's latencies, 0 to 100. */
  readonly samplePercentile: number
  readonly maxConcurrency: number
  readonly minConcurrency: number
  readonly updateIntervalMs: number
  /** The minimum latency is measured anew this often, with this much jitter (0 to 100) … */
  readonly minRttIntervalMs: number
  readonly minRttJitterPercent: number
  /** … over so many requests, at `minConcurrency` at a time. */
  readonly minRttRequests: number
  /** Room for noise above the minimum, 0 to 100. */
  readonly minRttBufferPercent: number
  /** 400 to 599. */
  readonly status: number
}

export interface CsrfPolicy {
  /** 0 to 100: share of requests that are refused, and that are only counted. */
  readonly enabledPercent: number
  readonly shadowPercent: number
  /** Origins beside the target's own. */
  readonly additionalOrigins: readonly StringMatch[]
}

export interface Compression {
  /** In order of preference. */
  readonly encodings: readonly ('gzip' | 'br' | 'zstd')[]
  readonly minBytes: number
  /** Without parameters; lower case. */
  readonly contentTypes: readonly string[]
  readonly disableOnEtag: boolean
  readonly removeAcceptEncoding: boolean
  /** Of each encoding's own scale; absent: a fast one. */
  readonly level?: number
}

/** Sends a client to the endpoint that served it before (Envoy `stateful_session`, gRFC A55). */
export type SessionPersistence =
  | {
      readonly kind: 'cookie'
      readonly name: string
      readonly path: string
      /** In milliseconds; 0: a session cookie. */
      readonly ttlMs: number
    }
  | { readonly kind: 'header'; readonly name: string }
