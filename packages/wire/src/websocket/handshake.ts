/** The server's side of the opening handshake (RFC 6455, section 4.2): what was asked, and the answer. */
import { createHash } from 'node:crypto'
import { MessageHead, SPAN } from '../http1/message-head.ts'
import { parseRequestHead } from '../http1/parse-request.ts'

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
const MAX_HEAD_BYTES = 16_384

interface WebSocketRequest {
  /** Path with query, as sent. */
  readonly path: string
  readonly authority: string
  /** Values by lower-case name; several are joined with `, `. */
  readonly fields: ReadonlyMap<string, string>
  readonly key: string
}

export type WebSocketHandshake =
  | { readonly kind: 'more' }
  /** An answer to send before closing. */
  | { readonly kind: 'refused'; readonly answer: Buffer }
  /** `end`: where the first frame begins. */
  | { readonly kind: 'asked'; readonly request: WebSocketRequest; readonly end: number }

/** Reads a request head from the beginning of `bytes[0..length)`. */
export function readWebSocketHandshake(bytes: Buffer, length: number): WebSocketHandshake {
  const head = new MessageHead()
  const end = parseRequestHead(head, bytes, 0, length, MAX_HEAD_BYTES)
  if (end === 0) return { kind: 'more' }
  if (end < 0) return refused(400, 'Bad Request')
  const fields = readFields(head, bytes)
  const key = fields.get('sec-websocket-key') ?? ''
  const upgrade = fields.get('upgrade')?.toLowerCase()
  if (bytes.toString('latin1', 0, head.methodEnd) !== 'GET')
    return refused(405, 'Method Not Allowed')
  if (upgrade !== 'websocket' || !head.connectionUpgrade) return refused(426, 'Upgrade Required')
  if (fields.get('sec-websocket-version') !== '13') return refused(426, 'Upgrade Required')
  if (Buffer.from(key, 'base64').length !== 16) return refused(400, 'Bad Request')
  const path = bytes.toString('latin1', head.targetStart, head.targetEnd)
  return {
    kind: 'asked',
    end,
    request: { path, authority: fields.get('host') ?? '', fields, key },
  }
}

function readFields(head: MessageHead, bytes: Buffer): ReadonlyMap<string, string> {
  const fields = new Map<string, string>()
  for (let i = 0; i < head.count; i++) {
    const from = head.spans[i * SPAN] as number
    const to = head.spans[i * SPAN + 1] as number
    const name = bytes.toString('latin1', from, to).toLowerCase()
    const known = fields.get(name)
    const value = head.valueOf(bytes, 0, i)
    fields.set(name, known === undefined ? value : `${known}, ${value}`)
  }
  return fields
}

/** The answer that accepts; no extension and no sub-protocol is agreed on. */
export function renderWebSocketAccept(key: string): Buffer {
  const accept = createHash('sha1')
    .update(key + GUID)
    .digest('base64')
  return Buffer.from(
    'HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n' +
      `sec-websocket-accept: ${accept}\r\n\r\n`,
  )
}

function refused(status: number, reason: string): WebSocketHandshake {
  const upgrade = status === 426 ? 'upgrade: websocket\r\nsec-websocket-version: 13\r\n' : ''
  const text = `HTTP/1.1 ${status} ${reason}\r\n${upgrade}connection: close\r\ncontent-length: 0\r\n\r\n`
  return { kind: 'refused', answer: Buffer.from(text) }
}
