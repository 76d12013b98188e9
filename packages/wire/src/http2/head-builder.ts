/**
 * Lays decoded fields out as a head of HTTP/1.1 and fills a `MessageHead` as the
 * parsers of `http1/` would, so that everything behind works on one form whatever
 * the version. Judges on the way what RFC 9113, section 8, calls malformed.
 *
 *     :method GET        GET /a?b HTTP/1.1
 *     :path /a?b    ──►  host: weft.test
 *     :authority …       x-name: value
 *
 * An extended CONNECT (RFC 8441) becomes the GET with Upgrade that HTTP/1.1 has for it.
 */
import { CR, equalsIgnoreCase, LF, TARGET, TOKEN_LOWER } from '../http1/bytes.ts'
import { FIELD, hashName } from '../http1/field-names.ts'
import { MAX_FIELDS, type MessageHead, SPAN } from '../http1/message-head.ts'
import { checkRequest } from '../http1/parse-request.ts'
import { PROBLEM } from '../http1/problem.ts'
import type { HeadTarget } from './contract.ts'
import type { FieldSink } from './hpack/decoder.ts'
import { KIND } from './hpack/entry.ts'

/** What became of a head: 0 when good, `MALFORMED`, or a `PROBLEM` that HTTP/1 would answer. */
export const MALFORMED = -1_000

const REQUEST = 0
const RESPONSE = 1
const TRAILERS = 2

const MAX_TARGET_BYTES = 8_192
const FIELD_OVERHEAD = 32
const PSEUDO_KINDS = 8

const VERSION = Buffer.from(' HTTP/1.1\r\n', 'latin1')
const STATUS = Buffer.from('HTTP/1.1 ', 'latin1')
const HOST = Buffer.from('host: ', 'latin1')
const CONNECT = Buffer.from('CONNECT', 'latin1')
const CRLF = Buffer.from('\r\n', 'latin1')
const BLANK = Buffer.from(' ', 'latin1')
const BLANK_END = Buffer.from(' \r\n', 'latin1')
const GET = Buffer.from('GET ', 'latin1')
const UPGRADE = Buffer.from('upgrade: ', 'latin1')
const CONNECTION_UPGRADE = Buffer.from('connection: upgrade\r\n', 'latin1')
const COOKIE = Buffer.from('cookie: ', 'latin1')
const TRAILERS_VALUE = Buffer.from('trailers', 'latin1')
const CONTINUE = Buffer.from('100-continue', 'latin1')
const HTTP = Buffer.from('http', 'latin1')
const HTTPS = Buffer.from('https', 'latin1')
const HASH_HOST = hashName('host')
const HASH_UPGRADE = hashName('upgrade')
const HASH_CONNECTION = hashName('connection')
const HASH_COOKIE = hashName('cookie')

/** A line that is put together here; nothing in it outlives its field. */
let ownLine = Buffer.alloc(1_024)

export class HeadBuilder implements FieldSink {
  room = 0
  extendedConnect = false
  #problem = 0
  #maxBytes = 0
  #spilledBytes = 0
  #mode = REQUEST
  #fields = 0
  #startDone = false
  #target: HeadTarget
  #head: MessageHead
  #bytes: Buffer
  #length = 0
  /** Values of pseudo-fields, one after the other, and per kind where they begin (plus one) and end. */
  #pseudo = Buffer.alloc(1_024)
  #pseudoLength = 0
  readonly #from = new Int32Array(PSEUDO_KINDS)
  readonly #to = new Int32Array(PSEUDO_KINDS)
  /** Crumbs of Cookie, joined (RFC 9113, section 8.2.3). */
  #cookie = Buffer.alloc(256)
  #cookieLength = 0

  constructor(target: HeadTarget) {
    this.#target = target
    this.#head = target.head
    this.#bytes = target.headBytes
  }

  beginRequest(target: HeadTarget, maxBytes: number): void {
    this.#begin(REQUEST, target, maxBytes)
  }

  beginResponse(target: HeadTarget, maxBytes: number): void {
    this.#begin(RESPONSE, target, maxBytes)
  }

  beginTrailers(target: HeadTarget, maxBytes: number): void {
    this.#begin(TRAILERS, target, maxBytes)
    this.#startDone = true
  }

