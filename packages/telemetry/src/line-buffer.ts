/**
 * One JSON line as bytes, put together without strings in between. The memory is
 * reused from line to line and grows by doubling.
 */
import type { SocketAddress } from '@weft/model'

const INITIAL_BYTES = 4_096
/** Room that is always left: longer than any whole number, and than what a key writes too much. */
const SLACK = 24
/** Up to here a loop costs less than the call of a native copy and a second look. */
const SHORT = 96
/** A UTF-16 unit takes at most this many bytes in UTF-8. */
const UTF8_PER_UNIT = 3
/** Longer texts are cut: one request must not fill the log's buffer. */
const MAX_TEXT_LENGTH = 8_192
const QUOTE = 0x22
const BACKSLASH = 0x5c
const NULL = fixed('null')

/** Controls, also of the upper half of Latin-1, quotes, and what begins an escape. */
const UNSAFE = /["\\\p{Cc}\u2028\u2029]/u
const UNSAFE_ALL = new RegExp(UNSAFE, 'gu')

/** What JSON lets through and a terminal or a reader of lines does not: DEL, C1, Unicode's line ends. */
const JSON_UNSAFE = /[\x7f-\x9f\u2028\u2029]/g

function jsonOf(text: string): string {
  return JSON.stringify(text).replace(JSON_UNSAFE, toUnicodeEscape)
}

function toUnicodeEscape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}

function toHex(character: string): string {
  const hex = character.charCodeAt(0).toString(16).toUpperCase()
  return hex.length > 2 ? `\\u${hex}` : `\\x${hex.padStart(2, '0')}`
}

/** Constant bytes as words: a loop over these beats both a copy by bytes and a native one. */
export interface Fixed {
  readonly words: Int32Array
  readonly length: number
}

export function fixed(text: string): Fixed {
  const length = Buffer.byteLength(text)
  const padded = Buffer.alloc(Math.ceil(length / 4) * 4)
  padded.write(text)
  const words = Int32Array.from({ length: padded.length / 4 }, (_, i) => padded.readInt32LE(i * 4))
  return { words, length }
}

export class LineBuffer {
  bytes = Buffer.allocUnsafeSlow(INITIAL_BYTES)
  length = 0
  #view = viewOf(this.bytes)

  clear(): void {
    this.length = 0
  }

  append({ words, length }: Fixed): void {
    this.#reserve(length)
    const view = this.#view
    let at = this.length
    this.length = at + length
    for (let i = 0; i < words.length; i++, at += 4) view.setInt32(at, words[i] as number, true)
  }

  /** A JSON number: `value` rounded to a whole one. */
  number(value: number): void {
    if (value >= 0 && value < 0x7fff_ffff) this.#decimal(Math.round(value))
    else this.#text(String(Math.round(value)))
  }

  #decimal(value: number): void {
    let digits = 1
    for (let power = 10; value >= power; power *= 10) digits++
    const first = this.#take(digits)
    const { bytes } = this
    let rest = value
    for (let i = first + digits - 1; i >= first; i--) {
      const tenth = (rest / 10) | 0
      bytes[i] = 0x30 + rest - tenth * 10
      rest = tenth
    }
  }

  /** A JSON string of `digits` decimal digits with leading zeros, without quotes. */
  padded(value: number, digits: number): void {
    const first = this.#take(digits)
    let rest = value
    for (let i = first + digits - 1; i >= first; i--) {
      this.bytes[i] = 0x30 + (rest % 10)
      rest = Math.floor(rest / 10)
    }
  }

  /** A JSON string, or null. No text can end it, whatever is in it. */
  quoted(text: string | undefined): void {
    if (text === undefined) this.append(NULL)
    else if (text.length > MAX_TEXT_LENGTH) this.#quote(`${text.slice(0, MAX_TEXT_LENGTH)}...`)
    else this.#quote(text)
  }

  /** A text outside of JSON: no line ends in it, and no quote. */
  escaped(text: string): void {
    const kept = text.length > MAX_TEXT_LENGTH ? `${text.slice(0, MAX_TEXT_LENGTH)}...` : text
    this.#text(UNSAFE.test(kept) ? kept.replaceAll(UNSAFE_ALL, toHex) : kept)
  }

  /** `"10.0.0.1:80"`, `"[::1]:80"` or null. */
  address(address: SocketAddress | undefined): void {
    if (address === undefined) {
      this.append(NULL)
      return
    }
    const { host, port } = address
    if (host.includes(':')) {
      this.quoted(`[${host}]:${port}`)
      return
    }
    this.#quote(host)
    // The closing quote gives way to the port.
    this.bytes[this.length - 1] = 0x3a
    this.number(port)
    this.byte(QUOTE)
  }

  byte(byte: number): void {
    const at = this.#take(1)
    this.bytes[at] = byte
  }

  /** Nearly every text goes as it is: a long one is written first and looked at afterwards. */
  #quote(text: string): void {
    this.#reserve(text.length * UTF8_PER_UNIT + 2)
    const first = this.length
    const { bytes } = this
    bytes[first] = QUOTE
    if (text.length <= SHORT) {
      const { length } = text
      for (let i = 0; i < length; i++) {
        const code = text.charCodeAt(i)
        if (code < 0x20 || code > 0x7e || code === QUOTE || code === BACKSLASH) {
          this.#text(jsonOf(text))
          return
        }
        bytes[first + 1 + i] = code
      }
      bytes[first + 1 + length] = QUOTE
      this.length = first + length + 2
      return
    }
    const end = first + 1 + bytes.write(text, first + 1, 'utf8')
    if (isPlain(this.#view, bytes, first + 1, end)) {
      bytes[end] = QUOTE
      this.length = end + 1
    } else this.#text(jsonOf(text))
  }

  #text(text: string): void {
    this.#reserve(text.length * UTF8_PER_UNIT)
    this.length += this.bytes.write(text, this.length, 'utf8')
  }

  /** @returns Where the next `count` bytes go. */
  #take(count: number): number {
    this.#reserve(count)
    const at = this.length
    this.length = at + count
    return at
  }

  #reserve(more: number): void {
    const needed = this.length + more + SLACK
    if (needed <= this.bytes.length) return
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.bytes.length * 2))
    this.bytes.copy(grown, 0, 0, this.length)
    this.bytes = grown
    this.#view = viewOf(grown)
  }
}

function viewOf(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/**
 * Whether no byte needs an escape in JSON (RFC 8259, section 7) or may be a part of
 * what needs one here: no control byte, quote or backslash, and nothing but ASCII.
 * Looks at four bytes at once; the top bit of a byte of each term is set when that
 * byte is one of them.
 */
function isPlain(view: DataView, bytes: Uint8Array, from: number, end: number): boolean {
  let i = from
  for (; i + 4 <= end; i += 4) {
    const four = view.getInt32(i, true)
    const quote = four ^ 0x22222222
    const backslash = four ^ 0x5c5c5c5c
    const del = four ^ 0x7f7f7f7f
    const found =
      four |
      ((del - 0x01010101) & ~del) |
      ((four - 0x20202020) & ~four) |
      ((quote - 0x01010101) & ~quote) |
      ((backslash - 0x01010101) & ~backslash)
    // A borrow can only accuse a byte above a guilty one: never acquits.
    if ((found & 0x80808080) !== 0) return false
  }
  for (; i < end; i++) {
    const byte = bytes[i] as number
    if (byte < 0x20 || byte > 0x7e || byte === QUOTE || byte === BACKSLASH) return false
  }
  return true
}
