/**
 * The receiving half of a session: DATA within both windows, and the WINDOW_UPDATE
 * frames that open them again as the owner consumes.
 */
import type { OutBuffer } from '../http1/out-buffer.ts'
import type { AbuseGuard } from './abuse.ts'
import { H2_ERROR, type Http2Counters, type Http2Handler } from './contract.ts'
import { DEFAULT_WINDOW, FLAG, FRAME, HEADER_BYTES, writeNumberFrame } from './frames.ts'
import type { Http2Stream, OpenStreams } from './stream.ts'

interface Session {
  readonly out: OutBuffer
  readonly handler: Http2Handler
  readonly guard: AbuseGuard
  readonly counters: Http2Counters
  readonly streams: OpenStreams
  readonly closed: boolean
  touch(): void
  onStray(id: number): void
  fail(code: number, why: string): void
  streamError(stream: Http2Stream, code: number): void
  maybeClose(stream: Http2Stream): void
}

export class ReceiveSide {
  readonly #session: Session
  readonly #streamWindow: number
  readonly #connectionWindow: number
  /** Of the connection. */
  #window = DEFAULT_WINDOW
  /** Given back, not yet told to the peer. */
  #credit = 0
  /** The stream of the DATA frame at hand; `undefined` when its bytes are dropped. */
  #stream: Http2Stream | undefined
  #ends = false

  constructor(session: Session, streamWindow: number, connectionWindow: number) {
    this.#session = session
    this.#streamWindow = streamWindow
    this.#connectionWindow = connectionWindow
  }

  /** Opens the connection's window from what RFC 9113 begins with to what was asked for. */
  start(): void {
    const more = this.#connectionWindow - DEFAULT_WINDOW
    if (more <= 0) return
    writeNumberFrame(this.#session.out, FRAME.windowUpdate, 0, more)
    this.#window += more
  }

  begin(flags: number, id: number, length: number, padding: number): void {
    const session = this.#session
    this.#stream = undefined
    this.#window -= length
    if (this.#window < 0) {
      session.fail(H2_ERROR.flowControlError, 'more DATA than the connection window allows')
      return
    }
    const stream = session.streams.get(id)
    const content = length - padding
    const ends = (flags & FLAG.endStream) !== 0
    if (stream === undefined) {
      this.giveBack(length)
      session.onStray(id)
      return
    }
    if (content === 0 && !ends) {
      if (session.guard.emptyFrame()) {
        session.fail(H2_ERROR.enhanceYourCalm, 'too many empty frames')
        return
      }
    } else session.guard.fullFrame()
    const code = this.#error(stream, length, content, ends)
    if (code !== H2_ERROR.noError) {
      this.giveBack(length)
      session.streamError(stream, code)
      return
    }
    stream.receiveWindow -= length
    stream.receivedBytes += HEADER_BYTES + length
    stream.unconsumed += length
    if (stream.bodyLeft >= 0) stream.bodyLeft -= content
    this.#stream = stream
    this.#ends = ends
    if (padding > 0) this.consumed(stream, padding)
  }

  #error(stream: Http2Stream, length: number, content: number, ends: boolean): number {
    if (stream.remoteEnded) return H2_ERROR.streamClosed
    if (!stream.headDone) return H2_ERROR.protocolError
    if (length > stream.receiveWindow) return H2_ERROR.flowControlError
    if (stream.bodyLeft >= 0) {
      const left = stream.bodyLeft - content
      if (left < 0 || (ends && left !== 0)) {
        this.#session.counters.rx_messaging_error++
        return H2_ERROR.protocolError
      }
    }
    return H2_ERROR.noError
  }

  part(bytes: Buffer, from: number, to: number, last: boolean): void {
    const stream = this.#stream
    // Reset while its bytes came: what was not consumed was given back then.
    if (stream === undefined || stream.closed) return
    const ends = last && this.#ends
    if (to === from && !ends) return
    if (ends) stream.remoteEnded = true
    this.#session.handler.onData(stream, bytes, from, to, ends)
    if (ends) this.#session.maybeClose(stream)
  }

  /** The owner is done with `count` bytes of the stream. */
  consumed(stream: Http2Stream, count: number): void {
    const session = this.#session
    if (stream.closed || session.closed) return
    const given = Math.min(count, stream.unconsumed)
    stream.unconsumed -= given
    this.giveBack(given)
    stream.credit += given
    if (stream.remoteEnded || stream.credit * 2 < this.#streamWindow) return
    session.touch()
    writeNumberFrame(session.out, FRAME.windowUpdate, stream.id, stream.credit)
    stream.sentBytes += HEADER_BYTES + 4
    stream.receiveWindow += stream.credit
    stream.credit = 0
  }

  /** The connection may receive `count` bytes again. */
  giveBack(count: number): void {
    const session = this.#session
    this.#credit += count
    if (session.closed || this.#credit * 2 < this.#connectionWindow) return
    session.touch()
    writeNumberFrame(session.out, FRAME.windowUpdate, 0, this.#credit)
    this.#window += this.#credit
    this.#credit = 0
  }
}
