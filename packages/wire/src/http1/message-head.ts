/**
 * A message head as offsets: no string, no object per field. Filled by
 * `parse-request.ts` and `parse-response.ts`, read by whoever forwards it.
 *
 * All offsets count from the head's first byte, so the bytes may be moved to
 * another buffer at any time, also half-parsed.
 *
 *     X-Name:  value \r\n
 *     │     │  │    │
 *     │     │  │    valueEnd
 *     │     │  valueStart
 *     │     nameEnd
 *     nameStart; the line ends where the next one starts
 */
import { equalsIgnoreCase, LOWER, latin1 } from './bytes.ts'
import { KNOWN_FIELDS } from './field-names.ts'

export const MAX_FIELDS = 100
/** Integers per field: nameStart, nameEnd, valueStart, valueEnd, hash, known name. */
export const SPAN = 6

/** How the request names its target (RFC 9112, section 3.2). */
export type TargetForm = 'origin' | 'absolute' | 'authority' | 'asterisk'

export class MessageHead {
  readonly spans = new Int32Array(MAX_FIELDS * SPAN)
  /** Fields so far. */
  count = 0
  /** For each known name, index of its first field plus one; 0 when absent. */
  readonly at = new Uint8Array(KNOWN_FIELDS)
  /** Bit `hash & 31` of each name is set: most names that somebody looks for are not there. */
  nameBits = 0

  /** Where parsing goes on: start of the first line that is not complete. */
  resumeAt = 0
  /** Bytes before this were seen to be harmless in an incomplete line. */
  checkedTo = 0
  startLineDone = false
  /** Start of the first field line. */
  fieldsStart = 0
  /** Just past the empty line, once complete. */
  end = 0

  methodEnd = 0
  targetStart = 0
  targetEnd = 0
  form: TargetForm = 'origin'
  /** Path with query inside the target; empty for authority and asterisk form. */
  pathStart = 0
  pathEnd = 0
  /** Where the query's `?` stands, or `pathEnd`. */
  queryStart = 0
  /** Host and port the request is for: from the target if it has one, else from Host. */
  authorityStart = 0
  authorityEnd = 0
  secure = false
  /** The path has `%`, `//` or a segment that begins with `.`: only such need normalising. */
  unusualPath = false

  /** 0 or 1, of HTTP/1.x. */
  minor = 1
  status = 0
  reasonStart = 0
  reasonEnd = 0

  /** -1 when there is none. */
  contentLength = -1
  chunked = false
  connectionClose = false
  connectionKeepAlive = false
  connectionUpgrade = false
  /** Connection names further fields that end here. */
  nominates = false
  expectsContinue = false

  reset(): void {
    this.count = 0
    this.nameBits = 0
    // So short that a loop beats the call of `fill`.
    for (let i = 0; i < KNOWN_FIELDS; i++) this.at[i] = 0
    this.resumeAt = 0
    this.checkedTo = 0
    this.startLineDone = false
    this.fieldsStart = 0
    this.end = 0
    this.methodEnd = 0
    this.pathStart = 0
    this.pathEnd = 0
    this.form = 'origin'
    this.secure = false
    this.unusualPath = false
    this.minor = 1
    this.status = 0
    this.contentLength = -1
    this.chunked = false
    this.connectionClose = false
    this.connectionKeepAlive = false
    this.connectionUpgrade = false
    this.nominates = false
    this.expectsContinue = false
  }

  /** Index of the next field called `name` from `from` on, or -1. */
  find(bytes: Uint8Array, base: number, hash: number, name: Uint8Array, from = 0): number {
    if ((this.nameBits & (1 << (hash & 31))) === 0) return -1
    const { spans, count } = this
    for (let i = from; i < count; i++) {
      const at = i * SPAN
      if (spans[at + 4] !== hash) continue
      const start = base + (spans[at] as number)
      if (equalsIgnoreCase(bytes, start, base + (spans[at + 1] as number), name)) return i
    }
    return -1
  }

  /** Index of the next field with known name `id` from `from` on, or -1. */
  findKnown(id: number, from = 0): number {
    const first = (this.at[id] as number) - 1
    if (first < 0 || from === 0) return first
    for (let i = from; i < this.count; i++) if (this.spans[i * SPAN + 5] === id) return i
    return -1
  }

  valueOf(bytes: Buffer, base: number, index: number): string {
    const at = index * SPAN
    const from = base + (this.spans[at + 2] as number)
    return latin1(bytes, from, base + (this.spans[at + 3] as number))
  }

  /** Where field `index`'s line ends, its CRLF included. */
  lineEnd(index: number): number {
    if (index + 1 < this.count) return this.spans[(index + 1) * SPAN] as number
    return this.end - 2
  }
}

/** Calls `visit` with every comma-separated element of a value, blanks removed; stops when it says true. */
export function someElement(
  bytes: Uint8Array,
  from: number,
  to: number,
  visit: (from: number, to: number) => boolean,
): boolean {
  let start = from
  for (let i = from; i <= to; i++) {
    if (i !== to && bytes[i] !== 0x2c) continue
    let first = start
    let last = i
    while (first < last && isBlank(bytes[first])) first++
    while (last > first && isBlank(bytes[last - 1])) last--
    if (last > first && visit(first, last)) return true
    start = i + 1
  }
  return false
}

function isBlank(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x09
}

/** `bytes[from..to)` as a lower-case string, for small things such as an upgrade's name. */
export function lowerText(bytes: Uint8Array, from: number, to: number): string {
  let text = ''
  for (let i = from; i < to; i++) text += String.fromCharCode(LOWER[bytes[i] as number] as number)
  return text
}
