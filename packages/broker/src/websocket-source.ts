/**
 * Frames that come over a WebSocket: the opening handshake, then one RSocket frame per binary
 * message. Pings are answered; a text message ends the connection with 1003.
 */
import {
  type RSocketFrameSink,
  readWebSocketHandshake,
  renderWebSocketAccept,
  renderWebSocketClose,
  renderWebSocketControl,
  WebSocketReader,
  type WebSocketSink,
  WS_CLOSE,
  WS_OPCODE,
  webSocketHeadBytes,
  writeWebSocketHead,
} from '@weft/wire'
import type { FrameSource } from './leg.ts'
import type { Framing } from './outbox.ts'

export const WEBSOCKET_FRAMING: Framing = {
  headBytes: webSocketHeadBytes,
  writeHead: writeWebSocketHead,
}

/** What the source needs of its connection. */
export interface WebSocketHome extends RSocketFrameSink {
  /** Sends bytes that are no frame. */
  sendRaw(bytes: Uint8Array): void
  /** Sends what waits, then our end. */
  close(): void
}

export class WebSocketSource implements FrameSource, WebSocketSink {
  readonly #home: WebSocketHome
  readonly #reader: WebSocketReader
  /** The request head while it is not whole. */
  #head: Buffer | undefined = Buffer.alloc(0)

  constructor(home: WebSocketHome, maxFrameBytes: number) {
    this.#home = home
    this.#reader = new WebSocketReader(this, {
      maxMessageBytes: maxFrameBytes,
      expectMasked: true,
    })
  }

  set maxFrameBytes(bytes: number) {
    this.#reader.maxMessageBytes = bytes
  }

  get closed(): boolean {
    return this.#home.closed
  }

  receive(bytes: Uint8Array, length: number): void {
    if (this.#head === undefined) {
      this.#reader.receive(bytes, length)
      return
    }
    const head = Buffer.concat([this.#head, bytes.subarray(0, length)])
    const found = readWebSocketHandshake(head, head.length)
    if (found.kind === 'more') {
      this.#head = head
      return
    }
    this.#head = undefined
    if (found.kind === 'refused') {
      this.#home.sendRaw(found.answer)
      this.#home.close()
      return
    }
    this.#home.sendRaw(renderWebSocketAccept(found.request.key))
    this.#reader.receive(head, head.length, found.end)
  }

  onMessage(bytes: Uint8Array, from: number, to: number): void {
    this.#home.onFrame(bytes, from, to)
  }

  onPing(payload: Uint8Array): void {
    this.#home.sendRaw(renderWebSocketControl(WS_OPCODE.pong, payload))
  }

  onWebSocketClose(_code: number): void {
    this.#home.sendRaw(renderWebSocketClose(WS_CLOSE.normal))
    this.#home.close()
  }

  onWebSocketError(code: number, _why: string): void {
    this.#home.sendRaw(renderWebSocketClose(code))
    this.#home.close()
  }
}
