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

/**
 * The offset of the first byte from `from` on that may not be in a field value,
 * or `end`. Looks at four bytes at once: most of a head is values. Tabs, which
 * are rare, go the slow way.
 */
export function endOfValue(bytes: Uint8Array, from: number, end: number): number {
  // Reads share one buffer, so one view serves nearly every call.
  if (viewed !== bytes) {
    viewed = bytes
    view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }
  let i = from
  for (;;) {
    while (i + 4 <= end) {
      const four = view.getInt32(i, true)
      const delete4 = four ^ 0x7f7f7f7f
      // The top bit of a byte is set when that byte is below 0x20, or is 0x7f.
      const control = (four - 0x20202020) & ~four
      const deleted = (delete4 - 0x01010101) & ~delete4
      if (((control | deleted) & 0x80808080) !== 0) break
      i += 4
    }
    const stop = Math.min(i + 4, end)
    while (i < stop && FIELD_VALUE[bytes[i] as number] === 1) i++
    if (i < stop || i >= end) return i
  }
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

export function ascii(text: string): Uint8Array {
  return Buffer.from(text, 'latin1')
}
