/**
 * What the engine needs from whoever configures it, and what it tells whoever
 * watches. The shell (`build/`) makes these from model resources; the engine
 * only reads them.
 *
 *     ListenerSlot ─► ListenerRuntime ─► ChainRuntime ─► HttpRuntime | TcpRuntime
 *                                                                  │ clusters: by name
 *                                                                  └► UpstreamCluster (upstream/cluster.ts)
 *
 * A tree is immutable and swapped by `slot.publish` (`listen/listener-slot.ts`).
 * Connections look at the slot when a request begins, so a running exchange keeps the tree it
 * started with and a change never closes a connection.
 */
import type { Clock, Logger } from '@weft/base'
import type {
  Cluster,
  DownstreamTls,
  Endpoint,
  FilterChainMatch,
  HeaderValue,
  HttpConnectionManager,
  Listener,
  Locality,
  NetworkRbac,
  Route,
  SocketAddress,
  TcpProxy,
  VirtualHost,
} from '@weft/model'
import type { Resolve, TimerWheel, TlsFacts, Transport } from '@weft/net'
import type { CompiledRouteTable } from '@weft/traffic'
import type { Http2Counters } from '@weft/wire'
import type { SharedLimits } from '../filters/rate-limit/shared-limiter.ts'
import type { OverloadState } from '../overload/overload-state.ts'
import type { TlsContexts } from '../tls/tls-contexts.ts'
import type { UpstreamCluster } from '../upstream/cluster.ts'
import type { ControlQuestions } from '../upstream/control-questions.ts'
import type { WireBytes } from './wire-bytes.ts'

/** Everything the data path takes from its surroundings. */
export interface EngineDeps {
  readonly transport: Transport
  readonly clock: Clock
  /** Ticks every 100 ms; all timeouts of the data path hang on it. */
  readonly wheel: TimerWheel
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly log: Logger
  /** Hosts that requests name themselves to addresses; default: the system's resolver, every time. */
  readonly resolve?: Resolve
  /** Absent: nothing speaks TLS, and what has to does not connect. */
  readonly tls?: TlsContexts
  /** The control plane, which counts for global limits; absent: there is none to ask. */
  readonly control?: Pick<ControlQuestions, 'ask'>
  /** Absent: what filters do is not counted. */
  readonly filterStats?: FilterStats
  /** Absent: what HTTP/2 connections do is not counted. */
  readonly http2Stats?: Http2Stats
  /** Hosts of key sets that may be on loopback or plaintext; absent: none (R61). */
  readonly keyHosts?: readonly string[]
  /** Where this proxy runs, for zone aware routing; absent: nowhere in particular. */
  readonly locality?: Locality
  /** What this proxy calls itself to others, `<workload>.<namespace>`; absent: nothing. */
  readonly serviceCluster?: string
  /** What the proxy's processes count together; absent: this is the only one. */
  readonly limits?: SharedLimits
  /** How much is given up because something runs out; absent: nothing ever is. */
  readonly overload?: OverloadState
}

/** Where HTTP/2 connections count: those of clients, and those to a cluster's endpoints. */
export interface Http2Stats {
  readonly clients: Http2Counters
  ofCluster(name: string): Http2Counters
}

/** Where HTTP filters count; leaves are Envoy's, with their dots. */
export interface FilterStats {
  counter(owner: StatOwner, leaf: string): (amount?: number) => void
  gauge(owner: StatOwner, leaf: string): FilterGauge
}

export type FilterGauge = (value: number) => void

/** `http`: the connection manager's `statPrefix`. */
export interface StatOwner {
  readonly kind: 'http' | 'cluster' | 'listener' | 'localRateLimit' | 'network'
  readonly name: string
}

export interface ListenerRuntime {
  readonly name: string
  readonly direction: Listener['direction']
  /** See `Listener`. */
  readonly proxyProtocol?: Listener['proxyProtocol']
  readonly proxyHeader?: Listener['proxyHeader']
  readonly chains: readonly ChainRuntime[]
  readonly defaultChain?: ChainRuntime
}

