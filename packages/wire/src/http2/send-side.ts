/**
 * The sending half of a session: heads, bodies within both windows, and what waits
 * for one. Bytes that do not fit a window are copied once into their stream's queue;
 * the owner is told to stop, so a queue is as long as one call of `sendData`.
 */
import type { OutBuffer } from '../http1/out-buffer.ts'
import type { AbuseGuard } from './abuse.ts'
import type { Http2Handler, Http2Memory } from './contract.ts'
import {
  beginFrame,
  DEFAULT_WINDOW,
  endHeaders,
  FLAG,
  FRAME,
  HEADER_BYTES,
  MAX_FRAME_BYTES,
  MAX_WINDOW,
} from './frames.ts'
import { HeadWriter } from './head-writer.ts'
import type { RequestText } from './request-text.ts'
import type { Http2Stream, OpenStreams } from './stream.ts'

interface Session {
  readonly out: OutBuffer
  readonly handler: Http2Handler
  readonly guard: AbuseGuard
  readonly streams: OpenStreams
  touch(): void
  maybeClose(stream: Http2Stream): void
}

export class SendSide {
  readonly heads: HeadWriter
  pendingBytes = 0
  /** Of the connection. */
  window = DEFAULT_WINDOW
  /** Of new streams. */
  initialWindow = DEFAULT_WINDOW
  readonly #session: Session
  readonly #maxOutBytes: number
  readonly #memory: Http2Memory | undefined
  /** Streams whose owner was told to wait, the longest first. */
  readonly #waiting = new Set<Http2Stream>()

  constructor(session: Session, maxOutBytes: number, memory: Http2Memory | undefined) {
    this.#session = session
    this.#memory = memory
    this.#maxOutBytes = maxOutBytes
    this.heads = new HeadWriter(session.out)
  }

  request(
    stream: Http2Stream,
    scheme: string,
    text: RequestText,
    bytes: Buffer,
    to: number,
    endStream: boolean,
  ): void {
    const at = this.#beginHead()
    this.heads.beginRequest(scheme, text, bytes)
    this.heads.lines(bytes, text.linesFrom, to, true)
    this.#endHead(stream, at, endStream)
  }

  /** @param from Of the lines. */
  response(
    stream: Http2Stream,
    status: number,
    bytes: Buffer,
    from: number,
    to: number,
    endStream: boolean,
  ): void {
    const at = this.#beginHead()
    this.heads.beginResponse(status)
    this.heads.lines(bytes, from, to, false)
    this.#endHead(stream, at, endStream && status >= 200)
  }

