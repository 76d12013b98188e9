/**
 * One message body on its way through: counted, checked and put into the framing
 * that the other side gets.
 *
 *     in    none | fixed | chunked | untilClose | stream (HTTP/2: its end is told)
 *     out   as it is | chunked
 *
 * Trailers are kept as lines until the other side's end is written.
 */

import type { MessageHead } from '@weft/wire'
import { ascii, ChunkedDecoder, mayForwardTrailer, OutBuffer, SPAN } from '@weft/wire'
import type { GrpcMessages } from './grpc.ts'

export type BodyFraming = 'none' | 'fixed' | 'chunked' | 'untilClose' | 'stream'

const LAST_CHUNK = ascii('0\r\n')
const CRLF = ascii('\r\n')

export class BodyRelay {
  framing: BodyFraming = 'none'
  /** Bytes still to come of a fixed body. */
  left = 0
  done = true
  /** Data bytes so far. */
  bytes = 0
  /** Whether the other side gets it chunked. */
  chunkedOut = false
  /** What is relayed next is the end of a stream's body. */
  ending = false
  /** Counts what is in it; absent: it is not gRPC. */
  messages: GrpcMessages | undefined
  /** Trailers that may go on, as lines; absent when there were none. */
  trailers: OutBuffer | undefined
  readonly #decoder = new ChunkedDecoder()

  start(framing: BodyFraming, length: number, chunkedOut: boolean): void {
    this.framing = framing
    this.left = framing === 'fixed' ? length : 0
    this.done = framing === 'none' || (framing === 'fixed' && length === 0)
    this.bytes = 0
    this.chunkedOut = chunkedOut
    this.ending = false
    this.messages = undefined
    this.trailers = undefined
    if (framing === 'chunked') this.#decoder.reset()
  }

  /**
   * Takes what belongs to the body from `bytes[from..end)`.
   *
   * @param into Where the other side's form is appended; `undefined` throws it away.
   * @returns The offset just past what was taken, or a problem.
   */
  relay(bytes: Buffer, from: number, end: number, into: OutBuffer | undefined): number {
    if (this.framing === 'fixed') {
      const to = Math.min(end, from + this.left)
      this.took(to - from)
      this.messages?.take(bytes, from, to)
      if (into !== undefined) this.append(bytes, from, to, into)
      return to
    }
    if (this.framing === 'chunked') return this.#relayChunks(bytes, from, end, into)
    this.bytes += end - from
    this.messages?.take(bytes, from, end)
    if (into !== undefined) this.append(bytes, from, end, into)
    if (this.ending) this.finish(into)
    return end
  }

  /** `count` bytes of a fixed body went by. */
  took(count: number): void {
    this.left -= count
    this.bytes += count
    if (this.left === 0) this.done = true
  }

  /** The end came by itself: the connection's, or the stream's. */
  finish(into: OutBuffer | undefined): void {
    this.done = true
    if (into !== undefined) this.appendEnd(into)
  }

  /** Data in the form that the other side gets. */
  append(bytes: Buffer, from: number, to: number, into: OutBuffer): void {
    if (from === to) return
    if (this.chunkedOut) into.beginChunk(to - from)
    into.copy(bytes, from, to)
    if (this.chunkedOut) into.endChunk()
  }

  #relayChunks(bytes: Buffer, from: number, end: number, into: OutBuffer | undefined): number {
    const decoder = this.#decoder
    let at = from
    while (at < end && !decoder.done) {
      at = decoder.next(bytes, at, end)
      if (at < 0) return at
      const { dataFrom, dataTo } = decoder
      this.bytes += dataTo - dataFrom
      this.messages?.take(bytes, dataFrom, dataTo)
      if (into !== undefined) this.append(bytes, dataFrom, dataTo, into)
    }
    if (decoder.done) {
      const { trailers, trailerBytes } = decoder
      if (trailers !== undefined && trailerBytes !== undefined) {
        this.takeTrailers(trailers, trailerBytes)
      }
      this.finish(into)
    }
    return at
  }

  takeTrailers(trailers: MessageHead, bytes: Buffer): void {
    const lines = new OutBuffer(256)
    for (let i = 0; i < trailers.count; i++) {
      if (!mayForwardTrailer(trailers, bytes, i)) continue
      lines.copy(bytes, trailers.spans[i * SPAN] as number, trailers.lineEnd(i))
    }
    if (lines.length > 0) this.trailers = lines
  }

  /** What ends the body in the chunked coding; nothing in others. */
  appendEnd(into: OutBuffer): void {
    if (!this.chunkedOut) return
    into.append(LAST_CHUNK)
    if (this.trailers !== undefined) into.copy(this.trailers.bytes, 0, this.trailers.length)
    into.append(CRLF)
  }
}
