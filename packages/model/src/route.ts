/**
 * What to do with a request: Envoy's `RouteConfiguration` as plain values.
 */
import type { FilterOverrides } from './http-filter.ts'
import type { HeaderMatch, PathMatch, QueryMatch, StringMatch } from './matcher.ts'
import type { Origin } from './origin.ts'

export interface RouteTable {
  /** The RDS resource name. */
  readonly name: string
  readonly virtualHosts: readonly VirtualHost[]
  /**
   * Whether a request's port says nothing about its virtual host: `a.com:8080` then also finds
   * the domain `a.com` (Envoy `ignore_port_in_host_matching`; Istio sets it on captured
   * listeners and gateways). Absent means false.
   */
  readonly ignorePort?: boolean
  readonly origins: readonly Origin[]
}

export interface VirtualHost {
  readonly name: string
  /**
   * At least one; unique in the table. `host`, `host:port`, `*.suffix`, `prefix.*`
   * or `*`. Exact wins over suffix wildcard, then prefix wildcard, then `*`;
   * among wildcards the longest (Envoy `VirtualHost.domains`).
   */
  readonly domains: readonly string[]
  /** First match wins. */
  readonly routes: readonly Route[]
  /** `all` redirects plain text requests to https with 301. */
  readonly requireTls: 'none' | 'all'
  readonly requestHeaders: HeaderChanges
  readonly responseHeaders: HeaderChanges
  readonly filters?: FilterOverrides
  readonly origins: readonly Origin[]
}

export interface Route {
  /** For logs and explanations; unique in its virtual host. */
  readonly name: string
  readonly match: RouteMatch
  readonly action: RouteAction
  readonly requestHeaders: HeaderChanges
  readonly responseHeaders: HeaderChanges
  readonly fault?: Fault
  readonly cors?: CorsPolicy
  readonly filters?: FilterOverrides
  readonly origins: readonly Origin[]
}

/** A text, or one of a list, inside the payload of a verified token. */
export interface ClaimMatch {
  /** At least one. */
  readonly path: readonly string[]
  readonly value: StringMatch | { readonly kind: 'present' }
  readonly invert: boolean
}

export interface RouteMatch {
  readonly path: PathMatch
  /** All must match. */
  readonly headers: readonly HeaderMatch[]
  /** All must match. */
  readonly query: readonly QueryMatch[]
  /** All must match what verified tokens say. Absent: none. */
  readonly claims?: readonly ClaimMatch[]
}

export type RouteAction = ForwardAction | RedirectAction | RespondAction

/** Send the request to one of `targets`, chosen in proportion to weight. */
export interface ForwardAction {
  readonly kind: 'forward'
  /** At least one; weights sum to more than 0. */
  readonly targets: readonly [WeightedTarget, ...WeightedTarget[]]
  /** Whole request including retries, in milliseconds; 0 means no limit. */
  readonly timeoutMs: number
  /** Without a byte either way, in milliseconds; 0 means no limit; absent: the listener's. */
  readonly idleTimeoutMs?: number
  /** Of the whole stream, also an endless one, in milliseconds; absent: the listener's. */
  readonly maxStreamDurationMs?: number
  /** The most that `grpc-timeout` may ask for, in milliseconds; 0: as much as it likes; absent: it is not looked at. */
  readonly grpcTimeoutMaxMs?: number
  readonly retry?: RetryPolicy
  readonly hedge?: HedgePolicy
  readonly hostRewrite?: HostRewrite
  readonly pathRewrite?: PathRewrite
  readonly mirrors: readonly Mirror[]
  /** Tried in order; the first that yields a hash decides unless it is not `terminal`. */
  readonly hashPolicies: readonly HashPolicy[]
}

export interface WeightedTarget {
  readonly cluster: string
  /** 0 or more. */
  readonly weight: number
  readonly requestHeaders: HeaderChanges
  readonly responseHeaders: HeaderChanges
  /** Wins over the action's. */
  readonly hostRewrite?: HostRewrite
}

export interface RedirectAction {
  readonly kind: 'redirect'
  readonly status: 301 | 302 | 303 | 307 | 308
  readonly scheme?: 'http' | 'https'
  readonly host?: string
  /**
   * Absent: none when `host` is given (as in Envoy), else the request's port, unless the scheme
   * changes: then the scheme's default. Gateway API's "the listener's port" must be written out.
   */
  readonly port?: number
  readonly path?: PathRewrite
  readonly stripQuery: boolean
}

/** Answer without an upstream, e.g. for a maintenance page. */
export interface RespondAction {
  readonly kind: 'respond'
  /** 100 to 599. */
  readonly status: number
  readonly body: string
}

export type PathRewrite =
  /** Replaces the whole path; the query stays. */
  | { readonly kind: 'full'; readonly value: string }
  /** Replaces what the path match matched. */
  | { readonly kind: 'prefix'; readonly value: string }
  /** RE2; `substitution` may refer to groups as `\1`. */
  | { readonly kind: 'regex'; readonly pattern: string; readonly substitution: string }

export type HostRewrite =
  | { readonly kind: 'literal'; readonly value: string }
  /** The endpoint's host name (DNS clusters). */
  | { readonly kind: 'endpoint' }

