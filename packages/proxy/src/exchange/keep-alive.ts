/**
 * What a server says about how long it keeps an idle connection (`Keep-Alive: timeout=5`).
 * Many servers say so in every answer: it is read without making a string of it.
 */
import { ascii, equalsIgnoreCase } from '@weft/wire'

const TIMEOUT = ascii('timeout=')
const SEPARATORS = ascii(', \t')
const MAX_DIGITS = 6

/** The seconds in a value of Keep-Alive, in `bytes[from..to)`; -1 when it says nothing. */
export function keepAliveSeconds(bytes: Uint8Array, from: number, to: number): number {
  for (let at = from; at + TIMEOUT.length < to; at++) {
    if (at > from && !SEPARATORS.includes(bytes[at - 1] as number)) continue
    const digits = at + TIMEOUT.length
    if (!equalsIgnoreCase(bytes, at, digits, TIMEOUT)) continue
    const seconds = readDecimal(bytes, digits, Math.min(to, digits + MAX_DIGITS))
    if (seconds >= 0) return seconds
  }
  return -1
}

/** The number that `bytes[from..to)` begins with; -1 when it begins with none. */
function readDecimal(bytes: Uint8Array, from: number, to: number): number {
  let value = -1
  for (let at = from; at < to; at++) {
    const digit = (bytes[at] as number) - 0x30
    if (digit < 0 || digit > 9) break
    value = Math.max(value, 0) * 10 + digit
  }
  return value
}
