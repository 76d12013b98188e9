/**
 * The chunked coding (RFC 9112, section 7.1), decoding strictly: upper or lower
 * hexadecimal digits, CRLF and nothing else. Extensions are checked and dropped:
 * no proxy may understand them, and they have hidden requests.
 *
 *     size ──► extension ──► data ──► data end ──► size … ──► trailers ──► done
 *
 * Data is not copied: `next` says where in the caller's bytes it lies.
 */
import { CR, FIELD_VALUE, HEX_VALUE, LF, LOWER, SEMICOLON } from './bytes.ts'
import { FIELD } from './field-names.ts'
import { MessageHead, SPAN } from './message-head.ts'
import { parseFields, scanForLineEnd } from './parse-fields.ts'
import { PROBLEM } from './problem.ts'

const MAX_EXTENSION_BYTES = 1_024
const MAX_BODY_EXTENSION_BYTES = 16_384
const MAX_TRAILER_BYTES = 8_192
/** More digits than any size needs; a bound on leading zeros. */
const MAX_SIZE_DIGITS = 16

const SIZE = 0
const EXTENSION = 1
const SIZE_LF = 2
const DATA = 3
const DATA_CR = 4
const DATA_LF = 5
const TRAILERS = 6
const DONE = 7

export class ChunkedDecoder {
  /** The run of data that the last `next` found; empty when `from` equals `to`. */
  dataFrom = 0
  dataTo = 0
  /** Present after a body that had trailers; offsets count from the start of `trailerBytes`. */
  trailers: MessageHead | undefined
  trailerBytes: Buffer | undefined
  #state = SIZE
  #size = 0
  #digits = 0
  #extensionBytes = 0
  #bodyExtensionBytes = 0

  reset(): void {
    this.#state = SIZE
    this.#size = 0
    this.#digits = 0
    this.#extensionBytes = 0
    this.#bodyExtensionBytes = 0
    this.trailers = undefined
    this.trailerBytes = undefined
  }

  get done(): boolean {
    return this.#state === DONE
  }

  /** Bytes of the current chunk's data that are still to come. */
  get remaining(): number {
    return this.#state === DATA ? this.#size : 0
  }

