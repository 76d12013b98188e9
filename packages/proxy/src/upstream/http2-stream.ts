/** One request on an HTTP/2 connection to an endpoint: an exchange's upstream side. */
import type { Socket } from '@weft/net'
import {
  H2_ERROR,
  type HeadTarget,
  type Http2Stream,
  type OutBuffer,
  type StreamBytes,
} from '@weft/wire'
import { out } from '../exchange/shared-out.ts'
import { StreamSocket } from '../exchange/stream-socket.ts'
import type { Http2Upstream } from './http2.ts'
import type { StreamLoss, UpstreamSide, UpstreamUser } from './upstream-user.ts'

export class UpstreamStream implements UpstreamSide {
  readonly multiplexed = true
  readonly reused: boolean
  readonly #connection: Http2Upstream
  #user: UpstreamUser | undefined
  #stream: Http2Stream | undefined
  #tunnel: StreamSocket | undefined
  #owed = 0
  #paused = false

  constructor(connection: Http2Upstream, user: UpstreamUser, reused: boolean) {
    this.#connection = connection
    this.#user = user
    this.reused = reused
  }

  get socket(): Socket {
    return this.#connection.socket
  }

  get wire(): StreamBytes | undefined {
    return this.#stream
  }

  get waitingBytes(): number {
    return this.#stream?.queuedBytes ?? 0
  }

  get user(): UpstreamUser | undefined {
    return this.#user
  }

  send(headLength: number, last: boolean, trailers: OutBuffer | undefined): boolean {
    const { session } = this.#connection
    if (headLength > 0 && this.#user?.upgrade === true && !session.peerAllowsConnect) {
      this.#sendWhenAllowed(headLength)
      return true
    }
    const { length } = out
    const endsWithData = last && trailers === undefined
    let from = 0
    let ended = false
    if (headLength > 0) {
      ended = endsWithData && length === headLength
      const { scheme } = this.#connection
      this.#stream = session.sendRequestText(scheme, out.bytes, 0, headLength, ended)
      from = headLength
      if (this.#stream === undefined) {
        out.clear()
        queueMicrotask(() => this.#refused())
        return true
      }
      this.#stream.user = this
    }
    const stream = this.#stream
    let taken = true
    if (stream !== undefined) {
      if (length > from || (endsWithData && !ended)) {
        taken = session.sendData(stream, out.bytes, from, length, endsWithData)
      }
      if (last && trailers !== undefined) {
        session.sendTrailers(stream, trailers.bytes, 0, trailers.length)
      }
    }
    out.clear()
    return taken
  }

  /** RFC 8441, section 3: not before the endpoint has said that it takes extended CONNECT. */
  #sendWhenAllowed(headLength: number): void {
    const head = Buffer.from(out.bytes.subarray(0, headLength))
    out.clear()
    this.#connection.whenSettled(() => {
      const user = this.#user
      const { session, scheme } = this.#connection
      if (user === undefined) return
      if (session.peerAllowsConnect) {
        this.#stream = session.sendRequestText(scheme, head, 0, head.length, false)
        if (this.#stream === undefined) this.#refused()
        else this.#stream.user = this
        return
      }
      this.#user = undefined
      this.#connection.left(this)
      if (session.closed) user.onUpstreamReset('unprocessed', 'the connection is gone')
      else user.onUpstreamReset('reset', 'the upstream takes no WebSockets over HTTP/2 (RFC 8441)')
    })
  }

  /** The connection filled up, or ends, between its choice and now. */
  #refused(): void {
    const user = this.#user
    this.#user = undefined
    this.#connection.left(this)
    user?.onUpstreamReset('unprocessed', 'the connection takes no more requests')
  }

  sendBulk(bytes: Buffer, last: boolean): boolean {
    const stream = this.#stream
    if (stream === undefined) return true
    return this.#connection.session.sendData(stream, bytes, 0, bytes.length, last)
  }

  handTo(user: UpstreamUser): void {
    this.#user = user
  }

  pauseBody(): void {
    this.#paused = true
  }

  resumeBody(): void {
    this.#paused = false
    this.#settle()
  }

  bulkBody(): void {}

  #settle(): void {
    const owed = this.#owed
    this.#owed = 0
    if (owed > 0 && this.#stream !== undefined) {
      this.#connection.session.consumed(this.#stream, owed)
    }
  }

  release(): void {
    this.#end(H2_ERROR.noError)
  }

  discard(): void {
    this.#end(H2_ERROR.cancel)
  }

  #end(code: number): void {
    this.#user = undefined
    this.#settle()
    const stream = this.#stream
    if (stream === undefined) this.#connection.left(this)
    else if (!stream.closed) {
      if (code === H2_ERROR.cancel) this.#connection.doubt(stream.openedMs)
      this.#connection.session.resetStream(stream, code)
    }
  }

  takeOver(): { socket: Socket; released: () => void } {
    this.#user = undefined
    const { session, addresses } = this.#connection
    const stream = this.#stream
    if (stream === undefined) throw new Error('Cannot take over a stream that was never opened')
    this.#settle()
    this.#tunnel = new StreamSocket(session, stream, addresses)
    return { socket: this.#tunnel, released: () => undefined }
  }

  // What the connection reports.

  get answerTarget(): HeadTarget | undefined {
    return this.#user?.answerTarget
  }

  onHead(last: boolean): void {
    this.#user?.onUpstreamHead(last)
  }

  onData(bytes: Buffer, from: number, to: number, last: boolean): void {
    const tunnel = this.#tunnel
    if (tunnel !== undefined) {
      if (to > from) tunnel.data(bytes, from, to)
      if (last) tunnel.ended()
      return
    }
    this.#owed += to - from
    this.#user?.onUpstreamBody(bytes, from, to, last)
    if (!this.#paused || this.#user === undefined) this.#settle()
  }

  onTrailers(trailers: HeadTarget): void {
    this.#tunnel?.ended()
    this.#user?.onUpstreamTrailers(trailers)
  }

  onReset(loss: StreamLoss, detail: string): void {
    this.#tunnel?.lost(new Error(detail))
    const user = this.#user
    this.#user = undefined
    user?.onUpstreamReset(loss, detail)
  }

  onWritable(): void {
    this.#tunnel?.writable()
    this.#user?.onUpstreamDrain()
  }
}
