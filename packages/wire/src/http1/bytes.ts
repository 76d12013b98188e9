/**
 * What each byte may be in an HTTP/1.1 message (RFC 9110, section 5.6; RFC 9112),
 * as tables: one load instead of comparisons, and no locale, no Unicode folding
 * (`toLowerCase` folds the Kelvin sign, `trim` eats 0xA0; both have been smuggled).
 */

export const TAB = 0x09
export const LF = 0x0a
export const CR = 0x0d
export const SPACE = 0x20
export const COMMA = 0x2c
export const COLON = 0x3a
export const SEMICOLON = 0x3b

const TOKEN_EXTRA = "!#$%&'*+-.^_`|~"
const UNRESERVED_EXTRA = '-._~'

/** A token's byte in lower case; 0 where the byte may not be in a token. */
export const TOKEN_LOWER = new Uint8Array(256)
/** 1 where the byte may be in a field value or reason phrase: HTAB, SP, VCHAR, obs-text. */
export const FIELD_VALUE = new Uint8Array(256)
/**
 * 1 where the byte may be in a request target: visible ASCII but for `#`, which no
 * client sends, and `\`, which some servers take for `/`.
 */
export const TARGET = new Uint8Array(256)
/** 1 where the byte may be in a registered name; stricter than RFC 3986: no `%`, no `,`. */
export const HOST_NAME = new Uint8Array(256)
/** A hexadecimal digit's value; 255 for every other byte. */
export const HEX_VALUE = new Uint8Array(256).fill(255)
/** ASCII letters in lower case, every other byte as it is. */
export const LOWER = new Uint8Array(256)

for (let byte = 0; byte < 256; byte++) {
  const character = String.fromCharCode(byte)
  const upper = byte >= 0x41 && byte <= 0x5a
  const letter = upper || (byte >= 0x61 && byte <= 0x7a)
  const digit = byte >= 0x30 && byte <= 0x39
  const visible = byte > 0x20 && byte < 0x7f
  LOWER[byte] = upper ? byte + 0x20 : byte
  if (letter || digit || TOKEN_EXTRA.includes(character)) TOKEN_LOWER[byte] = LOWER[byte] ?? 0
  if (byte === TAB || byte === SPACE || visible || byte >= 0x80) FIELD_VALUE[byte] = 1
  if (visible && character !== '#' && character !== '\\') TARGET[byte] = 1
  if (letter || digit || UNRESERVED_EXTRA.includes(character)) HOST_NAME[byte] = 1
  if (digit) HEX_VALUE[byte] = byte - 0x30
  if ((LOWER[byte] ?? 0) >= 0x61 && (LOWER[byte] ?? 0) <= 0x66) {
    HEX_VALUE[byte] = (LOWER[byte] ?? 0) - 0x61 + 10
  }
}

let viewed: Uint8Array | undefined
let view: DataView = new DataView(new ArrayBuffer(0))

/** Reads share one buffer, so one view serves nearly every call. */
function look(bytes: Uint8Array): void {
  viewed = bytes
  view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/**
 * Not 0 when one of four bytes is outside 0x20 to 0x7e: the top bit of such a byte is set. Of
 * bytes above the lowest one that is found the bit may be set for nothing.
 */
function suspects(four: number): number {
  // Below 0x20 the difference goes below 0, from 0x7f on the sum reaches 0x80.
  return ((four - 0x20202020) | (four + 0x01010101)) & 0x80808080
}

const NO_FOURS = new Int32Array(0)
const IS_LITTLE_ENDIAN = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1
let seenAsFours: Uint8Array | undefined
let fours: Int32Array = NO_FOURS

/**
 * `bytes` by fours, the first one lowest. Nothing for memory that does not begin at a multiple
 * of four: it is read byte by byte. (A `DataView` reads anywhere, and takes twice as long.)
 */
export function foursIn(bytes: Uint8Array): Int32Array {
  if (seenAsFours !== bytes) {
    const { buffer, byteOffset, byteLength } = bytes
    const fits = IS_LITTLE_ENDIAN && (byteOffset & 3) === 0
    fours = fits ? new Int32Array(buffer, byteOffset, byteLength >> 2) : NO_FOURS
    seenAsFours = bytes
  }
  return fours
}

/**
 * The offset of the first byte from `from` on that may not be in a field value,
 * or `end`. Looks at four bytes at once: most of a head is values.
 *
 * @param fours See `foursIn`.
 */
export function endOfValue(
  bytes: Uint8Array,
  fours: Int32Array,
  from: number,
  end: number,
): number {
  let i = from
  for (;;) {
    while ((i & 3) !== 0 && i < end) {
      if (FIELD_VALUE[bytes[i] as number] === 0) return i
      i++
    }
    const last = Math.min(end >> 2, fours.length)
    let at = i >> 2
    let found = 0
    while (at < last) {
      found = suspects(fours[at] as number)
      if (found !== 0) break
      at++
    }
    if (at << 2 > i) i = at << 2
    if (found === 0) break
    i += (31 - Math.clz32(found & -found)) >> 3
    if (FIELD_VALUE[bytes[i] as number] === 0) return i
    // A tab, or text outside ASCII.
    i++
  }
  while (i < end && FIELD_VALUE[bytes[i] as number] === 1) i++
  return i
}

/**
 * Whether `bytes[from..to)`, part of a name or value, spells four letters, digits and `-` or more
 * in any case. Of what these may have, none but a letter becomes one of these by its sixth bit.
 *
 * @param fours See `foursOf`.
 */
export function spells(
  bytes: Uint8Array,
  from: number,
  to: number,
  length: number,
  fours: Int32Array,
): boolean {
  if (to - from !== length) return false
  if (viewed !== bytes) look(bytes)
  const last = fours.length - 1
  for (let k = 0; k < last; k++) {
    if ((view.getInt32(from + k * 4, true) | 0x20202020) !== fours[k]) return false
  }
  return (view.getInt32(to - 4, true) | 0x20202020) === fours[last]
}

/** A name in pieces of four bytes; the last piece ends where the name ends. */
export function foursOf(lower: Uint8Array): Int32Array {
  const pieces = new Int32Array(Math.ceil(lower.length / 4))
  const name = new DataView(lower.buffer, lower.byteOffset, lower.length)
  for (let k = 0; k < pieces.length; k++) {
    pieces[k] = name.getInt32(Math.min(k * 4, lower.length - 4), true)
  }
  return pieces
}

/** Whether `bytes[from..to)` is `lower` (lower-case ASCII) in any case. */
export function equalsIgnoreCase(
  bytes: Uint8Array,
  from: number,
  to: number,
  lower: Uint8Array,
): boolean {
  if (to - from !== lower.length) return false
  for (let i = 0; i < lower.length; i++) {
    if (LOWER[bytes[from + i] as number] !== lower[i]) return false
  }
  return true
}

interface Slices extends Buffer {
  /** What `toString` calls in the end. Undocumented, so not taken for granted. */
  readonly latin1Slice?: (from: number, to: number) => string
}

/** `bytes[from..to)` as text; on the way of every request, where `toString` costs as much again. */
export function latin1(bytes: Slices, from: number, to: number): string {
  return bytes.latin1Slice?.(from, to) ?? bytes.toString('latin1', from, to)
}

export function ascii(text: string): Uint8Array {
  return Buffer.from(text, 'latin1')
}
