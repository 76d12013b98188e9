/**
 * A group of endpoints that answer for the same thing, and how to talk to them:
 * Envoy's `Cluster` as plain values.
 */
import type { Endpoints } from './endpoint.ts'
import type { HealthCheck } from './health-check.ts'
import type { TlvChoice } from './listener.ts'
import type { Origin } from './origin.ts'
import type { UpstreamTls } from './tls.ts'

export interface Cluster {
  /** `outbound|9080|v1|reviews.default.svc.cluster.local`, `inbound|9080||`, `BlackHoleCluster`. */
  readonly name: string
  readonly discovery: Discovery
  readonly loadBalancer: LoadBalancer
  /** How localities of one priority share; absent: by endpoints, localities do not matter. */
  readonly localities?: LocalityBalancing
  /** New endpoints get their share bit by bit; only for round robin and least request. */
  readonly slowStart?: SlowStart
  /** 0 to 100: with fewer healthy endpoints than this share all are used; absent: 50 (R19), 0: never. */
  readonly panicPercent?: number
  /** Tried in order; an endpoint is healthy when every check says so. */
  readonly healthChecks?: readonly HealthCheck[]
  /** In milliseconds, > 0. */
  readonly connectTimeoutMs: number
  readonly limits: CircuitLimits
  readonly http: UpstreamHttp
  readonly tcpKeepalive?: TcpKeepalive
  readonly outlierDetection?: OutlierDetection
  readonly retryBudget?: RetryBudget
  readonly tls?: UpstreamTls
  /** `tls` is for endpoints whose `tlsMode` is `istio` only; others are called in plaintext. */
  readonly autoTls?: true
  /** Tells the upstream who the client is, before anything else (HAProxy's PROXY protocol). */
  readonly proxyProtocol?: 'v1' | 'v2'
  /** What the header says beside the addresses; only that of v2 can. */
  readonly proxyTlvs?: ProxyTlvs
  /** CONNECT through the endpoint to `target` first (Istio `trafficPolicy.tunnel`). */
  readonly tunnel?: { readonly method: 'CONNECT' | 'POST'; readonly target: string }
  readonly service?: ServiceRef
  readonly origins: readonly Origin[]
}

export interface ProxyTlvs {
  /** Of those that the client's own header had and its listener kept; absent: none. */
  readonly passes?: TlvChoice
  /** Stand in place of passed ones of the same type. */
  readonly adds?: readonly { readonly type: number; readonly value: Uint8Array }[]
}

export type Discovery =
  | { readonly kind: 'eds'; readonly name: string }
  | { readonly kind: 'static'; readonly endpoints: Endpoints }
  /** Every address a name resolves to is an endpoint (Envoy `STRICT_DNS`). */
  | { readonly kind: 'strictDns'; readonly endpoints: Endpoints }
  /** The first address, re-resolved on connect (Envoy `LOGICAL_DNS`). */
  | { readonly kind: 'logicalDns'; readonly endpoints: Endpoints }
  /** Where the connection was going before it was captured. */
  | { readonly kind: 'originalDst' }
  /** Whatever host and port the request names, resolved by DNS (Envoy `dynamic_forward_proxy`). */
  | { readonly kind: 'forwardProxy' }

/** Envoy `CommonLbConfig`. Failover order is the endpoints' `priority`, computed by the control plane. */
export type LocalityBalancing =
  /** By the weights of `LocalityEndpoints`. */
  | { readonly kind: 'weighted' }
  /** As much as possible stays in the caller's zone. `routedPercent` 0 to 100. */
  | { readonly kind: 'zoneAware'; readonly routedPercent: number; readonly minEndpoints: number }

/** Envoy `SlowStartConfig`: share = max(minPercent, (age / window) ^ (1 / aggression)). */
export interface SlowStart {
  /** In milliseconds, > 0. */
  readonly windowMs: number
  /** > 0; 1 is linear. */
  readonly aggression: number
  /** 0 to 100. */
  readonly minPercent: number
}

