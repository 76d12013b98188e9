/**
 * Where connections come in and what happens to them first: Envoy's `Listener`
 * with its filter chains, HTTP connection manager and TCP proxy, as plain values.
 */
import type { SocketAddress } from './address.ts'
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
  readonly filterChains: readonly FilterChain[]
  /** Taken when no chain matches; absent: such connections are closed. */
  readonly defaultFilterChain?: FilterChain
  readonly origins: readonly Origin[]
}

export interface FilterChain {
  /** Unique in its listener. */
  readonly name: string
  readonly match: FilterChainMatch
  readonly tls?: DownstreamTls
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
  readonly filters: readonly HttpFilterName[]
  /** `x-forwarded-for` gains the peer's address, and headers from outside are not believed. */
  readonly useRemoteAddress: boolean
  /** How many proxies in front are believed; 0 or more. */
  readonly xffTrustedHops: number
  readonly normalizePath: boolean
  readonly mergeSlashes: boolean
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
  readonly accessLogs: readonly AccessLogTarget[]
}

export type RouteSource =
  | { readonly kind: 'rds'; readonly name: string }
  | { readonly kind: 'inline'; readonly table: RouteTable }

export type HttpFilterName = 'cors' | 'fault'

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
  readonly accessLogs: readonly AccessLogTarget[]
}

/** One JSON object a line (Envoy's file access logger with `json_format`). */
export interface AccessLogTarget {
  /** E.g. `/dev/stdout`. */
  readonly path: string
}
