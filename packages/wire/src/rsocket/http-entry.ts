/**
 * The metadata entry `message/x.weft.http.v0`: the head of an HTTP message that travels as an
 * RSocket request or answer.
 *
 *     u8 version (0) · u8 flags (0x01: an answer) ·
 *     request: method, path, authority · answer: status as a varint ·
 *     then name, value, name, value … to the end
 *
 * Every text is a varint length (LEB128) and its bytes in latin1, as HTTP has them. Names are
 * lower case. Hop-by-hop fields have no place here; whoever maps takes them out.
 */

export const HTTP_ENTRY_MIME = 'message/x.weft.http.v0'

export interface HttpRequestEntry {
  readonly method: string
  readonly path: string
  readonly authority: string
  readonly fields: readonly (readonly [name: string, value: string])[]
}

export interface HttpResponseEntry {
  /** 100 to 599. */
  readonly status: number
  readonly fields: readonly (readonly [name: string, value: string])[]
}

const VERSION = 0
const IS_ANSWER = 1

export function renderHttpRequest(entry: HttpRequestEntry): Buffer {
  const { method, path, authority } = entry
  return Buffer.concat([
    Buffer.of(VERSION, 0),
    ...[method, path, authority, ...entry.fields.flat()].map(text),
  ])
}

export function renderHttpResponse(entry: HttpResponseEntry): Buffer {
  return Buffer.concat([
    Buffer.of(VERSION, IS_ANSWER),
    varint(entry.status),
    ...entry.fields.flat().map(text),
  ])
}

/** Undefined for anything that `renderHttpRequest` does not write. */
export function readHttpRequest(content: Uint8Array): HttpRequestEntry | undefined {
  const cursor = open(content, 0)
  const method = cursor && takeText(cursor)
  const path = method === undefined ? undefined : takeText(cursor)
  const authority = path === undefined ? undefined : takeText(cursor)
  const fields = authority === undefined ? undefined : takeFields(cursor)
  if (fields === undefined) return undefined
  return { method, path, authority, fields } as HttpRequestEntry
}

export function readHttpResponse(content: Uint8Array): HttpResponseEntry | undefined {
  const cursor = open(content, IS_ANSWER)
  const status = cursor && takeVarint(cursor)
  if (status === undefined || status < 100 || status > 599) return undefined
  const fields = takeFields(cursor)
  return fields && { status, fields }
}

interface Cursor {
  readonly bytes: Buffer
  at: number
}

function open(content: Uint8Array, flags: number): Cursor | undefined {
  if (content[0] !== VERSION || content[1] !== flags) return undefined
  return { bytes: Buffer.from(content.buffer, content.byteOffset, content.length), at: 2 }
}

function takeFields(cursor: Cursor | undefined): [string, string][] | undefined {
  const fields: [string, string][] = []
  while (cursor !== undefined && cursor.at < cursor.bytes.length) {
    const name = takeText(cursor)
    const value = name && takeText(cursor)
    if (name === undefined || name === '' || value === undefined) return undefined
    fields.push([name, value])
  }
  return fields
}

function takeText(cursor: Cursor | undefined): string | undefined {
  const length = cursor && takeVarint(cursor)
  if (cursor === undefined || length === undefined) return undefined
  const end = cursor.at + length
  if (end > cursor.bytes.length) return undefined
  const value = cursor.bytes.toString('latin1', cursor.at, end)
  cursor.at = end
  return value
}

/** At most three bytes: 2,097,151, more than a frame's metadata may hold. */
function takeVarint(cursor: Cursor): number | undefined {
  let value = 0
  for (let shift = 0; shift < 21; shift += 7) {
    const byte = cursor.bytes[cursor.at++]
    if (byte === undefined) return undefined
    value |= (byte & 0x7f) << shift
    if (byte < 0x80) return value
  }
  return undefined
}

function varint(value: number): Buffer {
  if (value < 0x80) return Buffer.of(value)
  if (value < 0x4000) return Buffer.of((value & 0x7f) | 0x80, value >>> 7)
  if (value < 0x20_0000) {
    return Buffer.of((value & 0x7f) | 0x80, ((value >>> 7) & 0x7f) | 0x80, value >>> 14)
  }
  throw new RangeError(`Cannot render a text: at most 2097151 bytes, got ${value}`)
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'latin1')
  return Buffer.concat([varint(bytes.length), bytes])
}
