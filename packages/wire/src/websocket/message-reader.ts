/**
 * Bytes of a WebSocket connection to messages (RFC 6455, section 5). Binary messages are put
 * together within a limit, unmasked in place; control frames are told apart. Any cut of the
 * bytes gives the same messages.
 *
 *     +-+-+-+-+-------+-+-------------+-------------------------------+
 *     |F|R|R|R| opcode|M| length (7)  |  length (16 or 64), mask (32) |
 *     +-+-+-+-+-------+-+-------------+-------------------------------+
 */

export const WS_OPCODE = {
  continuation: 0,
  text: 1,
  binary: 2,
  close: 8,
  ping: 9,
  pong: 10,
} as const

/** Close codes (RFC 6455, section 7.4.1). */
export const WS_CLOSE = {
  normal: 1000,
  goingAway: 1001,
  protocolError: 1002,
  unsupportedData: 1003,
  tooBig: 1009,
} as const

export interface WebSocketSink {
  /** Nothing more is wanted. */
  readonly closed: boolean
  /** A whole binary message; the bytes are the sink's to change during the call only. */
  onMessage(bytes: Uint8Array, from: number, to: number): void
  onPing(payload: Uint8Array): void
  /** The peer ends the connection. */
  onWebSocketClose(code: number): void
  /** The connection cannot go on; `code` of `WS_CLOSE`. Nothing follows. */
  onWebSocketError(code: number, why: string): void
}

export interface WebSocketReaderOptions {
  /** Of a message, over its frames; up to 2^31 bytes. */
  readonly maxMessageBytes: number
  /** Servers demand masked frames, clients refuse them (section 5.1). */
  readonly expectMasked: boolean
}

const MAX_CONTROL_BYTES = 125
const FIRST_MESSAGE_BYTES = 4_096
const MAX_HEAD_BYTES = 14

export class WebSocketReader {
  readonly #sink: WebSocketSink
  readonly #expectMasked: boolean
  /** Of a message, over its frames; holds for frames that begin from now on. */
  maxMessageBytes: number
  /** A head that is not whole yet. */
  readonly #head = Buffer.alloc(MAX_HEAD_BYTES)
  #headLength = 0
  /** The frame under way. */
  #opcode = -1
  #isLast = false
  #left = 0
  #maskAt = 0
  readonly #mask = new Uint8Array(4)
  /** The message under way. */
  #message: Uint8Array = new Uint8Array(0)
  #messageLength = 0
  #inMessage = false
  readonly #control = Buffer.alloc(MAX_CONTROL_BYTES)
  #controlLength = 0

  constructor(sink: WebSocketSink, options: WebSocketReaderOptions) {
    this.#sink = sink
    this.#expectMasked = options.expectMasked
    this.maxMessageBytes = options.maxMessageBytes
  }

