/** One request on a client's HTTP/2 connection: an exchange's client side. */
import type { SocketAddress } from '@weft/model'
import type { TlsFacts } from '@weft/net'
import {
  H2_ERROR,
  type HeadTarget,
  type Http2Stream,
  type OutBuffer,
  problemStatus,
  problemText,
  type StreamBytes,
} from '@weft/wire'
import type { ClientSide, TakenOver } from '../exchange/client-side.ts'
import type { Exchange } from '../exchange/exchange.ts'
import { exchangeBytes } from '../exchange/exchange-bytes.ts'
import type { Http2Link } from '../exchange/http2-link.ts'
import { routeRequest } from '../exchange/route-request.ts'
import { out } from '../exchange/shared-out.ts'
import { StreamSocket } from '../exchange/stream-socket.ts'
import type { Holding } from '../overload/heaviest.ts'
import type { Http2Connection } from './http2.ts'

const STATUS_AT = 9

/** `HTTP/1.1 101 …` */
function isSwitching(bytes: Buffer): boolean {
  return bytes.toString('latin1', STATUS_AT, STATUS_AT + 3) === '101'
}

export class ClientStream implements ClientSide {
  readonly multiplexed = true
  readonly stream: Http2Stream
  readonly #connection: Http2Connection
  readonly #link: Http2Link
  exchange: Exchange | undefined
  #tunnel: StreamSocket | undefined
  /** Body bytes that the client may not replace by more yet. */
  #owed = 0
  #paused = false
  /** The answer is complete; the client has not heard of it all. */
  #answered = false
  #cancelHold: (() => void) | undefined

  constructor(connection: Http2Connection, link: Http2Link, stream: Http2Stream) {
    this.#connection = connection
    this.#link = link
    this.stream = stream
  }

  get wire(): StreamBytes {
    return this.stream
  }

  get connection(): object {
    return this.#connection
  }

  get tls(): TlsFacts | undefined {
    return this.#connection.socket.tls
  }

  get remoteAddress(): SocketAddress {
    return this.#connection.remoteAddress
  }

  get directAddress(): SocketAddress | undefined {
    return this.#connection.socket.directAddress
  }

  get localAddress(): SocketAddress {
    return this.#connection.localAddress
  }

  get gone(): boolean {
    return this.stream.closed
  }

  get keeps(): boolean {
    return this.#link.session.keeps(this.stream)
  }

  get draining(): boolean {
    return this.#connection.draining
  }

  whenConfigured(wake: () => void): () => void {
    return this.#connection.whenConfigured(wake)
  }

  // What comes from the client.

  onHeaders(last: boolean): void {
    const { exchange } = this
    if (exchange === undefined) return
    const { head, headBytes, request } = exchange
    const { authorityStart, authorityEnd } = head
    exchange.authority = this.#connection.authorityOf(headBytes, authorityStart, authorityEnd)
    if (!last) request.start('stream', 0, false)
    this.#connection.configured(this, exchange)
  }

  /** There is a configuration that can say where it goes. */
  route(exchange: Exchange): void {
    this.#cancelHold = undefined
    if (this.#connection.misdirected(exchange.authority)) {
      exchange.fail('misdirected', `this connection is not for ${exchange.authority}`)
    } else routeRequest(exchange)
  }

  hold(cancel: () => void): void {
    this.#cancelHold = cancel
  }

  onRefused(problem: number): void {
    const { exchange } = this
    if (exchange === undefined) return
    exchange.failure = 'badRequest'
    exchange.detail = problemText(problem)
    exchange.reply({ status: problemStatus(problem), body: `${exchange.detail}\n` })
  }

