/**
 * Request ids as Envoy makes them: UUID version 4. From a fast generator seeded
 * by the system's randomness: ids must not collide, but nothing may ever depend
 * on their being unguessable.
 */
import { randomFillSync } from 'node:crypto'
import type { OutBuffer, Piece } from '@weft/wire'

/** A whole header line, of a multiple of four bytes: the id stands behind the name. */
const LINE = 'x-request-id: ------------------------------------\r\n'
const NAME_BYTES = 14
const BYTES = 36

/** Signed: with a sign bit instead of a 32nd bit they stay small integers, and are not allocated. */
const state = randomFillSync(new Int32Array(4))
/** The two digits of each byte. */
const HEX = Uint16Array.from({ length: 256 }, (_, byte) =>
  Buffer.from(byte.toString(16).padStart(2, '0'), 'latin1').readUInt16BE(),
)

/** xoshiro128**: 32 bits, as a signed integer. */
function next(): number {
  const s1 = state[1] as number
  const scrambled = Math.imul(rotate(Math.imul(s1, 5), 7), 9)
  const shifted = s1 << 9
  state[2] = (state[2] as number) ^ (state[0] as number)
  state[3] = (state[3] as number) ^ s1
  state[1] = s1 ^ (state[2] as number)
  state[0] = (state[0] as number) ^ (state[3] as number)
  state[2] = (state[2] as number) ^ shifted
  state[3] = rotate(state[3] as number, 11)
  return scrambled
}

function rotate(value: number, by: number): number {
  return (value << by) | (value >>> (32 - by))
}

/** The id of one request; becomes text only when somebody asks. */
export class RequestId {
  readonly #bytes = Buffer.alloc(LINE.length, LINE, 'latin1')
  readonly #fours = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, LINE.length)
  readonly #piece: Piece = { length: LINE.length, fours: this.#fours }
  #made = false

  reset(): void {
    this.#made = false
  }

  /** Writes the header line; makes the id at the first call. */
  writeTo(out: OutBuffer): void {
    if (!this.#made) {
      this.#made = true
      this.#make()
    }
    out.piece(this.#piece)
  }

  get text(): string | undefined {
    return this.#made ? this.#bytes.toString('latin1', NAME_BYTES, NAME_BYTES + BYTES) : undefined
  }

  /** xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx; the dashes are there already. */
  #make(): void {
    const into = this.#fours
    const a = next()
    const b = next()
    const c = next()
    const d = next()
    writeHex(into, NAME_BYTES, a, 8)
    writeHex(into, NAME_BYTES + 9, b >>> 16, 4)
    writeHex(into, NAME_BYTES + 14, (b & 0x0fff) | 0x4000, 4)
    writeHex(into, NAME_BYTES + 19, ((c >>> 16) & 0x3fff) | 0x8000, 4)
    writeHex(into, NAME_BYTES + 24, c & 0xffff, 4)
    writeHex(into, NAME_BYTES + 28, d, 8)
  }
}

/** Two digits at once. */
function writeHex(into: DataView, at: number, value: number, digits: number): void {
  let rest = value
  for (let i = at + digits - 2; i >= at; i -= 2) {
    into.setUint16(i, HEX[rest & 255] as number)
    rest >>>= 8
  }
}

/** 16 hexadecimal digits, for cookies that bind a client to a host. */
export function newCookieValue(): string {
  const part = () => (next() >>> 0).toString(16).padStart(8, '0')
  return `${part()}${part()}`
}
