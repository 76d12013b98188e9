/**
 * Request ids as Envoy makes them: UUID version 4. From a fast generator seeded
 * by the system's randomness: ids must not collide, but nothing may ever depend
 * on their being unguessable.
 */
import { randomFillSync } from 'node:crypto'
import type { OutBuffer } from '@weft/wire'

/** A whole header line: the id stands behind the name. */
const LINE = 'x-request-id: ------------------------------------\r\n'
const NAME_BYTES = 14
const BYTES = 36

const state = randomFillSync(new Uint32Array(4))
const HEX = Buffer.from('0123456789abcdef', 'latin1')

/** xoshiro128**: 32 bits. */
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
  return scrambled >>> 0
}

function rotate(value: number, by: number): number {
  return (value << by) | (value >>> (32 - by))
}

/** The id of one request; becomes text only when somebody asks. */
export class RequestId {
  readonly #bytes = Buffer.from(LINE, 'latin1')
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
    out.append(this.#bytes)
  }

  get text(): string | undefined {
    return this.#made ? this.#bytes.toString('latin1', NAME_BYTES, NAME_BYTES + BYTES) : undefined
  }

  /** xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx; the dashes are there already. */
  #make(): void {
    const into = this.#bytes
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

function writeHex(into: Uint8Array, at: number, value: number, digits: number): void {
  let rest = value
  for (let i = at + digits - 1; i >= at; i--) {
    into[i] = HEX[rest & 15] as number
    rest >>>= 4
  }
}

/** 16 hexadecimal digits, for cookies that bind a client to a host. */
export function newCookieValue(): string {
  return `${next().toString(16).padStart(8, '0')}${next().toString(16).padStart(8, '0')}`
}