  onData(bytes: Buffer, from: number, to: number, last: boolean): void {
    const { exchange } = this
    if (this.#tunnel !== undefined) {
      if (to > from) this.#tunnel.data(bytes, from, to)
      if (last) this.#tunnel.ended()
      return
    }
    this.#owed += to - from
    if (exchange !== undefined) {
      if (last) exchange.endBody(bytes, from, to)
      else exchange.takeBody(bytes, from, to)
    }
    // A tunnel that opened during the call has taken nothing of this.
    if (!this.#paused || last || this.exchange === undefined) this.#settle()
    this.#resetAfterAnswer()
  }

  onTrailers({ head, headBytes }: HeadTarget): void {
    const { exchange } = this
    if (exchange === undefined) {
      this.#tunnel?.ended()
      return
    }
    exchange.request.takeTrailers(head, headBytes)
    exchange.endBody(headBytes, 0, 0)
  }

  onReset(detail: string): void {
    this.#cancelHold?.()
    this.#cancelHold = undefined
    this.#tunnel?.lost(new Error(detail))
    const { exchange } = this
    this.exchange = undefined
    exchange?.downstreamGone(detail)
  }

  /** Both sides are complete: nothing waits any more. */
  onClosed(): void {
    this.#cancelHold?.()
    this.#cancelHold = undefined
  }

  onWritable(): void {
    this.#tunnel?.writable()
    this.exchange?.onDownstreamDrain()
    this.#resetAfterAnswer()
  }

  // What the exchange asks for.

  sendInterim(from: number): void {
    const { session } = this.#link
    session.sendResponseText(this.stream, out.bytes, from, out.length, false)
    out.length = from
  }

  send(headLength: number, last: boolean, trailers: OutBuffer | undefined): boolean {
    const { session } = this.#link
    const { stream } = this
    const { length } = out
    const endsWithData = last && trailers === undefined
    let taken = true
    if (headLength > 0) {
      // RFC 8441, section 5: an extended CONNECT is agreed to by 200.
      if (stream.extendedConnect && isSwitching(out.bytes)) out.bytes.write('200', STATUS_AT)
      const ends = endsWithData && length === headLength
      session.sendResponseText(stream, out.bytes, 0, headLength, ends)
      if (length > headLength || (endsWithData && !ends)) {
        taken = session.sendData(stream, out.bytes, headLength, length, endsWithData)
      }
    } else if (length > 0 || endsWithData) {
      taken = session.sendData(stream, out.bytes, 0, length, endsWithData)
    }
    if (last && trailers !== undefined) {
      session.sendTrailers(stream, trailers.bytes, 0, trailers.length)
    }
    out.clear()
    return taken
  }

  sendBulk(bytes: Buffer, last: boolean): boolean {
    return this.#link.session.sendData(this.stream, bytes, 0, bytes.length, last)
  }

  pauseBody(): void {
    this.#paused = true
  }

  resumeBody(): void {
    this.#paused = false
    this.#settle()
  }

  bulkBody(): void {}

  addHolding(into: Holding[]): void {
    const { exchange, stream } = this
    if (exchange !== undefined) into.push(exchangeBytes(exchange, stream.queuedBytes + this.#owed))
  }

  /** The client may send as much again as was taken. */
  #settle(): void {
    const { stream } = this
    if (this.#owed === 0) return
    const owed = this.#owed
    this.#owed = 0
    this.#link.session.consumed(stream, owed)
  }

  exchangeDone(): void {
    this.exchange = undefined
    this.#settle()
    if (this.#tunnel !== undefined) return
    this.#answered = true
    this.#resetAfterAnswer()
  }

  /** What is left of a request that was answered already is not wanted (RFC 9113, section 8.1). */
  #resetAfterAnswer(): void {
    const { stream } = this
    if (!this.#answered || stream.closed || stream.remoteEnded || stream.queuedBytes > 0) return
    this.#link.session.resetStream(stream, H2_ERROR.noError)
  }

  abort(): void {
    this.exchange = undefined
    this.#link.session.resetStream(this.stream, H2_ERROR.internalError)
  }

  takeOver(): TakenOver {
    this.#settle()
    this.#tunnel = new StreamSocket(this.#link.session, this.stream, this)
    if (this.stream.remoteEnded) queueMicrotask(() => this.#tunnel?.ended())
    return { socket: this.#tunnel, early: undefined }
  }
}
