/**
 * Heads that lie as lines of HTTP/1.1 to header blocks: pseudo-fields first, names in
 * lower case, without what only HTTP/1.1 has.
 */
import { equalsIgnoreCase } from '../http1/bytes.ts'
import { FIELD, hashName, knownName } from '../http1/field-names.ts'
import { type MessageHead, SPAN } from '../http1/message-head.ts'
import type { OutBuffer } from '../http1/out-buffer.ts'
import type { PseudoFields } from './contract.ts'
import { HpackEncoder } from './hpack/encoder.ts'

const NAMES = ':method:scheme:authority:path:protocol:status'
const names = Buffer.from(NAMES, 'latin1')

interface Pseudo {
  readonly from: number
  readonly to: number
  readonly hash: number
}

function pseudo(name: string): Pseudo {
  const from = NAMES.indexOf(name)
  return { from, to: from + name.length, hash: hashName(name) }
}

const METHOD = pseudo(':method')
const SCHEME = pseudo(':scheme')
const AUTHORITY = pseudo(':authority')
const PATH = pseudo(':path')
const PROTOCOL = pseudo(':protocol')
const STATUS = pseudo(':status')

const TRAILERS = Buffer.from('trailers', 'latin1')
const COLON = 0x3a
const CR = 0x0d
const SPACE = 0x20

const DROPPED = new Uint8Array(256)
for (const name of [
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
] as const) {
  DROPPED[FIELD[name]] = 1
}

const STATUS_TEXTS = Array.from({ length: 600 }, (_, status) => String(status))

/** Where names and values of pseudo-fields stand together; nothing in it outlives a field. */
let scratch = Buffer.alloc(1_024)

export class HeadWriter {
  readonly #encoder: HpackEncoder
  constructor(out: OutBuffer) {
    this.#encoder = new HpackEncoder(out)
  }

  limitTable(bytes: number): void {
    this.#encoder.limitTable(bytes)
  }

  beginRequest(fields: PseudoFields): void {
    this.#encoder.begin()
    const { protocol } = fields
    this.#pseudo(METHOD, protocol === undefined ? fields.method : 'CONNECT')
    if (protocol !== undefined) this.#pseudo(PROTOCOL, protocol)
    if (protocol !== undefined || fields.method !== 'CONNECT') {
      this.#pseudo(SCHEME, fields.scheme)
      this.#pseudo(PATH, fields.path)
    }
    if (fields.authority !== '') this.#pseudo(AUTHORITY, fields.authority)
  }

  beginResponse(status: number): void {
    this.#encoder.begin()
    this.#pseudo(STATUS, STATUS_TEXTS[status] ?? String(status))
  }

  beginTrailers(): void {
    this.#encoder.begin()
  }

  #pseudo({ from, to, hash }: Pseudo, value: string): void {
    const nameLength = to - from
    if (value.length + nameLength > scratch.length) {
      scratch = Buffer.alloc((value.length + nameLength) * 2)
    }
    names.copy(scratch, 0, from, to)
    scratch.write(value, nameLength, 'latin1')
    const end = nameLength + value.length
    this.#encoder.field(scratch, 0, nameLength, nameLength, end, hash)
  }

  /** The fields of a parsed head that are not cut. */
  fields(head: MessageHead, bytes: Buffer, cuts: Uint8Array, request: boolean): void {
    const { spans, count } = head
    for (let i = 0; i < count; i++) {
      const at = i * SPAN
      const known = spans[at + 5] as number
      const from = spans[at + 2] as number
      const to = spans[at + 3] as number
      if (known !== 0 && known === FIELD.te) {
        // Hop by hop, but each hop of HTTP/2 may say it, and gRPC servers insist on it.
        if (!request || !equalsIgnoreCase(bytes, from, to, TRAILERS)) continue
      } else if (cuts[i] === 1 || DROPPED[known] === 1 || (request && known === FIELD.host)) {
        continue
      }
      const nameFrom = spans[at] as number
      this.#encoder.field(
        bytes,
        nameFrom,
        spans[at + 1] as number,
        from,
        to,
        spans[at + 4] as number,
      )
    }
  }

  /** Lines `name: value CRLF`; ours, or checked by a parser. An empty line ends them. */
  // biome-ignore lint/complexity/noExcessiveCognitiveComplexity: one loop over bytes; calls per line would cost more than they explain
  lines(bytes: Buffer, from: number, to: number, request: boolean): void {
    let at = from
    while (at < to && bytes[at] !== CR) {
      const nameFrom = at
      while (at < to && bytes[at] !== COLON) at++
      const nameTo = at
      at++
      while (at < to && bytes[at] === SPACE) at++
      const valueFrom = at
      while (at < to && bytes[at] !== CR) at++
      let valueTo = at
      while (valueTo > valueFrom && bytes[valueTo - 1] === SPACE) valueTo--
      at += 2
      const hash = hashOfName(bytes, nameFrom, nameTo)
      const known = knownName(hash, bytes, nameFrom, nameTo)
      if (DROPPED[known] === 1 || (request && known === FIELD.host)) continue
      if (known === FIELD.te && !equalsIgnoreCase(bytes, valueFrom, valueTo, TRAILERS)) continue
      this.#encoder.field(bytes, nameFrom, nameTo, valueFrom, valueTo, hash)
    }
  }
}

function hashOfName(bytes: Buffer, from: number, to: number): number {
  let hash = 0
  for (let i = from; i < to; i++) {
    const byte = bytes[i] as number
    const lower = byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte
    hash = (Math.imul(hash, 31) + lower) | 0
  }
  return hash
}
