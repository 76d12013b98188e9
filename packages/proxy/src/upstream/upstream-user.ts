/**
 * Who uses an upstream, an exchange or the copy of one, and what it uses: an
 * HTTP/1.1 connection for one message, or a stream of an HTTP/2 connection.
 */
import type { Socket } from '@weft/net'
import type { HeadTarget, OutBuffer, StreamBytes } from '@weft/wire'
import type { Failure } from '../exchange/failures.ts'

export interface UpstreamSide {
  /** HTTP/2: bodies need no coding, and giving one up leaves the connection to others. */
  readonly multiplexed: boolean
  /** HTTP/2: what went over the wire for the request and its answer; absent before it was sent. */
  readonly wire?: StreamBytes | undefined
  /** The request it carries is not the first one. */
  readonly reused: boolean
  /** Its connection's. */
  readonly socket: Socket
  /** Of the request, that the upstream has not taken yet. */
  readonly waitingBytes: number
  /** Sends what `out` holds: `headLength` bytes of the head, then body. False: `onUpstreamDrain` follows. */
  send(headLength: number, last: boolean, trailers: OutBuffer | undefined): boolean
  /** Sends body bytes that stay as they are until they are sent, uncopied if it can. */
  sendBulk(bytes: Buffer, last: boolean): boolean
  /** The answer's body. */
  pauseBody(): void
  resumeBody(): void
  /** Large reads for the answer's body. */
  bulkBody(on: boolean): void
  /** What comes from now on is for `user`. */
  handTo(user: UpstreamUser): void
  /** The user is done and all that was begun is complete. */
  release(nowMs: number): void
  /** The user is done with what is not complete. */
  discard(): void
  /** From now on it is bytes both ways; `released` is to be called when they have ended. */
  takeOver(): { readonly socket: Socket; readonly released: () => void }
}

/**
 * How a stream ended before its time. `refused`: the upstream says that it did nothing of
 * it. `unprocessed`: its connection never took it (GOAWAY names a lower one); another may.
 * `reset`: the upstream gave it up. `lost`: its connection is gone.
 */
export type StreamLoss = 'refused' | 'unprocessed' | 'reset' | 'lost'

export interface UpstreamUser {
  /** A connection is there; may be called before `HttpPool.acquire` returns. */
  onUpstreamReady(connection: UpstreamSide): void
  /** There will be none. Never called before `acquire` returns, but for `overflow`. */
  onUpstreamFailed(failure: Failure, detail: string): void
  /** HTTP/1.1: `bytes[0..length)`, valid only during the call. */
  onUpstreamData(bytes: Buffer, length: number): void
  /** The request asks for another protocol; absent: never. */
  readonly upgrade?: boolean
  /** HTTP/2: where heads of the answer are laid out. */
  readonly answerTarget: HeadTarget
  /** HTTP/2: a head, an interim one too, lies in `answerTarget`. */
  onUpstreamHead(last: boolean): void
  /** HTTP/2: `bytes[from..end)`, valid only during the call. */
  onUpstreamBody(bytes: Buffer, from: number, end: number, last: boolean): void
  /** HTTP/2: the answer ends with these. */
  onUpstreamTrailers(trailers: HeadTarget): void
  /** HTTP/2: the stream is over before its end. */
  onUpstreamReset(loss: StreamLoss, detail: string): void
  /** The upstream ended its side. */
  onUpstreamEnd(): void
  onUpstreamDrain(): void
  /** The connection is gone without having been given back. */
  onUpstreamGone(error: Error | undefined): void
}
