/**
 * The body of an answer through a content coding. Runs beside the event loop: its bytes come when
 * they come, and the exchange ends with the last of them.
 *
 *     upstream ─► plain ─► coder ─► client
 *         ▲ paused while      ▲ paused while
 *           the coder is full   the client is slow
 */
import type { Transform } from 'node:stream'
import { OutBuffer } from '@weft/wire'
import { type EncodedHeaders, joinEncoded } from './encoded-headers.ts'
import type { Exchange } from './exchange.ts'
import { out } from './shared-out.ts'

export interface Coder {
  readonly stream: Transform
  /** Makes it give out all that it has; absent: it always does. */
  flush?(): void
  /** The body says what trailers would: none go on. */
  readonly bodyHasTrailers?: boolean
}

export interface AnswerEncoder {
  /** Asked for answers without a body too: their head changes. */
  readonly needsNoBody?: boolean
  /** `undefined`: nothing changes. */
  choose(facts: AnswerFacts):
    | {
        readonly headers: EncodedHeaders
        /** Absent: the body stays as it is. */
        readonly create: ((trailers: () => Buffer | undefined) => Coder) | undefined
      }
    | undefined
}

export interface AnswerFacts {
  request(name: string): string | undefined
  response(name: string): string | undefined
  readonly status: number
  /** Of the body; negative when it is not known. */
  readonly length: number
}

/** Asks the route's encoders; adds what the answer's head has to say. */
export function chooseCoding(
  x: Exchange,
  chunked: boolean,
  hasBody: boolean,
): AnswerCoding | undefined {
  const { view, response } = x
  const facts: AnswerFacts = {
    request: (name) => view.requestHeader(name),
    response: (name) => view.responseHeader(name),
    status: response.status,
    length: response.contentLength,
  }
  const trailers = () => {
    const lines = x.answer.trailers
    return lines && Buffer.from(lines.bytes.subarray(0, lines.length))
  }
  for (const encoder of x.encoders) {
    if (!hasBody && encoder.needsNoBody !== true) continue
    const choice = encoder.choose(facts)
    if (choice === undefined) continue
    x.filterHeaders = joinEncoded(x.filterHeaders, choice.headers)
    if (choice.create === undefined || !hasBody) continue
    return new AnswerCoding(x, choice.create(trailers), chunked)
  }
  return undefined
}

export class AnswerCoding {
  /** Where the upstream's data is laid for `take`. */
  readonly plain = new OutBuffer(0)
  readonly chunked: boolean
  readonly #x: Exchange
  readonly #coder: Coder
  /** Pieces that the coder was given and is not through with. */
  #pending = 0
  #ended = false
  #closed = false

  constructor(x: Exchange, coder: Coder, chunked: boolean) {
    this.#x = x
    this.#coder = coder
    this.chunked = chunked
    const { stream } = coder
    stream.on('data', (bytes: Buffer) => this.#send(bytes))
    stream.on('end', () => this.#finish())
    stream.on('drain', () => this.#drained())
    stream.on('error', (error) => this.#failed(error))
  }

  /** @returns False: enough for now; the upstream is resumed when there is room again. */
  take(last: boolean): boolean {
    const { plain } = this
    const { stream } = this.#coder
    let taken = true
    if (plain.length > 0) {
      const piece = Buffer.from(plain.bytes.subarray(0, plain.length))
      plain.clear()
      this.#pending++
      taken = stream.write(piece, () => this.#coded())
    }
    if (last) {
      this.#ended = true
      stream.end()
    }
    return taken
  }

  /** The client took what waited for it. */
  resume(): void {
    if (!this.#closed) this.#coder.stream.resume()
  }

  /** Nothing comes out any more. */
  close(): void {
    this.#closed = true
    this.#coder.stream.destroy()
  }

  /** What a slow upstream sent is not held back until more comes (server-sent events). */
  #coded(): void {
    this.#pending--
    if (this.#pending > 0 || this.#ended || this.#closed) return
    this.#coder.flush?.()
  }

  #drained(): void {
    if (!this.#closed) this.#x.connection?.resumeBody()
  }

  #send(bytes: Buffer): void {
    if (this.#closed) return
    const x = this.#x
    x.timers.quiet = 0
    x.responseBodyBytes += bytes.length
    out.clear()
    if (this.chunked) out.beginChunk(bytes.length)
    out.copy(bytes, 0, bytes.length)
    if (this.chunked) out.endChunk()
    x.answer.framingOut += out.length - bytes.length
    if (!x.downstream.send(0, false, undefined)) this.#coder.stream.pause()
  }

  #finish(): void {
    if (this.#closed) return
    const x = this.#x
    x.eventMs = 0
    out.clear()
    x.answer.chunkedOut = this.chunked
    if (this.#coder.bodyHasTrailers === true) x.answer.trailers = undefined
    x.answer.appendEnd(out)
    x.downstream.send(0, true, x.answer.trailers)
    x.finish()
  }

  #failed(error: Error): void {
    if (this.#closed) return
    this.#x.eventMs = 0
    this.#x.dropConnection()
    this.#x.fail('upstreamCut', `content coding: ${error.message}`)
  }
}
