/**
 * Where the pseudo-fields of a request lie in its head as text of HTTP/1.1: one walk over
 * its bytes, and no string. The text is ours, or checked by a parser.
 */
import { ascii, COMMA, CR, equalsIgnoreCase, LF, LOWER, SPACE, TAB } from '../http1/bytes.ts'

const HOST = ascii('host:')
const UPGRADE = ascii('upgrade:')
const CONNECTION = ascii('connection:')
const UPGRADE_OPTION = ascii('upgrade')
const CONNECT = ascii('CONNECT')
const HEAD = ascii('HEAD')
const INITIAL_C = 0x63
const INITIAL_H = 0x68
const INITIAL_U = 0x75

/** Offsets; what is not there is empty. One object is filled again and again. */
export class RequestText {
  methodFrom = 0
  methodTo = 0
  targetFrom = 0
  targetTo = 0
  hostFrom = 0
  hostTo = 0
  /** Extended CONNECT (RFC 8441), e.g. `websocket`: only if `extended`. */
  protocolFrom = 0
  protocolTo = 0
  extended = false
  /** CONNECT: the target is the authority, and there is no path. */
  connect = false
  /** The answer to HEAD has no body whatever its fields say. */
  head = false
  linesFrom = 0
}

export function readRequestText(into: RequestText, bytes: Buffer, from: number, to: number): void {
  const lineEnd = seek(bytes, from, to, LF)
  const methodTo = seek(bytes, from, lineEnd, SPACE)
  into.methodFrom = from
  into.methodTo = methodTo
  into.targetFrom = methodTo + 1
  into.targetTo = seek(bytes, methodTo + 1, lineEnd, SPACE)
  into.connect = spells(bytes, from, methodTo, CONNECT)
  into.head = spells(bytes, from, methodTo, HEAD)
  into.linesFrom = lineEnd + 1
  readLines(into, bytes, lineEnd + 1, to)
}

function readLines(into: RequestText, bytes: Buffer, from: number, to: number): void {
  let hasHost = false
  let hasUpgrade = false
  let upgrades = false
  into.hostFrom = 0
  into.hostTo = 0
  into.protocolFrom = 0
  into.protocolTo = 0
  let at = from
  while (at < to && bytes[at] !== CR) {
    const end = seek(bytes, at, to, CR)
    const initial = LOWER[bytes[at] as number]
    if (initial === INITIAL_H && !hasHost && begins(bytes, at, HOST)) {
      hasHost = true
      into.hostFrom = pastBlanks(bytes, at + HOST.length, end)
      into.hostTo = beforeBlanks(bytes, into.hostFrom, end)
    } else if (initial === INITIAL_U && !hasUpgrade && begins(bytes, at, UPGRADE)) {
      hasUpgrade = true
      into.protocolFrom = pastBlanks(bytes, at + UPGRADE.length, end)
      into.protocolTo = beforeBlanks(bytes, into.protocolFrom, end)
    } else if (initial === INITIAL_C && !upgrades && begins(bytes, at, CONNECTION)) {
      upgrades = listsUpgrade(bytes, at + CONNECTION.length, end)
    }
    at = end + 2
  }
  // Without the option in Connection, Upgrade was for another hop (RFC 9110, section 7.8).
  into.extended = hasUpgrade && upgrades
}

/** Methods are told apart by case (RFC 9110, section 9.1). */
function spells(bytes: Buffer, from: number, to: number, word: Uint8Array): boolean {
  if (to - from !== word.length) return false
  for (let i = 0; i < word.length; i++) if (bytes[from + i] !== word[i]) return false
  return true
}

/** Where `byte` is next, or `to`. */
function seek(bytes: Buffer, from: number, to: number, byte: number): number {
  let at = from
  while (at < to && bytes[at] !== byte) at++
  return at
}

function begins(bytes: Buffer, at: number, name: Uint8Array): boolean {
  return equalsIgnoreCase(bytes, at, at + name.length, name)
}

function isBlank(byte: number | undefined): boolean {
  return byte === SPACE || byte === TAB
}

function pastBlanks(bytes: Buffer, from: number, to: number): number {
  let at = from
  while (at < to && isBlank(bytes[at])) at++
  return at
}

function beforeBlanks(bytes: Buffer, from: number, to: number): number {
  let end = to
  while (end > from && isBlank(bytes[end - 1])) end--
  return end
}

/** Whether `upgrade` is among the options of a Connection field. */
function listsUpgrade(bytes: Buffer, from: number, to: number): boolean {
  let at = from
  while (at < to) {
    const comma = seek(bytes, at, to, COMMA)
    const start = pastBlanks(bytes, at, comma)
    const end = beforeBlanks(bytes, start, comma)
    if (equalsIgnoreCase(bytes, start, end, UPGRADE_OPTION)) return true
    at = comma + 1
  }
  return false
}