export interface ChainRuntime {
  readonly name: string
  readonly match: FilterChainMatch
  /** Connections begin with a handshake; they wait while a secret has not come. */
  readonly tls?: DownstreamTls
  /** Decide about the connection before anything of it is served. */
  readonly rbac?: readonly NetworkRbac[]
  readonly handler: HttpRuntime | TcpRuntime
}

export interface HttpRuntime {
  readonly kind: 'http'
  readonly listener: string
  readonly direction: Listener['direction']
  readonly manager: HttpConnectionManager
  /** `undefined` until RDS answered: requests are held, like connections without a tree. */
  readonly routes: CompiledRouteTable | undefined
  readonly clusters: ReadonlyMap<string, UpstreamCluster>
  readonly observer: ExchangeObserver
  /** Fields that every forwarded request carries in place of its own, e.g. `x-weft-peer`. */
  readonly requestStamps?: readonly HeaderValue[]
  /** Lower-case names of fields that no forwarded request carries. */
  readonly requestStrips?: readonly string[]
  /** The same for answers to the client. */
  readonly responseStamps?: readonly HeaderValue[]
  readonly responseStrips?: readonly string[]
}

export interface TcpRuntime {
  readonly kind: 'tcp'
  readonly listener: string
  readonly direction: Listener['direction']
  readonly proxy: TcpProxy
  readonly clusters: ReadonlyMap<string, UpstreamCluster>
  readonly observer: ExchangeObserver
}

/** Told once about everything that ended. Runs on the data path: it must not throw or wait. */
export interface ExchangeObserver {
  /** `record` is reused afterwards: copy what is to be kept. */
  onExchangeEnd(record: ExchangeRecord): void
  /** What there is of an exchange that goes on; only logs are told. As above, it is reused. */
  onExchangeLog?(record: ExchangeRecord): void
  /** A TCP connection has its upstream. What ends without that is told by `onConnectionEnd` alone. */
  onConnectionStart?(record: ConnectionRecord): void
  onConnectionEnd(record: ConnectionRecord): void
  /** What there is of a connection that goes on; only logs are told. */
  onConnectionLog?(record: ConnectionRecord): void
  /** A connection ended before anything of it was served; only logs are about those. */
  onConnectionRefused?(record: ConnectionRecord): void
}

/**
 * One finished HTTP exchange. Everything is computed when read: an observer that
 * reads nothing costs nothing.
 */