  #beginHead(): number {
    const { out } = this.#session
    this.#session.touch()
    out.reserve(HEADER_BYTES)
    const at = out.length
    out.length += HEADER_BYTES
    return at
  }

  #endHead(stream: Http2Stream, at: number, endStream: boolean): void {
    const flags = endStream ? FLAG.endStream : 0
    const { out } = this.#session
    endHeaders(out, at, flags, stream.id, MAX_FRAME_BYTES)
    stream.sentBytes += out.length - at
    stream.sentHeadBytes += out.length - at
    if (endStream) this.#ended(stream)
  }

  #ended(stream: Http2Stream): void {
    stream.localEnded = true
    this.#session.maybeClose(stream)
  }

  data(stream: Http2Stream, bytes: Buffer, from: number, to: number, ends: boolean): boolean {
    let at = from
    // What comes while much waits is the stream's own: it goes with it, which frames in `out` do not.
    if (stream.queue === undefined && (this.#roomy || from === to)) {
      at = this.#write(stream, bytes, from, to, ends)
      if (at === to && (to > from || ends)) {
        if (ends) this.#ended(stream)
        return this.#mayGoOn(stream)
      }
    }
    if (at === to && !ends) return this.#mayGoOn(stream)
    this.#enqueue(stream, bytes, at, to)
    stream.queueEnds = ends
    return false
  }

  #mayGoOn(stream: Http2Stream): boolean {
    if (this.#roomy || stream.closed || stream.localEnded) return true
    this.#wait(stream)
    return false
  }

  /** Less waits for the peer than may before streams wait. */
  get #roomy(): boolean {
    const bytes = this.#session.out.length + this.pendingBytes
    return bytes < Math.min(this.#maxOutBytes, this.#memory?.outBytes ?? this.#maxOutBytes)
  }

  /** What is written of this stream now can only be kept. */
  keeps(stream: Http2Stream): boolean {
    return !this.#roomy || stream.queue !== undefined || stream.sendWindow <= 0 || this.window <= 0
  }

  #wait(stream: Http2Stream): void {
    stream.waiting = true
    this.#waiting.add(stream)
  }

  #enqueue(stream: Http2Stream, bytes: Buffer, from: number, to: number): void {
    const { queue, queueFrom, queueTo } = stream
    const length = to - from
    if (queue === undefined || queue.length - queueTo < length) {
      // A peer that goes on fills it frame by frame: with room to spare, each byte moves once or twice.
      const kept = stream.queuedBytes
      const grown = this.#room(queue === undefined ? length : 2 * (kept + length))
      queue?.copy(grown, 0, queueFrom, queueTo)
      this.#letGo(stream)
      stream.queue = grown
      stream.queueFrom = 0
      stream.queueTo = kept
    }
    bytes.copy(stream.queue as Buffer, stream.queueTo, from, to)
    stream.queueTo += length
    this.#wait(stream)
  }

  #room(bytes: number): Buffer {
    return this.#memory?.keep?.(bytes) ?? Buffer.allocUnsafe(bytes)
  }

  #letGo(stream: Http2Stream): void {
    if (stream.queue !== undefined) this.#memory?.letGo?.(stream.queue)
    stream.queue = undefined
  }

  /** Writes as many DATA frames as the windows allow. @returns Where it stopped. */
  #write(stream: Http2Stream, bytes: Buffer, from: number, to: number, ends: boolean): number {
    const { out, guard } = this.#session
    let at = from
    while (at < to || (ends && from === to)) {
      const size = Math.min(to - at, stream.sendWindow, this.window, MAX_FRAME_BYTES)
      if (size <= 0 && at < to) return at
      this.#session.touch()
      const last = ends && at + size === to
      beginFrame(out, size, FRAME.data, last ? FLAG.endStream : 0, stream.id)
      out.copy(bytes, at, at + size)
      stream.sendWindow -= size
      stream.sentBytes += HEADER_BYTES + size
      this.window -= size
      guard.dataSent()
      at += size
      if (last) break
    }
    return at
  }

  trailers(stream: Http2Stream, lines: Buffer, from: number, to: number): void {
    if (stream.queue !== undefined) {
      stream.queueTrailers = Buffer.from(lines.subarray(from, to))
      return
    }
    const at = this.#beginHead()
    this.heads.beginTrailers()
    this.heads.lines(lines, from, to, true)
    // Nothing but the end: an empty block would be no trailers.
    if (this.#session.out.length === at + HEADER_BYTES) {
      this.#session.out.length = at
      beginFrame(this.#session.out, 0, FRAME.data, FLAG.endStream, stream.id)
      stream.sentBytes += HEADER_BYTES
      this.#ended(stream)
      return
    }
    this.#endHead(stream, at, true)
  }

  /** The connection's window grew. */
  open(more: number): void {
    this.window += more
    this.pump()
  }

  /** The peer's SETTINGS_INITIAL_WINDOW_SIZE. @returns `false` when a window overflows. */
  resizeWindows(value: number): boolean {
    const change = value - this.initialWindow
    this.initialWindow = value
    for (const stream of this.#session.streams.values()) {
      stream.sendWindow += change
      if (stream.sendWindow > MAX_WINDOW) return false
    }
    return true
  }

  /** Goes on with every stream that waits, in turn. */
  pump(): void {
    for (const stream of [...this.#waiting]) {
      if (!this.#roomy) return
      this.pumpStream(stream)
    }
  }

  pumpStream(stream: Http2Stream): void {
    if (!stream.waiting || !this.#roomy) return
    if (stream.queue !== undefined && !this.#pumpQueue(stream)) return
    if (stream.closed || stream.localEnded) return
    stream.waiting = false
    this.#waiting.delete(stream)
    this.#session.handler.onWritable(stream)
  }

  /** @returns Whether the queue is empty now. */
  #pumpQueue(stream: Http2Stream): boolean {
    const queue = stream.queue as Buffer
    const ends = stream.queueEnds
    stream.queueFrom = this.#write(stream, queue, stream.queueFrom, stream.queueTo, ends)
    if (stream.queueFrom < stream.queueTo) {
      // To the end of the line: others wait, too.
      this.#waiting.delete(stream)
      this.#waiting.add(stream)
      return false
    }
    this.#letGo(stream)
    stream.queueFrom = 0
    const { queueTrailers } = stream
    if (ends || queueTrailers !== undefined) {
      stream.waiting = false
      this.#waiting.delete(stream)
    }
    if (ends) this.#ended(stream)
    else if (queueTrailers !== undefined) {
      this.trailers(stream, queueTrailers, 0, queueTrailers.length)
    }
    return true
  }

  forget(stream: Http2Stream): void {
    this.#waiting.delete(stream)
    this.#letGo(stream)
    stream.queueTrailers = undefined
    stream.waiting = false
  }
}
