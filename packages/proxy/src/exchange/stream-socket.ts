/**
 * A stream as a socket: what CONNECT and WebSockets over HTTP/2 look like to a
 * tunnel. The stream's two ends are the socket's half-closes, its reset is RST.
 */
import type { SocketAddress } from '@weft/model'
import type { Socket, SocketHandler } from '@weft/net'
import { H2_ERROR, type Http2SessionApi, type Http2Stream } from '@weft/wire'

const NOTHING = Buffer.alloc(0)

const NOBODY: SocketHandler = {
  onOpen() {},
  onData() {},
  onEnd() {},
  onDrain() {},
  onClose() {},
}

export class StreamSocket implements Socket {
  handler: SocketHandler = NOBODY
  readonly remoteAddress: SocketAddress
  readonly localAddress: SocketAddress
  closed = false
  readonly #session: Http2SessionApi
  readonly #stream: Http2Stream
  #paused = true
  /** What the tunnel has not taken yet; more than the stream's window cannot come. */
  #waiting: Buffer[] = []
  #endWaits = false
  #ended = false
  #closing = false
  #told = false

  constructor(
    session: Http2SessionApi,
    stream: Http2Stream,
    addresses: { readonly remoteAddress: SocketAddress; readonly localAddress: SocketAddress },
  ) {
    this.#session = session
    this.#stream = stream
    this.remoteAddress = addresses.remoteAddress
    this.localAddress = addresses.localAddress
  }

  get pendingBytes(): number {
    return this.#stream.closed ? 0 : this.#stream.queuedBytes
  }

  write(bytes: Uint8Array): boolean {
    if (this.closed || this.#ended || bytes.length === 0) return true
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    return this.#session.sendData(this.#stream, buffer, 0, buffer.length, false)
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    while (!this.#paused && this.#waiting.length > 0) {
      const next = this.#waiting.shift()
      if (next !== undefined) this.#deliver(next)
    }
    if (this.#waiting.length === 0 && this.#endWaits) {
      this.#endWaits = false
      if (!this.closed) this.handler.onEnd()
    }
  }

  #deliver(bytes: Buffer): void {
    this.#session.consumed(this.#stream, bytes.length)
    if (!this.closed) this.handler.onData(bytes, bytes.length)
  }

  bulkReads(): boolean {
    return false
  }

  end(): void {
    if (this.closed || this.#ended) return
    this.#ended = true
    this.#session.sendData(this.#stream, NOTHING, 0, 0, true)
  }

  close(): void {
    if (this.closed) return
    if (this.#ended && this.pendingBytes > 0) {
      // What was sent before the end still gets through.
      this.#closing = true
      return
    }
    this.#finish(H2_ERROR.cancel)
  }

  reset(): void {
    if (!this.closed) this.#finish(H2_ERROR.connectError)
  }

  #finish(code: number): void {
    this.closed = true
    this.#waiting = []
    if (!this.#stream.closed) this.#session.resetStream(this.#stream, code)
    queueMicrotask(() => this.#tell(undefined))
  }

  #tell(error: Error | undefined): void {
    if (this.#told) return
    this.#told = true
    this.closed = true
    this.handler.onClose(error)
  }

  // What the connection reports of the stream.

  data(bytes: Buffer, from: number, to: number): void {
    if (this.closed) this.#session.consumed(this.#stream, to - from)
    else if (this.#paused || this.#waiting.length > 0) {
      this.#waiting.push(Buffer.from(bytes.subarray(from, to)))
    } else this.#deliver(bytes.subarray(from, to))
  }

  ended(): void {
    if (this.closed) return
    if (this.#waiting.length > 0) this.#endWaits = true
    else this.handler.onEnd()
  }

  writable(): void {
    if (this.#closing && this.pendingBytes === 0) this.#finish(H2_ERROR.cancel)
    else if (!this.closed) this.handler.onDrain()
  }

  /** Reset by the peer, or gone with the connection. */
  lost(error: Error): void {
    this.closed = true
    this.#waiting = []
    this.#tell(error)
  }
}
