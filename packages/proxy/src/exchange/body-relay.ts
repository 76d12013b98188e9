/**
 * One message body on its way through: counted, checked and put into the framing
 * that the other side gets.
 *
 *     in    none | fixed | chunked | untilClose
 *     out   as it is (fixed, untilClose to an HTTP/1.0 client) | chunked
 */
import { ascii, ChunkedDecoder, mayForwardTrailer, type OutBuffer, SPAN } from '@weft/wire'

export type BodyFraming = 'none' | 'fixed' | 'chunked' | 'untilClose'

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
  readonly #decoder = new ChunkedDecoder()

  start(framing: BodyFraming, length: number, chunkedOut: boolean): void {
    this.framing = framing
    this.left = framing === 'fixed' ? length : 0
    this.done = framing === 'none' || (framing === 'fixed' && length === 0)
    this.bytes = 0
    this.chunkedOut = chunkedOut
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
      if (into !== undefined) this.#append(bytes, from, to, into)
      return to
    }
    if (this.framing === 'chunked') return this.#relayChunks(bytes, from, end, into)
    this.bytes += end - from
    if (into !== undefined) this.#append(bytes, from, end, into)
    return end
  }

  /** `count` bytes of a fixed body went by. */
  took(count: number): void {
    this.left -= count
    this.bytes += count
    if (this.left === 0) this.done = true
  }

  /** The end of the connection is the end of the body. */
  finishAtClose(into: OutBuffer): void {
    this.done = true
    if (this.chunkedOut) {
      into.append(LAST_CHUNK)
      into.append(CRLF)
    }
  }

  #append(bytes: Buffer, from: number, to: number, into: OutBuffer): void {
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
      if (into !== undefined) this.#append(bytes, dataFrom, dataTo, into)
    }
    if (decoder.done) {
      this.done = true
      if (into !== undefined && this.chunkedOut) this.#appendEnd(into)
    }
    return at
  }

  #appendEnd(into: OutBuffer): void {
    into.append(LAST_CHUNK)
    const { trailers, trailerBytes } = this.#decoder
    if (trailers !== undefined && trailerBytes !== undefined) {
      for (let i = 0; i < trailers.count; i++) {
        if (!mayForwardTrailer(trailers, trailerBytes, i)) continue
        into.copy(trailerBytes, trailers.spans[i * SPAN] as number, trailers.lineEnd(i))
      }
    }
    into.append(CRLF)
  }
}
