/**
 * Heads that lie as lines of HTTP/1.1 to header blocks: pseudo-fields first, names in
 * lower case, without what only HTTP/1.1 has.
 */
import { COLON, CR, equalsIgnoreCase, LOWER, SPACE } from '../http1/bytes.ts'
import { FIELD, hashName, knownName } from '../http1/field-names.ts'
import type { OutBuffer } from '../http1/out-buffer.ts'
import { fieldHash, HpackEncoder } from './hpack/encoder.ts'
import type { RequestText } from './request-text.ts'

interface Pseudo {
  readonly name: Buffer
  readonly hash: number
}

function pseudo(name: string): Pseudo {
  return { name: Buffer.from(name, 'latin1'), hash: hashName(name) }
}

const METHOD = pseudo(':method')
const SCHEME = pseudo(':scheme')
const AUTHORITY = pseudo(':authority')
const PATH = pseudo(':path')
const PROTOCOL = pseudo(':protocol')
const STATUS = pseudo(':status')

const TRAILERS = Buffer.from('trailers', 'latin1')
const CONNECT = Buffer.from('CONNECT', 'latin1')
const HTTP = Buffer.from('http', 'latin1')
const HTTPS = Buffer.from('https', 'latin1')

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

const STATUS_TEXTS = Array.from({ length: 1_000 }, (_, status) =>
  Buffer.from(String(status), 'latin1'),
)

export class HeadWriter {
  readonly #encoder: HpackEncoder
  constructor(out: OutBuffer) {
    this.#encoder = new HpackEncoder(out)
  }

  limitTable(bytes: number): void {
    this.#encoder.limitTable(bytes)
  }

  beginRequest(scheme: string, text: RequestText, bytes: Buffer): void {
    this.#encoder.begin()
    const { extended, connect, targetFrom, targetTo, hostFrom, hostTo } = text
    if (extended) {
      this.#pseudo(METHOD, CONNECT, 0, CONNECT.length)
      this.#pseudo(PROTOCOL, bytes, text.protocolFrom, text.protocolTo)
    } else this.#pseudo(METHOD, bytes, text.methodFrom, text.methodTo)
    if (extended || !connect) {
      const said = scheme === 'https' ? HTTPS : HTTP
      this.#pseudo(SCHEME, said, 0, said.length)
      this.#pseudo(PATH, bytes, targetFrom, connect ? targetFrom : targetTo)
    }
    if (connect) this.#pseudo(AUTHORITY, bytes, targetFrom, targetTo)
    else if (hostTo > hostFrom) this.#pseudo(AUTHORITY, bytes, hostFrom, hostTo)
  }

  beginResponse(status: number): void {
    this.#encoder.begin()
    const text = STATUS_TEXTS[status] as Buffer
    this.#pseudo(STATUS, text, 0, text.length)
  }

  beginTrailers(): void {
    this.#encoder.begin()
  }

  #pseudo({ name, hash }: Pseudo, bytes: Buffer, from: number, to: number): void {
    const encoder = this.#encoder
    const whole = fieldHash(hash, bytes, from, to)
    if (encoder.indexed(whole, name, 0, name.length, bytes, from, to)) return
    encoder.field(whole, hash, name, 0, name.length, bytes, from, to)
  }

  /**
   * Lines `name: value CRLF`; ours, or checked by a parser. An empty line ends them.
   *
   * @param request Of a request, or trailers: Host is said otherwise, or not at all.
   */
  // Hot: each byte is looked at once here and once where an entry of the table is compared.
  // biome-ignore lint/complexity/noExcessiveCognitiveComplexity: one loop over bytes; calls per line would cost more than they explain
  lines(bytes: Buffer, from: number, to: number, request: boolean): void {
    const encoder = this.#encoder
    let at = from
    while (at < to && bytes[at] !== CR) {
      const nameFrom = at
      let hash = 0
      for (; at < to && bytes[at] !== COLON; at++) {
        hash = (Math.imul(hash, 31) + (LOWER[bytes[at] as number] as number)) | 0
      }
      const nameTo = at
      at++
      while (at < to && bytes[at] === SPACE) at++
      const valueFrom = at
      while (at < to && bytes[at] !== CR) at++
      let valueTo = at
      while (valueTo > valueFrom && bytes[valueTo - 1] === SPACE) valueTo--
      at += 2
      const whole = fieldHash(hash, bytes, valueFrom, valueTo)
      // What has a place in the table went on before: it needs no second judgement.
      if (encoder.indexed(whole, bytes, nameFrom, nameTo, bytes, valueFrom, valueTo)) continue
      const known = knownName(hash, bytes, nameFrom, nameTo)
      if (DROPPED[known] === 1 || (request && known === FIELD.host)) continue
      if (known === FIELD.te && !equalsIgnoreCase(bytes, valueFrom, valueTo, TRAILERS)) continue
      encoder.field(whole, hash, bytes, nameFrom, nameTo, bytes, valueFrom, valueTo)
    }
  }
}
