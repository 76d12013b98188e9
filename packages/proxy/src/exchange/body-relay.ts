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
import { MAX_KEPT_BYTES } from './room-for.ts'

export type BodyFraming = 'none' | 'fixed' | 'chunked' | 'untilClose' | 'stream'

/** Takes a coding off a body that comes in pieces. */
export interface BodyDecoder {
  /** The rest of the body is worth nothing. */
  readonly failed: boolean
  take(bytes: Uint8Array, from: number, end: number): Buffer
  end(): void
}

const TRAILER_BYTES = 256
const LAST_CHUNK = ascii('0\r\n')
const CRLF = ascii('\r\n')

export class BodyRelay {
  framing: BodyFraming = 'none'
  /** Bytes still to come of a fixed body. */
  left = 0
  done = true
  /** Data bytes so far. */
  bytes = 0
  /** Bytes of the chunked coding around the data: as it came, and as it goes on. */
  framingIn = 0
  framingOut = 0
  /** Whether the other side gets it chunked. */
  chunkedOut = false
  /** What is relayed next is the end of a stream's body. */
  ending = false
  /** Counts what is in it; absent: it is not gRPC. */
  messages: GrpcMessages | undefined
  /** Of the answer that the request wants, if it is gRPC-Web; else empty. */
  webContentType = ''
  /** Takes a coding off; absent: the data goes on as it is. */
  decoder: BodyDecoder | undefined
  /** Of a request: copies are to be sent when it is complete. */
  mirrorsWait = false
  /** Trailers that may go on, as lines; absent when there were none. Gone with the message. */
  trailers: OutBuffer | undefined
  /** Where trailers are kept, from one message to the next: gRPC has them in every answer. */
  #lines: OutBuffer | undefined
  readonly #decoder = new ChunkedDecoder()

  start(framing: BodyFraming, length: number, chunkedOut: boolean): void {
    this.framing = framing
    this.left = framing === 'fixed' ? length : 0
    this.done = framing === 'none' || (framing === 'fixed' && length === 0)
    this.bytes = 0
    this.framingIn = 0
    this.framingOut = 0
    this.chunkedOut = chunkedOut
    this.ending = false
    this.messages = undefined
    this.decoder = undefined
    this.mirrorsWait = false
    this.webContentType = ''
    this.trailers = undefined
    if (this.#lines !== undefined && this.#lines.bytes.length > MAX_KEPT_BYTES) {
      this.#lines = undefined
    }
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
      this.#put(bytes, from, to, into)
      return to
    }
    if (this.framing === 'chunked') return this.#relayChunks(bytes, from, end, into)
    this.bytes += end - from
    this.#put(bytes, from, end, into)
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

  #put(bytes: Buffer, from: number, to: number, into: OutBuffer | undefined): void {
    const { decoder } = this
    if (decoder === undefined) {
      this.messages?.take(bytes, from, to)
      if (into !== undefined) this.append(bytes, from, to, into)
    } else if (into !== undefined) {
      const plain = decoder.take(bytes, from, to)
      this.messages?.take(plain, 0, plain.length)
      this.append(plain, 0, plain.length, into)
    }
  }

  /** What `held` has so far, and all that comes, is in a coding that does not go on. */
  decodeWith(decoder: BodyDecoder, held: OutBuffer): void {
    const coded = Buffer.from(held.bytes.subarray(0, held.length))
    held.clear()
    this.decoder = decoder
    const plain = decoder.take(coded, 0, coded.length)
    held.copy(plain, 0, plain.length)
  }

  /** The body is not what its coding says. */
  get undecodable(): boolean {
    const { decoder } = this
    if (decoder === undefined) return false
    if (this.done) decoder.end()
    return decoder.failed
  }

  /** Data in the form that the other side gets. */
  append(bytes: Buffer, from: number, to: number, into: OutBuffer): void {
    if (from === to) return
    if (!this.chunkedOut) {
      into.copy(bytes, from, to)
      return
    }
    const before = into.length
    into.beginChunk(to - from)
    into.copy(bytes, from, to)
    into.endChunk()
    this.framingOut += into.length - before - (to - from)
  }

  #relayChunks(bytes: Buffer, from: number, end: number, into: OutBuffer | undefined): number {
    const decoder = this.#decoder
    let at = from
    while (at < end && !decoder.done) {
      const before = at
      at = decoder.next(bytes, at, end)
      if (at < 0) return at
      const { dataFrom, dataTo } = decoder
      this.framingIn += at - before - (dataTo - dataFrom)
      this.bytes += dataTo - dataFrom
      this.#put(bytes, dataFrom, dataTo, into)
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
    this.#lines ??= new OutBuffer(TRAILER_BYTES)
    const lines = this.#lines
    lines.clear()
    for (let i = 0; i < trailers.count; i++) {
      if (!mayForwardTrailer(trailers, bytes, i)) continue
      lines.copy(bytes, trailers.spans[i * SPAN] as number, trailers.lineEnd(i))
    }
    if (lines.length > 0) this.trailers = lines
  }

  /** What ends the body in the chunked coding; nothing in others. */
  appendEnd(into: OutBuffer): void {
    if (!this.chunkedOut) return
    const before = into.length
    into.append(LAST_CHUNK)
    if (this.trailers !== undefined) into.copy(this.trailers.bytes, 0, this.trailers.length)
    into.append(CRLF)
    this.framingOut += into.length - before
  }
}
