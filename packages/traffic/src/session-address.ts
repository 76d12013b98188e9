/**
 * Which endpoint a client's session belongs to, as the value of a cookie or header
 * (Envoy `stateful_session`). Cookies carry Envoy's message, so that a session survives a
 * change from Envoy to Weft and back:
 *
 *     base64( Cookie { string address = 1; uint64 expires = 2 } )    expires: seconds of Unix time
 *
 * Header values are the address alone, in base64. What does not read as either is no session:
 * a client may send anything.
 */
import { renderAddress, type SocketAddress } from '@weft/model'

const ADDRESS_TAG = 0x0a
const EXPIRES_TAG = 0x10
/** An IPv6 address with a scope and a port is far below. */
const MAX_VALUE_LENGTH = 256

/** @param expiresAtMs Wall clock; absent: a session cookie, which has no end. */
export function sessionCookieValue(address: SocketAddress, expiresAtMs?: number): string {
  const text = Buffer.from(renderAddress(address))
  const bytes = [ADDRESS_TAG, text.length, ...text]
  if (expiresAtMs !== undefined) bytes.push(EXPIRES_TAG, ...varint(Math.ceil(expiresAtMs / 1_000)))
  return Buffer.from(bytes).toString('base64')
}

/** For header sessions. */
export function sessionHeaderValue(address: SocketAddress): string {
  return Buffer.from(renderAddress(address)).toString('base64')
}

/**
 * Reads both forms; `undefined`: no session, or one that is over.
 *
 * @param nowMs Wall clock.
 */
export function sessionAddressOf(value: string, nowMs: number): SocketAddress | undefined {
  if (value.length > MAX_VALUE_LENGTH || !/^[A-Za-z0-9+/]+={0,2}$/.test(value)) return undefined
  const bytes = Buffer.from(value, 'base64')
  const plain = parseAddress(bytes.toString('latin1'))
  if (plain !== undefined) return plain
  const cookie = readCookie(bytes)
  if (cookie === undefined) return undefined
  if (cookie.expiresS !== 0 && cookie.expiresS * 1_000 <= nowMs) return undefined
  return parseAddress(cookie.address)
}

function readCookie(bytes: Uint8Array): { address: string; expiresS: number } | undefined {
  let address = ''
  let expiresS = 0
  let at = 0
  while (at < bytes.length) {
    const tag = bytes[at++]
    const number = readVarint(bytes, at)
    if (number === undefined) return undefined
    at = number.end
    if (tag === EXPIRES_TAG) expiresS = number.value
    else if (tag === ADDRESS_TAG) {
      if (at + number.value > bytes.length) return undefined
      address = Buffer.from(bytes.subarray(at, at + number.value)).toString('latin1')
      at += number.value
    } else return undefined
  }
  return { address, expiresS }
}

function varint(value: number): number[] {
  const bytes: number[] = []
  let left = value
  while (left >= 0x80) {
    bytes.push((left % 0x80) | 0x80)
    left = Math.floor(left / 0x80)
  }
  bytes.push(left)
  return bytes
}

/** Up to 2^49, which no second count of ours exceeds. */
function readVarint(bytes: Uint8Array, from: number): { value: number; end: number } | undefined {
  let value = 0
  let scale = 1
  for (let at = from; at < from + 7; at++) {
    const byte = bytes[at]
    if (byte === undefined) return undefined
    value += (byte & 0x7f) * scale
    if (byte < 0x80) return { value, end: at + 1 }
    scale *= 0x80
  }
  return undefined
}

function parseAddress(text: string): SocketAddress | undefined {
  const found = /^(?:\[([0-9a-f:.]+)\]|(\d{1,3}(?:\.\d{1,3}){3})):(\d{1,5})$/i.exec(text)
  if (found === null) return undefined
  const host = found[1] ?? found[2] ?? ''
  const port = Number(found[3])
  const isAddress =
    found[1] === undefined ? host.split('.').every((part) => Number(part) <= 255) : isIPv6(host)
  return isAddress && port >= 1 && port <= 65_535 ? { host, port } : undefined
}

/** Only compared with addresses that are known, never connected to: the URL parser will do. */
function isIPv6(host: string): boolean {
  return host.includes(':') && URL.canParse(`http://[${host}]/`)
}
