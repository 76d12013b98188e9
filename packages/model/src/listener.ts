/**
 * Where connections come in and what happens to them first: Envoy's `Listener`
 * with its filter chains, HTTP connection manager and TCP proxy, as plain values.
 */
import type { SocketAddress } from './address.ts'
import type { NetworkRbac } from './authorization.ts'
import type { HttpFilterConfig } from './http-filter.ts'
import type { HeaderMatch } from './matcher.ts'
import type { Origin } from './origin.ts'
import type { RouteTable, WeightedTarget } from './route.ts'
import type { DownstreamTls } from './tls.ts'

export interface Listener {
  readonly name: string
  readonly address: SocketAddress
  readonly direction: 'inbound' | 'outbound' | 'unspecified'
  /** False when another listener hands connections over by their original destination. */
  readonly bindToPort: boolean
  readonly useOriginalDst: boolean
  /**
   * For a gRPC program that is its own proxy (gRFC A27, A36): `client` is a name that it calls, with
   * one chain; `server` an address on which it answers by itself.
   */
  readonly proxyless?: 'client' | 'server'
  /** Connections begin with a PROXY protocol header, v1 or v2; `optional` also takes those without. */
  readonly proxyProtocol?: 'required' | 'optional'
  /** What counts of such a header beside the addresses; absent: nothing. */
  readonly proxyHeader?: ProxyHeaderRules
  readonly filterChains: readonly FilterChain[]
  /** Taken when no chain matches; absent: such connections are closed. */
  readonly defaultFilterChain?: FilterChain
  readonly origins: readonly Origin[]
}

/** Envoy's PROXY protocol listener filter. */
export interface ProxyHeaderRules {
  /** Kept for clusters that pass them on; absent: none. */
  readonly keeps?: TlvChoice
  /** TLVs whose value, as text, becomes metadata of the connection. */
  readonly metadata?: readonly TlvMetadata[]
  /** A version that is not taken for a header; absent: none. */
  readonly refuses?: 'v1' | 'v2'
}

/** Types of TLVs of a PROXY protocol header, each 0 to 255. */
export type TlvChoice = 'all' | readonly number[]

export interface TlvMetadata {
  readonly type: number
  readonly namespace: string
  readonly key: string
}

export interface FilterChain {
  /** Unique in its listener. */
  readonly name: string
  readonly match: FilterChainMatch
  readonly tls?: DownstreamTls
  /** Decide about a connection before anything of it is served, in order. Absent: nothing does. */
  readonly rbac?: readonly [NetworkRbac, ...NetworkRbac[]]
  readonly filter: HttpConnectionManager | TcpProxy
}

/** Empty lists and absent fields match everything (Envoy `FilterChainMatch`). */
export interface FilterChainMatch {
  readonly destinationPort?: number
  /** CIDR texts, e.g. `10.0.0.0/8`. */
  readonly destinationPrefixes: readonly string[]
  readonly sourcePrefixes: readonly string[]
  readonly serverNames: readonly string[]
  readonly transportProtocol?: 'raw_buffer' | 'tls'
  readonly applicationProtocols: readonly string[]
}

export const MATCH_ALL: FilterChainMatch = {
  destinationPrefixes: [],
  sourcePrefixes: [],
  serverNames: [],
  applicationProtocols: [],
}

export interface HttpConnectionManager {
  readonly kind: 'http'
  readonly statPrefix: string
  readonly routes: RouteSource
  /** In order; the router is implied as the last one. */
  readonly filters: readonly HttpFilterConfig[]
  /** `auto` tells HTTP/1.1 from HTTP/2 by ALPN or the first bytes. Absent: `auto`. */
  readonly codec?: 'auto' | 'http1' | 'http2'
  readonly http2?: Http2Settings
  /** `x-forwarded-for` gains the peer's address, and headers from outside are not believed. */
  readonly useRemoteAddress: boolean
  /** How many proxies in front are believed; 0 or more. */
  readonly xffTrustedHops: number
  readonly normalizePath: boolean
  readonly mergeSlashes: boolean
  /** What becomes of `%2F` and `%5C` in paths; absent: they stay. */
  readonly escapedSlashes?: 'decode' | 'reject'
  /** E.g. `websocket`; lower case. */
  readonly upgrades: readonly string[]
  readonly acceptHttp10: boolean
  readonly generateRequestId: boolean
  /** Of the whole request head, in bytes. */
  readonly maxRequestHeadBytes: number
  /** From the first byte of a head to its end, in milliseconds; 0 means no limit. */
  readonly requestHeadTimeoutMs: number
  /** Of a connection between requests, in milliseconds; 0 means no limit. */
  readonly idleTimeoutMs: number
  /** Of a stream without a byte either way, in milliseconds; 0 means no limit. */
  readonly streamIdleTimeoutMs: number
  /** From the request's first byte to its last, in milliseconds; absent: no limit. */
  readonly requestTimeoutMs?: number
  /** Of a whole stream, also an endless one, in milliseconds; absent: no limit. */
  readonly maxStreamDurationMs?: number
  /** After this a connection is asked to go, in milliseconds; absent: no limit. */
  readonly maxConnectionDurationMs?: number
  /** After so many a connection is asked to go, 1 or more; absent: no limit. */
  readonly maxRequestsPerConnection?: number
  /** Added to the `via` fields of requests and answers; absent: nothing is. */
  readonly via?: string
  /** 1 to 100; absent: 100. */
  readonly maxRequestFields?: number
  /** What becomes of names with an underscore; absent: `allow`. */
  readonly underscores?: 'allow' | 'reject' | 'drop'
  /** Spelling of names towards HTTP/1 clients; absent: as the upstream sent them. */
  readonly headerCase?: 'lower' | 'proper'
  /** The `server` field of answers; absent: the upstream's own stays. */
  readonly serverHeader?:
    | { readonly kind: 'overwrite' | 'ifAbsent'; readonly value: string }
    | { readonly kind: 'remove' }
  /**
   * Requests on a TLS connection for a host that its server name does not cover, and another
   * chain's does, are answered with 421 (RFC 9110, section 15.5.20). Absent: true.
   */
  readonly refuseMisdirected?: boolean
  /** What becomes of `x-forwarded-client-cert`; absent: it is taken away. */
  readonly forwardClientCert?: ForwardClientCert
  /**
   * `Expect: 100-continue` is for the upstream to answer. Absent: false, the proxy answers it once
   * the request may go on.
   */
  readonly proxy100Continue?: boolean
  /**
   * Envoy's router option: upstreams are not told the path before a rewrite nor the time that is
   * left, clients not how long the upstream took.
   */
  readonly suppressEnvoyHeaders?: true
  /** Lines besides the one when a request ends; absent: none. */
  readonly accessLogFlush?: {
    /** While it lasts, every so many milliseconds, > 0; absent: none. */
    readonly intervalMs?: number
    /** When its head was judged, before the filters. */
    readonly onNewRequest?: boolean
    /** When CONNECT or an upgrade has become a tunnel. */
    readonly onTunnel?: boolean
  }
  readonly accessLogs: readonly AccessLogTarget[]
}

