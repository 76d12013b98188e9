/**
 * The metadata entry `message/x.weft.http.v0`: the head of an HTTP message that travels as an
 * RSocket request or answer.
 *
 *     u8 version (0) · u8 flags (0x01: an answer) ·
 *     request: method, path, authority · answer: status as a varint ·
 *     then name, value, name, value … to the end
 *
 * Every text is a varint length (LEB128) and its bytes in latin1, as HTTP has them. Names are
 * lower case: a rule that looks for one must not miss what the application would find. What HTTP
 * could not carry (line ends, controls, names that are no tokens) makes the entry malformed.
 * Hop-by-hop fields have no place here; whoever maps takes them out.
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
/** RFC 9110, section 5.6.2. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
/** The same in lower case. */
const NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/
/** RFC 9110, section 5.5. */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/
/** Nothing that ends a word of the request's first line. */
const WORD = /^[\x21-\x7e\x80-\xff]*$/

export function renderHttpRequest(entry: HttpRequestEntry): Buffer {
  const { method, path, authority } = entry
  return Buffer.concat([
    Buffer.of(VERSION, 0),
    ...[method, path, authority].map(text),
    ...entry.fields.flatMap(field),
  ])
}

export function renderHttpResponse(entry: HttpResponseEntry): Buffer {
  return Buffer.concat([
    Buffer.of(VERSION, IS_ANSWER),
    varint(entry.status),
    ...entry.fields.flatMap(field),
  ])
}

/** Undefined for anything that `renderHttpRequest` does not write. */
export function readHttpRequest(content: Uint8Array): HttpRequestEntry | undefined {
  const cursor = open(content, 0)
  const method = cursor && takeText(cursor)
  const path = method === undefined ? undefined : takeText(cursor)
  const authority = path === undefined ? undefined : takeText(cursor)
  const fields = authority === undefined ? undefined : takeFields(cursor)
  if (method === undefined || path === undefined || authority === undefined) return undefined
  if (fields === undefined || !TOKEN.test(method)) return undefined
  return WORD.test(path) && WORD.test(authority) ? { method, path, authority, fields } : undefined
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
    if (name === undefined || value === undefined) return undefined
    if (!NAME.test(name) || !VALUE.test(value)) return undefined
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

function field([name, value]: readonly [name: string, value: string]): Buffer[] {
  return [text(name.toLowerCase()), text(value)]
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'latin1')
  return Buffer.concat([varint(bytes.length), bytes])
}