/** In order: remove, then set (replace or create), then add (append another). Names are lower case. */
export interface HeaderChanges {
  readonly set: readonly HeaderValue[]
  readonly add: readonly HeaderValue[]
  readonly remove: readonly string[]
}

export interface HeaderValue {
  readonly name: string
  readonly value: string
}

export const NO_HEADER_CHANGES: HeaderChanges = { set: [], add: [], remove: [] }

/** Conditions of Envoy's `retry_on`, both the HTTP and the gRPC ones. */
export const RETRY_CONDITIONS = [
  '5xx',
  'gateway-error',
  'reset',
  'reset-before-request',
  'connect-failure',
  'retriable-4xx',
  'refused-stream',
  'retriable-status-codes',
  'retriable-headers',
  'envoy-ratelimited',
  'cancelled',
  'deadline-exceeded',
  'internal',
  'resource-exhausted',
  'unavailable',
] as const
export type RetryCondition = (typeof RETRY_CONDITIONS)[number]

export interface RetryPolicy {
  readonly on: readonly RetryCondition[]
  /** For `retriable-status-codes`. */
  readonly statusCodes: readonly number[]
  /** For `retriable-headers`: fields of the answer, one of which must match. Absent: none. */
  readonly answerHeaders?: readonly HeaderMatch[]
  /** How often beyond the first attempt; 0 or more. */
  readonly attempts: number
  /** Each attempt, in milliseconds; 0 means only the whole request is limited. */
  readonly perTryTimeoutMs: number
  readonly backoffBaseMs: number
  readonly backoffMaxMs: number
  /** The answer itself may say when to come again; absent: nobody looks. */
  readonly resetBackoff?: ResetBackoff
  /** Prefer an endpoint that was not tried yet. */
  readonly avoidPreviousHosts: boolean
  /** Prefer priorities that were not tried yet from the second repeat on, and when none is left. */
  readonly otherPriorities?: boolean
  /**
   * Retries of requests that may have been processed need one of these to match.
   * Empty: those with an idempotent method or an `Idempotency-Key`; `:method` present
   * opts every request in. (A stock Envoy takes empty for every request, so the control
   * plane writes the idempotent ones out for it.) Requests that provably never reached an upstream
   * (connect failure, refused stream) are exempt. Envoy `retriable_request_headers`.
   */
  readonly onlyWhen: readonly HeaderMatch[]
}

/** Envoy `RateLimitedRetryBackOff`: when an answer names a time, the next attempt waits for it. */
export interface ResetBackoff {
  /** Tried in order; the first that the answer has and that can be read counts. */
  readonly headers: readonly {
    /** Lower case, e.g. `retry-after`. */
    readonly name: string
    /** Seconds from now, or seconds since the epoch. */
    readonly format: 'seconds' | 'unixTimestamp'
  }[]
  /** Longer times are not waited for: the usual back-off takes their place. In milliseconds. */
  readonly maxMs: number
}

/** Holds where nobody asked for another: what no application can have seen is tried twice more, elsewhere. */
export const SAFE_RETRY: RetryPolicy = {
  on: ['connect-failure', 'refused-stream'],
  statusCodes: [],
  attempts: 2,
  perTryTimeoutMs: 0,
  backoffBaseMs: 25,
  backoffMaxMs: 250,
  avoidPreviousHosts: true,
  onlyWhen: [],
}

/**
 * Further attempts while the first is still running; the first good answer wins and the others
 * are cancelled. Same conditions as retries: idempotent or opted in, and within the budget.
 */
export interface HedgePolicy {
  /** Delay before the next attempt, in milliseconds; absent: when a try's time is over. */
  readonly afterMs?: number
  /** Delay = the cluster's own latency at this percentile (0 to 100), once it is known; wins over `afterMs`. */
  readonly afterPercentile?: number
  /** At once and altogether, 2 or more. */
  readonly maxAttempts: number
}

export interface Mirror {
  readonly cluster: string
  /** 0 to 100. */
  readonly percent: number
}

export type HashPolicy = {
  /** Later policies are not consulted when this one yields a hash. */
  readonly terminal: boolean
} & (
  | { readonly kind: 'header'; readonly name: string }
  | {
      readonly kind: 'cookie'
      readonly name: string
      readonly path: string
      /** Lifetime of a cookie the proxy makes, in milliseconds; absent: makes none; 0: session. */
      readonly ttlMs?: number
    }
  | { readonly kind: 'sourceIp' }
  | { readonly kind: 'query'; readonly name: string }
)

/** Delay comes first; the two shares are independent (Envoy's fault filter). */
export interface Fault {
  readonly delay?: {
    /** 0 to 100. */
    readonly percent: number
    readonly delayMs: number
  }
  readonly abort?: {
    /** 0 to 100. */
    readonly percent: number
    /** HTTP status 200 to 599; a gRPC status takes its place for gRPC aborts. */
    readonly status: number
    readonly grpcStatus?: number
  }
}

export interface CorsPolicy {
  readonly allowOrigins: readonly StringMatch[]
  readonly allowMethods: readonly string[]
  readonly allowHeaders: readonly string[]
  readonly exposeHeaders: readonly string[]
  /** In milliseconds; absent: the browser's default. */
  readonly maxAgeMs?: number
  readonly allowCredentials: boolean
  /** Whether preflights that match no origin go on to the upstream. */
  readonly forwardUnmatchedPreflights: boolean
}
