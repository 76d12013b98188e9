/** Heads of WebSocket frames that a server sends: whole messages, not masked (RFC 6455, section 5.2). */
import { WS_OPCODE } from './message-reader.ts'

export function webSocketHeadBytes(length: number): number {
  return length < 126 ? 2 : length < 65_536 ? 4 : 10
}

/** A binary message of `length` bytes follows. */
export function writeWebSocketHead(to: Uint8Array, at: number, length: number): void {
  to[at] = 0x80 | WS_OPCODE.binary
  if (length < 126) to[at + 1] = length
  else if (length < 65_536) {
    to[at + 1] = 126
    to[at + 2] = length >>> 8
    to[at + 3] = length
  } else {
    to[at + 1] = 127
    to.fill(0, at + 2, at + 6)
    to[at + 6] = length >>> 24
    to[at + 7] = length >>> 16
    to[at + 8] = length >>> 8
    to[at + 9] = length
  }
}

/** A control frame: close, ping or pong, with at most 125 bytes. */
export function renderWebSocketControl(opcode: number, payload: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(0x80 | opcode, payload.length), payload])
}

export function renderWebSocketClose(code: number): Buffer {
  return renderWebSocketControl(WS_OPCODE.close, Buffer.of(code >>> 8, code & 0xff))
}
