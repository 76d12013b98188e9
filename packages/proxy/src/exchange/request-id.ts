/**
 * Request ids as Envoy makes them: UUID version 4. From a fast generator seeded
 * by the system's randomness: ids must not collide, but nothing may ever depend
 * on their being unguessable.
 */
import { randomFillSync } from 'node:crypto'

export const REQUEST_ID_BYTES = 36

const state = randomFillSync(new Uint32Array(4))
const HEX = Buffer.from('0123456789abcdef', 'latin1')
const DASHES_BEFORE = new Set([4, 6, 8, 10])

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

/** Writes 36 characters at `at`. */
export function writeRequestId(into: Uint8Array, at: number): void {
  let position = at
  let word = 0
  for (let byte = 0; byte < 16; byte++) {
    if ((byte & 3) === 0) word = next()
    let value = word & 255
    word >>>= 8
    if (byte === 6) value = (value & 0x0f) | 0x40
    else if (byte === 8) value = (value & 0x3f) | 0x80
    if (DASHES_BEFORE.has(byte)) into[position++] = 0x2d
    into[position++] = HEX[value >> 4] as number
    into[position++] = HEX[value & 15] as number
  }
}

/** 16 hexadecimal digits, for cookies that bind a client to a host. */
export function newCookieValue(): string {
  return `${next().toString(16).padStart(8, '0')}${next().toString(16).padStart(8, '0')}`
}