export interface ExchangeRecord {
  /** Where it goes on; absent: it has ended. */
  readonly logType?: ExchangeLogType | undefined
  readonly direction: Listener['direction']
  readonly listener: string
  readonly method: string
  /** As the client sent it, with query. */
  readonly path: string
  readonly authority: string
  readonly protocol: 'HTTP/1.0' | 'HTTP/1.1' | 'HTTP/2'
  /** What the client got, or would have got; 0 when it left before any. */
  readonly status: number
  /** Envoy's response flags, comma separated; `-` when none. */
  readonly responseFlags: string
  /** Envoy's `%RESPONSE_CODE_DETAILS%`, e.g. `via_upstream`, `route_not_found`. */
  readonly responseCodeDetails: string
  /** For people: what went wrong with the upstream, with its address; empty when nothing. */
  readonly failureDetail: string
  /** From trailers, or from the head of an answer without a body; absent: the answer is not gRPC's. */
  readonly grpcStatus?: string | undefined
  /** Messages of gRPC; absent: it is not gRPC. */
  readonly requestMessages?: number | undefined
  readonly responseMessages?: number | undefined
  /** Body bytes. */
  readonly requestBytes: number
  readonly responseBytes: number
  /** Wall clock, milliseconds since the epoch. */
  readonly startedAtMs: number
  readonly durationMs: number
  /** From the last byte sent upstream until its first byte came; -1 when none came. */
  readonly upstreamMs: number
  readonly attempts: number
  readonly scheme?: string | undefined
  /** From the start until the request's last byte, and the answer's first one; absent: neither came. */
  readonly requestMs?: number | undefined
  /** Until the last byte of the request was sent upstream. */
  readonly requestSentMs?: number | undefined
  readonly downstreamWire?: WireBytes | undefined
  readonly upstreamWire?: WireBytes | undefined
  /** Names and values, without what separates them. */
  readonly requestFieldBytes?: number | undefined
  readonly responseFieldBytes?: number | undefined
  readonly responseTrailerBytes?: number | undefined
  readonly firstByteMs?: number | undefined
  readonly downstreamPeerUriSan?: string | undefined
  /** Absent: plaintext. */
  readonly downstreamTls?: TlsFacts | undefined
  /** Of the connection that the answer came by. */
  readonly upstreamTls?: TlsFacts | undefined
  /** Of that connection, too. */
  readonly upstreamLocal?: SocketAddress | undefined
  readonly upstreamProtocol?: 'HTTP/1.1' | 'HTTP/2' | undefined
  /** A trailer of the answer by lower-case name. */
  responseTrailer?(name: string): string | undefined
  /** Absent: every repeat that was due was made. */
  readonly retryEnd?: RetryEnd | undefined
  /** How the pause before the last repeat was found; absent: there was none. */
  readonly backoff?: 'exponential' | 'ratelimited' | undefined
  /** Attempts made while another one ran, and whether one of them gave the answer. */
  readonly hedges?: { readonly launched: number; readonly won: boolean } | undefined
  readonly virtualHost: VirtualHost | undefined
  readonly route: Route | undefined
  readonly cluster: Cluster | undefined
  readonly endpoint: Endpoint | undefined
  readonly upstreamAddress: SocketAddress | undefined
  /** Of the connection; what a PROXY header said holds. */
  readonly downstreamRemote: SocketAddress
  /** Of the connection itself, whatever a PROXY header said. */
  readonly downstreamDirect: SocketAddress
  /** Who asks, as far as `x-forwarded-for` is believed; with port 0 when it names another than the connection. */
  readonly client: SocketAddress
  readonly downstreamLocal: SocketAddress
  readonly requestId: string
  /** What a filter left behind, by Envoy's name of the filter; absent: nothing does. */
  metadata?(filter: string): Readonly<Record<string, unknown>> | undefined
  /** A request header by lower-case name, as filters left it. */
  requestHeader(name: string): string | undefined
  /** A header of the upstream's answer by lower-case name. */
  responseHeader(name: string): string | undefined
}

/** Envoy's access log types of what goes on. */
export type ExchangeLogType =
  | 'DownstreamStart'
  | 'DownstreamPeriodic'
  | 'DownstreamTunnelSuccessfullyEstablished'

/** Envoy's `upstream_rq_retry_overflow` and `upstream_rq_retry_limit_exceeded`. */
export type RetryEnd = 'overflow' | 'limitExceeded'

/** One TCP connection of a tcp_proxy chain, as far as it came. */
export interface ConnectionRecord {
  /** Envoy's access log type, where it goes on; absent: it has ended. */
  readonly logType?: 'TcpUpstreamConnected' | 'TcpPeriodic' | undefined
  readonly direction: Listener['direction']
  readonly listener: string
  readonly responseFlags: string
  /** Only of a refused one, as the next. */
  readonly responseCodeDetails?: string | undefined
  /** Why TLS with the client did not come about. */
  readonly transportFailure?: string | undefined
  readonly failureDetail: string
  readonly receivedBytes: number
  readonly sentBytes: number
  readonly startedAtMs: number
  readonly durationMs: number
  readonly cluster: Cluster | undefined
  readonly endpoint: Endpoint | undefined
  readonly upstreamAddress: SocketAddress | undefined
  readonly downstreamRemote: SocketAddress
  /** Whatever a PROXY header said; absent: it is `downstreamRemote`. */
  readonly downstreamDirect?: SocketAddress | undefined
  readonly downstreamLocal: SocketAddress
  readonly upstreamLocal: SocketAddress | undefined
  /** `onConnectionStart` was told. */
  readonly opened: boolean
  /** Tries at connecting. */
  readonly attempts: number
  /** Asked for in the client's TLS handshake, also in one that was passed through. */
  readonly serverName: string | undefined
  /** Of a connection whose TLS ends here. */
  readonly downstreamTls?: TlsFacts | undefined
}