  #begin(mode: number, target: HeadTarget, maxBytes: number): void {
    this.#mode = mode
    this.#target = target
    this.#head = target.head
    this.#bytes = target.headBytes
    this.#length = 0
    target.headLength = 0
    target.head.reset()
    this.room = maxBytes
    this.#maxBytes = maxBytes
    this.#spilledBytes = 0
    this.extendedConnect = false
    this.#problem = 0
    this.#fields = 0
    this.#startDone = false
    this.#pseudoLength = 0
    this.#cookieLength = 0
    for (let i = 0; i < PSEUDO_KINDS; i++) this.#from[i] = 0
  }

  /** What the head would have had if it is too large; else 0, as for what nobody wants to read. */
  get refusedBytes(): number {
    return this.room < 0 && this.#maxBytes > 0 ? this.#maxBytes + this.#spilledBytes : 0
  }

  onTooLarge(bytes: number): void {
    this.room = -1
    this.#spilledBytes += bytes + FIELD_OVERHEAD
    if (this.#problem === 0) this.#problem = PROBLEM.headTooLarge
  }

  // Hot: once per field.
  onField(
    line: Uint8Array,
    length: number,
    nameLength: number,
    hash: number,
    known: number,
    kind: number,
  ): void {
    this.room -= length - 4 + FIELD_OVERHEAD
    this.#fields++
    if (this.room < 0) {
      this.onTooLarge(length)
      return
    }
    if (this.#problem === MALFORMED) return
    if (kind === KIND.invalid || kind === KIND.connectionSpecific) {
      this.#problem = MALFORMED
      return
    }
    if (kind >= KIND.method && kind <= KIND.status) {
      this.#onPseudo(line, nameLength + 2, length - 2, kind)
      return
    }
    if (!this.#startDone) this.#start()
    if (this.#problem !== 0) return
    if (kind !== KIND.field && !this.#special(line, nameLength + 2, length - 2, kind)) return
    this.#add(line, length, nameLength, hash, known)
  }

  #add(line: Uint8Array, length: number, nameLength: number, hash: number, known: number): void {
    const head = this.#head
    const index = head.count
    if (index >= MAX_FIELDS || this.#fields > MAX_FIELDS * 2) {
      this.#problem = PROBLEM.tooManyFields
      return
    }
    const at = this.#length
    if (at + length > this.#bytes.length) this.#grow(length)
    const into = this.#bytes
    for (let i = 0; i < length; i++) into[at + i] = line[i] as number
    this.#length = at + length
    const { spans } = head
    const span = index * SPAN
    spans[span] = at
    spans[span + 1] = at + nameLength
    spans[span + 2] = at + nameLength + 2
    spans[span + 3] = at + length - 2
    spans[span + 4] = hash
    spans[span + 5] = known
    if (known !== 0 && head.at[known] === 0) head.at[known] = index + 1
    head.count = index + 1
    head.nameBits |= 1 << (hash & 31)
  }

  /** Fields that frame, or are only allowed in one way. @returns Whether the line stays. */
  #special(line: Uint8Array, from: number, to: number, kind: number): boolean {
    const head = this.#head
    if (kind === KIND.cookie) {
      if (this.#mode !== REQUEST) return true
      this.#crumb(line, from, to)
      return false
    }
    if (this.#mode === TRAILERS) return true
    if (kind === KIND.contentLength) {
      const value = readLength(line, from, to)
      if (value < 0 || head.contentLength >= 0) this.#problem = MALFORMED
      head.contentLength = value
      return true
    }
    if (kind === KIND.te) {
      if (!equalsIgnoreCase(line, from, to, TRAILERS_VALUE)) this.#problem = MALFORMED
      return true
    }
    if (kind === KIND.expect) {
      head.expectsContinue =
        head.at[FIELD.expect] === 0 && equalsIgnoreCase(line, from, to, CONTINUE)
      return true
    }
    return this.#mode !== REQUEST || this.#host(line, from, to)
  }

  /** Host beside `:authority` must say the same and then adds nothing. */
  #host(line: Uint8Array, from: number, to: number): boolean {
    const head = this.#head
    const host = (head.at[FIELD.host] as number) - 1
    if (host < 0) return true
    const start = head.spans[host * SPAN + 2] as number
    const said = this.#bytes.subarray(start, head.spans[host * SPAN + 3])
    const lower = Buffer.from(said.toString('latin1').toLowerCase(), 'latin1')
    if (!equalsIgnoreCase(line, from, to, lower)) this.#problem = MALFORMED
    return false
  }

  #crumb(line: Uint8Array, from: number, to: number): void {
    const more = this.#cookieLength > 0
    const needed = this.#cookieLength + to - from + 2
    if (needed > this.#cookie.length) {
      const grown = Buffer.alloc(needed * 2)
      this.#cookie.copy(grown, 0, 0, this.#cookieLength)
      this.#cookie = grown
    }
    let at = this.#cookieLength
    if (more) {
      this.#cookie[at++] = 0x3b
      this.#cookie[at++] = 0x20
    }
    for (let i = from; i < to; i++) this.#cookie[at++] = line[i] as number
    this.#cookieLength = at
  }

  #onPseudo(line: Uint8Array, from: number, to: number, kind: number): void {
    const answer = kind === KIND.status
    const misplaced = this.#startDone || (this.#mode === RESPONSE) !== answer
    if (misplaced || this.#from[kind] !== 0) {
      this.#problem = MALFORMED
      return
    }
    const at = this.#pseudoLength
    const end = at + to - from
    if (end > this.#pseudo.length) {
      const grown = Buffer.alloc(end * 2)
      this.#pseudo.copy(grown, 0, 0, at)
      this.#pseudo = grown
    }
    for (let i = from; i < to; i++) this.#pseudo[at + i - from] = line[i] as number
    this.#pseudoLength = end
    this.#from[kind] = at + 1
    this.#to[kind] = end
  }

  #has(kind: number): boolean {
    return this.#from[kind] !== 0
  }

  #append(bytes: Uint8Array, from: number, to: number): void {
    const length = to - from
    if (this.#length + length > this.#bytes.length) this.#grow(length)
    for (let i = 0; i < length; i++) this.#bytes[this.#length + i] = bytes[from + i] as number
    this.#length += length
  }

  #appendAll(bytes: Uint8Array): void {
    this.#append(bytes, 0, bytes.length)
  }

  #appendPseudo(kind: number): void {
    this.#append(this.#pseudo, (this.#from[kind] as number) - 1, this.#to[kind] as number)
  }

  #grow(more: number): void {
    const grown = Buffer.allocUnsafeSlow(Math.max(this.#length + more, this.#bytes.length * 2, 512))
    this.#bytes.copy(grown, 0, 0, this.#length)
    this.#bytes = grown
    this.#target.headBytes = grown
  }

  /** All pseudo-fields are there: writes the start line. */
  #start(): void {
    this.#startDone = true
    if (this.#mode === RESPONSE) this.#statusLine()
    else this.#requestLine()
    this.#head.startLineDone = true
  }

  #statusLine(): void {
    const from = (this.#from[KIND.status] as number) - 1
    const to = this.#to[KIND.status] as number
    const status = from >= 0 && to - from === 3 ? readLength(this.#pseudo, from, to) : -1
    // 101 does not exist here (RFC 9113, section 8.6).
    if (status < 100 || status > 599 || status === 101) {
      this.#problem = MALFORMED
      return
    }
    const head = this.#head
    head.status = status
    this.#appendAll(STATUS)
    this.#appendPseudo(KIND.status)
    this.#appendAll(BLANK_END)
    head.reasonStart = STATUS.length + 4
    head.reasonEnd = head.reasonStart
    head.fieldsStart = head.reasonEnd + 2
    head.resumeAt = head.fieldsStart
  }

  #requestLine(): void {
    const plainConnect = this.#isConnect() && !this.#has(KIND.protocol)
    const complete = plainConnect
      ? this.#has(KIND.authority) && !this.#has(KIND.path) && !this.#has(KIND.scheme)
      : this.#has(KIND.method) && this.#has(KIND.path) && this.#has(KIND.scheme)
    this.extendedConnect = this.#has(KIND.protocol)
    const unfitting = this.extendedConnect && !this.#isConnect()
    if (!complete || unfitting || !this.#isMethod()) {
      this.#problem = MALFORMED
      return
    }
    this.#problem = this.#checkTarget(plainConnect)
    if (this.#problem !== 0) return
    const head = this.#head
    if (this.extendedConnect) {
      this.#appendAll(GET)
      head.methodEnd = 3
    } else {
      this.#appendPseudo(KIND.method)
      head.methodEnd = this.#length
      this.#appendAll(BLANK)
    }
    head.targetStart = this.#length
    this.#appendPseudo(plainConnect ? KIND.authority : KIND.path)
    head.targetEnd = this.#length
    this.#appendAll(VERSION)
    head.fieldsStart = this.#length
    head.resumeAt = this.#length
    if (this.#has(KIND.authority)) this.#ownLine(HOST, KIND.authority, HASH_HOST, FIELD.host)
    if (this.extendedConnect) {
      this.#ownLine(UPGRADE, KIND.protocol, HASH_UPGRADE, FIELD.upgrade)
      this.#add(
        CONNECTION_UPGRADE,
        CONNECTION_UPGRADE.length,
        'connection'.length,
        HASH_CONNECTION,
        FIELD.connection,
      )
      head.connectionUpgrade = true
    }
  }

  /** A line of ours with the value of a pseudo-field. */
  #ownLine(name: Uint8Array, kind: number, hash: number, known: number): void {
    const from = (this.#from[kind] as number) - 1
    const length = (this.#to[kind] as number) - from
    const whole = name.length + length + 2
    if (whole > ownLine.length) ownLine = Buffer.alloc(whole * 2)
    for (let i = 0; i < name.length; i++) ownLine[i] = name[i] as number
    for (let i = 0; i < length; i++) ownLine[name.length + i] = this.#pseudo[from + i] as number
    ownLine[whole - 2] = CR
    ownLine[whole - 1] = LF
    this.#add(ownLine, whole, name.length - 2, hash, known)
  }

  #isConnect(): boolean {
    const from = (this.#from[KIND.method] as number) - 1
    if (from < 0 || (this.#to[KIND.method] as number) - from !== CONNECT.length) return false
    for (let i = 0; i < CONNECT.length; i++) if (this.#pseudo[from + i] !== CONNECT[i]) return false
    return true
  }

  #isMethod(): boolean {
    const from = (this.#from[KIND.method] as number) - 1
    const to = this.#to[KIND.method] as number
    if (from < 0 || from === to) return false
    for (let i = from; i < to; i++) if (TOKEN_LOWER[this.#pseudo[i] as number] === 0) return false
    return true
  }

  /** Path and scheme; what is in the path beyond its first byte is judged with the whole head. */
  #checkTarget(plainConnect: boolean): number {
    if (plainConnect) return 0
    const from = (this.#from[KIND.path] as number) - 1
    const to = this.#to[KIND.path] as number
    if (from === to) return MALFORMED
    if (to - from > MAX_TARGET_BYTES) return PROBLEM.targetTooLong
    const first = this.#pseudo[from]
    const asterisk = first === 0x2a && to === from + 1
    if (first !== 0x2f && !asterisk) return MALFORMED
    for (let i = from; i < to; i++) if (TARGET[this.#pseudo[i] as number] === 0) return MALFORMED
    const schemeFrom = (this.#from[KIND.scheme] as number) - 1
    const schemeTo = this.#to[KIND.scheme] as number
    this.#head.secure = equalsIgnoreCase(this.#pseudo, schemeFrom, schemeTo, HTTPS)
    const known = this.#head.secure || equalsIgnoreCase(this.#pseudo, schemeFrom, schemeTo, HTTP)
    return known ? 0 : PROBLEM.badTarget
  }

  /** The block is complete. @returns 0, `MALFORMED` or a `PROBLEM`. */
  finish(): number {
    if (!this.#startDone && this.#problem !== MALFORMED) {
      const before = this.#problem
      this.#start()
      if (before !== 0) this.#problem = before
    }
    if (this.#problem !== 0) return this.#problem
    if (this.#cookieLength > 0) {
      const line = Buffer.concat([COOKIE, this.#cookie.subarray(0, this.#cookieLength), CRLF])
      this.#add(line, line.length, COOKIE.length - 2, HASH_COOKIE, 0)
      if (this.#problem !== 0) return this.#problem
    }
    const head = this.#head
    this.#append(CRLF, 0, 2)
    head.end = this.#length
    this.#target.headLength = this.#mode === TRAILERS ? this.#length - 2 : this.#length
    return this.#mode === REQUEST ? checkRequest(head, this.#bytes, 0) : 0
  }
}

/** Digits only, at most 2^53-1; -1 otherwise. */
function readLength(bytes: Uint8Array, from: number, to: number): number {
  if (to === from || to - from > 16) return -1
  let length = 0
  for (let i = from; i < to; i++) {
    const digit = (bytes[i] as number) - 0x30
    if (digit < 0 || digit > 9) return -1
    length = length * 10 + digit
  }
  return length <= Number.MAX_SAFE_INTEGER ? length : -1
}
