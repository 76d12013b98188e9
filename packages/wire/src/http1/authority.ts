/** Host and port as a request names them, stricter than RFC 3986: what is odd is refused. */
import { COLON, HEX_VALUE, HOST_NAME } from './bytes.ts'

const OPEN = 0x5b
const CLOSE = 0x5d
const MAX_PORT = 65_535

/**
 * Whether `bytes[from..to)` is a host (name, IPv4 or bracketed IPv6) with an
 * optional port; `portNeeded` makes the port obligatory.
 */
export function isAuthority(
  bytes: Uint8Array,
  from: number,
  to: number,
  portNeeded: boolean,
): boolean {
  let i = from
  if (bytes[i] === OPEN) {
    i = endOfBracketed(bytes, from, to)
    if (i < 0) return false
  } else {
    while (i < to && HOST_NAME[bytes[i] as number] === 1) i++
    if (i === from) return false
  }
  if (i === to) return !portNeeded
  return bytes[i] === COLON && isPort(bytes, i + 1, to)
}

function endOfBracketed(bytes: Uint8Array, from: number, to: number): number {
  let colons = 0
  for (let i = from + 1; i < to; i++) {
    const byte = bytes[i] as number
    if (byte === COLON) colons++
    else if (byte === CLOSE) return colons >= 2 ? i + 1 : -1
    else if (HEX_VALUE[byte] === 255 && byte !== 0x2e) return -1
  }
  return -1
}

function isPort(bytes: Uint8Array, from: number, to: number): boolean {
  if (to === from || to - from > 5) return false
  let port = 0
  for (let i = from; i < to; i++) {
    const digit = (bytes[i] as number) - 0x30
    if (digit < 0 || digit > 9) return false
    port = port * 10 + digit
  }
  return port <= MAX_PORT
}