  receive(bytes: Uint8Array, length: number, from = 0): void {
    const sink = this.#sink
    let at = from
    while (at < length && !sink.closed) {
      if (this.#opcode < 0) {
        this.#head[this.#headLength++] = bytes[at++] as number
        if (this.#headLength < this.#headBytes()) continue
        const error = this.#begin()
        if (error !== undefined) {
          this.#opcode = -1
          sink.onWebSocketError(error.code, error.why)
          return
        }
        if (this.#left === 0) this.#end()
        continue
      }
      const end = Math.min(length, at + this.#left)
      this.#take(bytes, at, end)
      this.#left -= end - at
      at = end
      if (this.#left === 0) this.#end()
    }
  }

  /** Bytes of the head, as far as they are known from its second byte. */
  #headBytes(): number {
    if (this.#headLength < 2) return 2
    const second = this.#head[1] as number
    const length = second & 0x7f
    return 2 + (length === 127 ? 8 : length === 126 ? 2 : 0) + ((second & 0x80) === 0 ? 0 : 4)
  }

  #begin(): { readonly code: number; readonly why: string } | undefined {
    const head = this.#head
    const first = head[0] as number
    const masked = ((head[1] as number) & 0x80) !== 0
    const opcode = first & 0x0f
    const short = (head[1] as number) & 0x7f
    const length = short < 126 ? short : short === 126 ? head.readUInt16BE(2) : readLength64(head)
    this.#maskAt = 0
    if (masked) head.copy(this.#mask, 0, this.#headLength - 4, this.#headLength)
    this.#headLength = 0
    this.#isLast = (first & 0x80) !== 0
    this.#left = length
    this.#opcode = opcode
    if ((first & 0x70) !== 0) return protocolError('a reserved bit is set')
    if (masked !== this.#expectMasked) {
      return protocolError(masked ? 'a frame is masked' : 'a frame is not masked')
    }
    return opcode >= WS_OPCODE.close ? this.#beginControl(length) : this.#beginData(opcode, length)
  }

  #beginControl(length: number) {
    this.#controlLength = 0
    if (!this.#isLast || length > MAX_CONTROL_BYTES) {
      return protocolError('a control frame is fragmented or longer than 125 bytes')
    }
    return this.#opcode > WS_OPCODE.pong ? protocolError('an unknown control frame') : undefined
  }

  #beginData(opcode: number, length: number) {
    if (opcode === WS_OPCODE.text) {
      return { code: WS_CLOSE.unsupportedData, why: 'messages must be binary' }
    }
    if (opcode > WS_OPCODE.binary) return protocolError('an unknown data frame')
    if ((opcode === WS_OPCODE.continuation) !== this.#inMessage) {
      return protocolError('a message begins within a message, or goes on without one')
    }
    if (!this.#inMessage) this.#messageLength = 0
    this.#inMessage = true
    if (this.#messageLength + length > this.maxMessageBytes) {
      return {
        code: WS_CLOSE.tooBig,
        why: `a message is longer than ${this.maxMessageBytes} bytes`,
      }
    }
    return undefined
  }

  #take(bytes: Uint8Array, from: number, to: number): void {
    if (this.#opcode >= WS_OPCODE.close) {
      this.#control.set(bytes.subarray(from, to), this.#controlLength)
      this.#unmask(this.#control, this.#controlLength, to - from)
      this.#controlLength += to - from
      return
    }
    const total = this.#messageLength + to - from
    if (total > this.#message.length) this.#grow(total)
    this.#message.set(bytes.subarray(from, to), this.#messageLength)
    this.#unmask(this.#message, this.#messageLength, to - from)
    this.#messageLength = total
  }

  /** Memory follows what came, not the length that a peer claims. */
  #grow(total: number): void {
    const size = Math.max(total, FIRST_MESSAGE_BYTES, this.#message.length * 2)
    const larger = Buffer.allocUnsafeSlow(Math.min(size, this.maxMessageBytes))
    larger.set(this.#message.subarray(0, this.#messageLength))
    this.#message = larger
  }

  #unmask(bytes: Uint8Array, from: number, length: number): void {
    if (!this.#expectMasked) return
    const mask = this.#mask
    let key = this.#maskAt
    for (let at = from; at < from + length; at++) {
      bytes[at] = (bytes[at] as number) ^ (mask[key] as number)
      key = (key + 1) & 3
    }
    this.#maskAt = key
  }

  #end(): void {
    const opcode = this.#opcode
    this.#opcode = -1
    if (opcode === WS_OPCODE.ping) {
      this.#sink.onPing(Buffer.from(this.#control.subarray(0, this.#controlLength)))
    } else if (opcode === WS_OPCODE.close) {
      const code = this.#controlLength < 2 ? 1005 : this.#control.readUInt16BE(0)
      this.#sink.onWebSocketClose(code)
    } else if (opcode < WS_OPCODE.close && this.#isLast) {
      this.#inMessage = false
      const message = this.#message
      const length = this.#messageLength
      // A large message's memory is not kept for the small ones that follow.
      if (message.length > FIRST_MESSAGE_BYTES) this.#message = new Uint8Array(0)
      this.#messageLength = 0
      this.#sink.onMessage(message, 0, length)
    }
  }
}

function protocolError(why: string) {
  return { code: WS_CLOSE.protocolError, why }
}

/** Anything above 2^53 is above every limit, too. */
function readLength64(head: Buffer): number {
  return head.readUInt32BE(2) * 0x1_0000_0000 + head.readUInt32BE(6)
}
