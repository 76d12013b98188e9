/**
 * A client's side of an exchange, whatever protocol it speaks: an HTTP/1.1
 * connection or a stream of an HTTP/2 one.
 *
 * Heads are composed in `out` (`shared-out.ts`) in HTTP/1.1's form for both: the
 * one form that writers know. HTTP/1.1 sends them as they are, HTTP/2 encodes
 * their lines.
 */
import type { SocketAddress } from '@weft/model'
import type { Socket, TlsFacts } from '@weft/net'
import type { OutBuffer, StreamBytes } from '@weft/wire'

export interface ClientSide {
  /** The same for all requests of one connection. */
  readonly connection: object
  /** What the client's handshake established; absent without one. */
  readonly tls?: TlsFacts | undefined
  readonly remoteAddress: SocketAddress
  /** Of the connection itself, where a PROXY header named another. */
  readonly directAddress?: SocketAddress | undefined
  readonly localAddress: SocketAddress
  /** Bodies need no coding, trailers travel by themselves, and the end of one message ends nothing else. */
  readonly multiplexed: boolean
  /** What went over the wire for it alone; only where `multiplexed`. */
  readonly wire?: StreamBytes | undefined
  /** Nobody is there to be answered any more. */
  readonly gone: boolean
  /** What comes for the client now can only be kept: it takes nothing. */
  readonly keeps: boolean
  /** Answers should ask the client to go elsewhere. */
  readonly draining: boolean
  /** `out` ends with the head of an interim answer that begins at `from`. */
  sendInterim(from: number): void
  /**
   * Sends what `out` holds and leaves it empty: `headLength` bytes of the final head, then body.
   * False: the client is slow, `Exchange.onDownstreamDrain` follows.
   *
   * @param trailers Lines behind the body; only where `multiplexed`.
   */
  send(headLength: number, last: boolean, trailers: OutBuffer | undefined): boolean
  /** Sends body bytes that stay as they are until they are sent, uncopied if it can. */
  sendBulk(bytes: Buffer, last: boolean): boolean
  /** The request's body. */
  pauseBody(): void
  resumeBody(): void
  /** Large reads for the request's body. */
  bulkBody(on: boolean): void
  /** The tree may be newer than the exchange's: called for a request that waited for one. */
  whenConfigured(wake: () => void): () => void
  /** The exchange is over; its object may be in use again already. */
  exchangeDone(keepAlive: boolean, nowMs: number): void
  /** Ends it so that what was sent cannot be taken for complete. */
  abort(): void
  /** Takes it away from HTTP: from now on it is bytes both ways. */
  takeOver(): TakenOver
}

export interface TakenOver {
  readonly socket: Socket
  /** Bytes that came after the request. */
  readonly early: Uint8Array | undefined
}
