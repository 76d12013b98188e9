/** What log formats can ask about a finished exchange, beyond the default line. */
import type { SocketAddress } from '@weft/model'
import type { AccessLogEntry } from '../access-log.ts'

/** What a TLS handshake with a client established. */
interface LogTls {
  /** `TLSv1.3`, and OpenSSL's name of the cipher. */
  readonly version: string
  readonly cipher: string
  readonly peer: LogPeer | undefined
  /** Of our own certificate. */
  readonly localUriSans?: readonly string[]
}

/** The client's certificate. */
export interface LogPeer {
  readonly subject: string
  readonly issuer: string
  readonly serial: string
  /** SHA-256, lower-case hex. */
  readonly fingerprint: string
  readonly uriSans: readonly string[]
  readonly dnsSans: readonly string[]
  readonly ipSans: readonly string[]
  readonly emailSans: readonly string[]
  readonly validToMs: number
}

/** Bytes of one side. Absent parts are not known. */
export interface LogWire {
  readonly received: number | undefined
  readonly sent: number | undefined
  readonly headerReceived: number | undefined
  readonly headerSent: number | undefined
}

/** `undefined` is logged as Envoy logs what is not known: `-`, in JSON null. */
export interface LogFacts extends AccessLogEntry {
  /** `HTTP` for an exchange, `TCP` for a connection. */
  readonly kind: 'HTTP' | 'TCP'
  readonly scheme: string | undefined
  readonly grpcStatus: number | undefined
  /** Until the request's last byte had come, and until the answer's first byte came. */
  readonly requestMs: number | undefined
  readonly firstByteMs: number | undefined
  /** The other end of the connection, where `downstreamRemoteAddress` may be who it speaks for. */
  readonly downstreamDirectAddress: SocketAddress | undefined
  /** Until the request's last byte was sent upstream. */
  readonly requestSentMs?: number | undefined
  readonly downstreamWire?: LogWire | undefined
  readonly upstreamWire?: LogWire | undefined
  /** Names and values alone. */
  readonly requestFieldBytes?: number | undefined
  readonly responseFieldBytes?: number | undefined
  readonly responseTrailerBytes?: number | undefined
  readonly connectionId?: number | undefined
  readonly upstreamConnectionId?: number | undefined
  readonly downstreamPeerUriSan: string | undefined
  /** Absent: plaintext. */
  readonly downstreamTls?: LogTls | undefined
  readonly upstreamTls?: LogTls | undefined
  /** What a filter left behind, by its name. */
  metadata?(filter: string): Readonly<Record<string, unknown>> | undefined
  /** What Envoy keeps under a name for a connection or request: a text, or one with fields. */
  filterState?(key: string): string | Readonly<Record<string, string>> | undefined
  /** `HTTP/1.1`, `HTTP/2`. */
  readonly upstreamProtocol?: string | undefined
  readonly upstreamHostname: string | undefined
  readonly filterChain: string | undefined
  /** By lower-case name. */
  requestHeader(name: string): string | undefined
  responseHeader(name: string): string | undefined
  responseTrailer(name: string): string | undefined
}