export type LoadBalancer =
  | { readonly kind: 'roundRobin' }
  /** Power of `choices` choices by active requests; `choices` >= 2. */
  | { readonly kind: 'leastRequest'; readonly choices: number }
  | { readonly kind: 'random' }
  /**
   * Power of two choices by latency times load: an exponentially weighted moving average that
   * jumps up at once and decays over `decayMs` (> 0). Stock Envoys get `leastRequest`.
   */
  | { readonly kind: 'peakEwma'; readonly decayMs: number }
  | { readonly kind: 'ringHash'; readonly minRingSize: number }
  | { readonly kind: 'maglev'; readonly tableSize: number }

/** Envoy `CircuitBreakers`, priority DEFAULT. All > 0. */
export interface CircuitLimits {
  readonly maxConnections: number
  readonly maxPendingRequests: number
  readonly maxRequests: number
  readonly maxRetries: number
}

/** Istio's defaults: no limit but for Envoy's on retries. */
export const NO_LIMITS: CircuitLimits = {
  maxConnections: 4_294_967_295,
  maxPendingRequests: 4_294_967_295,
  maxRequests: 4_294_967_295,
  maxRetries: 4_294_967_295,
}

export interface UpstreamHttp {
  /** `downstream`: what the client speaks; `alpn`: what the TLS handshake agrees on. */
  readonly protocol: 'http1' | 'http2' | 'downstream' | 'alpn'
  /** Idle pooled connections are closed after this many milliseconds; 0 means never. */
  readonly idleTimeoutMs: number
  /** 0 means no limit. */
  readonly maxRequestsPerConnection: number
  /** HTTP/2 only; 0 means the protocol's default. */
  readonly maxConcurrentStreams: number
  /** A connection older than this gets no new requests, in milliseconds; absent: no limit. */
  readonly maxConnectionDurationMs?: number
  /** HTTP/2 PING on connections in use; absent: none. */
  readonly keepAlive?: { readonly intervalMs: number; readonly timeoutMs: number }
  /** Spelling of names towards HTTP/1 endpoints; absent: as received. */
  readonly headerCase?: 'lower' | 'proper'
}

export interface TcpKeepalive {
  readonly probes: number
  readonly timeMs: number
  readonly intervalMs: number
}

/** Envoy `OutlierDetection`; a count of 0 switches that detector off. */
export interface OutlierDetection {
  readonly consecutive5xx: number
  readonly consecutiveGatewayErrors: number
  readonly consecutiveLocalOriginFailures: number
  readonly splitLocalOriginErrors: boolean
  readonly intervalMs: number
  readonly baseEjectionMs: number
  /** 0 to 100. */
  readonly maxEjectionPercent: number
  /** 0 to 100: below this share of healthy endpoints ejection is off; 0 never. */
  readonly minHealthPercent: number
  /** Ejection time grows with each ejection up to this, in milliseconds; absent: 300 000. */
  readonly maxEjectionMs?: number
  /** Up to this many milliseconds are added at random, so that not all return at once; absent: 0. */
  readonly maxEjectionJitterMs?: number
  /** Statuses that count as failures, in place of 500 to 599; absent: those. */
  readonly errorCodes?: readonly number[]
  /** Compares each endpoint with all; absent: off. */
  readonly successRate?: {
    /** Endpoints with enough requests in an interval, for statistics to mean anything. */
    readonly minHosts: number
    readonly minRequests: number
    /** Ejected below mean − this many thousandths of the standard deviation. */
    readonly stdevFactor: number
  }
  /** Ejects what fails in more than `percent` (0 to 100) of an interval's requests; absent: off. */
  readonly failurePercentage?: {
    readonly percent: number
    readonly minHosts: number
    readonly minRequests: number
  }
}

/** Retries as a share of requests, so that they cannot become the outage. */
export interface RetryBudget {
  /** Of active requests, or of those of the last `intervalMs`; 0 to 100. */
  readonly percent: number
  /** Always allowed, however few requests are active. */
  readonly minRetryConcurrency: number
  /** Requests and retries are counted over so many milliseconds; absent: those under way. */
  readonly intervalMs?: number
}

/** The service a cluster stands for, for metrics (`destination_service…`). */
export interface ServiceRef {
  /** Fully qualified, e.g. `reviews.default.svc.cluster.local`. */
  readonly host: string
  readonly name: string
  readonly namespace: string
}