  /**
   * Consumes `bytes[from..end)` up to the end of one run of data, the end of the
   * body, or all of it.
   *
   * @returns The offset to go on from, or a problem.
   */
  next(bytes: Uint8Array, from: number, end: number): number {
    let i = from
    this.dataFrom = 0
    this.dataTo = 0
    while (i < end && this.#state !== DONE) {
      if (this.#state === DATA) {
        const to = Math.min(end, i + this.#size)
        this.dataFrom = i
        this.dataTo = to
        this.#size -= to - i
        if (this.#size === 0) this.#state = DATA_CR
        return to
      }
      if (this.#state === TRAILERS) return this.#readTrailers(bytes, i, end)
      const problem = this.#step(bytes[i] as number)
      if (problem !== 0) return problem
      i++
    }
    return i
  }

  #step(byte: number): number {
    switch (this.#state) {
      case SIZE:
        return this.#sizeByte(byte)
      case EXTENSION:
        return this.#extensionByte(byte)
      case SIZE_LF:
        if (byte !== LF) return PROBLEM.badChunk
        this.#state = this.#size === 0 ? TRAILERS : DATA
        return 0
      case DATA_CR:
        if (byte !== CR) return PROBLEM.badChunk
        this.#state = DATA_LF
        return 0
      default:
        if (byte !== LF) return PROBLEM.badChunk
        this.#state = SIZE
        this.#digits = 0
        return 0
    }
  }

  #sizeByte(byte: number): number {
    const digit = HEX_VALUE[byte] as number
    if (digit !== 255) {
      if (this.#digits === MAX_SIZE_DIGITS) return PROBLEM.chunkTooLarge
      this.#size = this.#digits === 0 ? digit : this.#size * 16 + digit
      this.#digits++
      return this.#size > Number.MAX_SAFE_INTEGER ? PROBLEM.chunkTooLarge : 0
    }
    if (this.#digits === 0) return PROBLEM.badChunk
    if (byte === CR) this.#state = SIZE_LF
    else if (byte === SEMICOLON) {
      this.#state = EXTENSION
      this.#extensionBytes = 0
    } else return PROBLEM.badChunk
    return 0
  }

  #extensionByte(byte: number): number {
    if (byte === CR) {
      this.#state = SIZE_LF
      return 0
    }
    if (FIELD_VALUE[byte] !== 1) return PROBLEM.badChunk
    this.#extensionBytes++
    this.#bodyExtensionBytes++
    const tooLong =
      this.#extensionBytes > MAX_EXTENSION_BYTES ||
      this.#bodyExtensionBytes > MAX_BODY_EXTENSION_BYTES
    return tooLong ? PROBLEM.chunkExtensionTooLong : 0
  }

  #readTrailers(bytes: Uint8Array, from: number, end: number): number {
    if (this.trailers === undefined) {
      // Nearly every body ends without trailers: CRLF follows in the same bytes.
      if (from + 1 < end && bytes[from] === CR && bytes[from + 1] === LF) {
        this.#state = DONE
        return from + 2
      }
      this.trailers = new MessageHead()
      this.trailers.startLineDone = true
      this.trailerBytes = Buffer.alloc(0)
    }
    const { trailers } = this
    const before = this.trailerBytes?.length ?? 0
    const room = Math.min(end - from, MAX_TRAILER_BYTES + 1 - before)
    const piece = bytes.subarray(from, from + room)
    const all = Buffer.concat([this.trailerBytes ?? new Uint8Array(0), piece])
    this.trailerBytes = all
    if (trailers.checkedTo > trailers.resumeAt) {
      const found = scanForLineEnd(trailers, all, 0, all.length, PROBLEM.badTrailer)
      if (found < 0) return found
      if (found === 0) return all.length > MAX_TRAILER_BYTES ? PROBLEM.headTooLarge : from + room
    }
    const result = parseFields(trailers, all, 0, all.length)
    if (result < 0) return result === PROBLEM.tooManyFields ? result : PROBLEM.badTrailer
    if (result === 0) return all.length > MAX_TRAILER_BYTES ? PROBLEM.headTooLarge : from + room
    this.#state = DONE
    return from + result - before
  }
}

/**
 * Trailers that may go on: never merged into the head, and none that frame,
 * route, authenticate or control (RFC 9110, section 6.5.1).
 */
export function mayForwardTrailer(trailers: MessageHead, bytes: Buffer, index: number): boolean {
  const at = index * SPAN
  const known = trailers.spans[at + 5] as number
  if (known !== 0 && known !== FIELD['grpc-status']) return false
  const from = trailers.spans[at] as number
  const initial = LOWER[bytes[from] as number] as number
  if (MAY_BE_FORBIDDEN[initial] === 0) return true
  const name = bytes.toString('latin1', from, trailers.spans[at + 1]).toLowerCase()
  return !FORBIDDEN.has(name) && !FORBIDDEN_PREFIXES.some((prefix) => name.startsWith(prefix))
}

const FORBIDDEN_PREFIXES = ['content-', 'x-forwarded-', 'x-envoy-', 'x-weft-', 'if-']

const FORBIDDEN = new Set([
  'age',
  'authorization',
  'cache-control',
  'cookie',
  'expires',
  'forwarded',
  'location',
  'max-forwards',
  'pragma',
  'proxy-authenticate',
  'proxy-authorization',
  'range',
  'retry-after',
  'set-cookie',
  'server',
  'set-cookie2',
  'trailer',
  'vary',
  'warning',
  'www-authenticate',
  'x-real-ip',
])

/** First letters of the names above: those of gRPC, which come with every call, are not among them. */
const MAY_BE_FORBIDDEN = new Uint8Array(256)
for (const name of [...FORBIDDEN, ...FORBIDDEN_PREFIXES]) MAY_BE_FORBIDDEN[name.charCodeAt(0)] = 1