/** Envoy `ForwardClientCertDetails`; all but the last are for clients that showed a certificate. */
export interface ForwardClientCert {
  readonly mode: 'forwardOnly' | 'appendForward' | 'sanitizeSet' | 'alwaysForwardOnly'
  /** What is told of the client's certificate, beside its hash and our own name. */
  readonly details: readonly ('cert' | 'subject' | 'uri' | 'dns')[]
}

/** Towards clients; Envoy `Http2ProtocolOptions`. Absent fields take Weft's edge-safe defaults. */
export interface Http2Settings {
  /** 1 to 2^31 - 1; absent: 100. */
  readonly maxConcurrentStreams?: number
  /** Bytes, 65 535 to 2^31 - 1; absent: 65 536 a stream and 1 MiB a connection. */
  readonly streamWindow?: number
  readonly connectionWindow?: number
  readonly keepAlive?: { readonly intervalMs: number; readonly timeoutMs: number }
}

export type RouteSource =
  | { readonly kind: 'rds'; readonly name: string }
  | { readonly kind: 'inline'; readonly table: RouteTable }

export interface TcpProxy {
  readonly kind: 'tcp'
  readonly statPrefix: string
  /** At least one. */
  readonly targets: readonly [
    Pick<WeightedTarget, 'cluster' | 'weight'>,
    ...Pick<WeightedTarget, 'cluster' | 'weight'>[],
  ]
  /** Without a byte either way, in milliseconds; 0 means no limit. */
  readonly idleTimeoutMs: number
  /** Of the whole connection, in milliseconds; absent: no limit. */
  readonly maxConnectionDurationMs?: number
  /** Tries at connecting, each at another endpoint; 1 or more; absent: 1. */
  readonly maxConnectAttempts?: number
  /** Chooses by the client's address where the balancer hashes. */
  readonly hashSourceIp?: boolean
  /** Lines besides the one when a connection ends; absent: none. */
  readonly accessLogFlush?: {
    /** While it lasts, every so many milliseconds, > 0; absent: none. */
    readonly intervalMs?: number
    /** When there is an upstream. */
    readonly onConnected?: boolean
  }
  readonly accessLogs: readonly AccessLogTarget[]
}

/** Envoy's file access logger. */
export interface AccessLogTarget {
  /** E.g. `/dev/stdout`. */
  readonly path: string
  /** Absent: Weft's JSON line with every fact it knows. */
  readonly format?: /** Envoy's command operators, e.g. `%RESPONSE_CODE%`. */
    | { readonly kind: 'text'; readonly template: string }
    /** One JSON object a line; texts with operators. */
    | { readonly kind: 'json'; readonly fields: AccessLogFields }
  /** What is not known is left out of a line, in place of `-` and null. */
  readonly omitEmpty?: boolean
  /** Absent: everything is logged. */
  readonly filter?: AccessLogFilter
}

export interface AccessLogFields {
  readonly [name: string]: AccessLogValue
}
export type AccessLogValue =
  | string
  | number
  | boolean
  | null
  | readonly AccessLogValue[]
  | AccessLogFields

/** Envoy `AccessLogFilter`. */
export type AccessLogFilter =
  | {
      /** `duration` in milliseconds. */
      readonly kind: 'status' | 'duration'
      readonly op: 'atLeast' | 'equal' | 'atMost'
      readonly value: number
    }
  /** One of the flags is set; empty: any flag. */
  | { readonly kind: 'responseFlag'; readonly flags: readonly string[] }
  | { readonly kind: 'header'; readonly match: HeaderMatch }
  /** By number. */
  | { readonly kind: 'grpcStatus'; readonly statuses: readonly number[]; readonly exclude: boolean }
  /** By Envoy's access log type, e.g. `TcpPeriodic`. */
  | { readonly kind: 'logType'; readonly types: readonly string[]; readonly exclude: boolean }
  | { readonly kind: 'and' | 'or'; readonly filters: readonly AccessLogFilter[] }
