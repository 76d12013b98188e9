/**
 * The pseudo-fields of a request head that lies as text of HTTP/1.1: one walk over
 * its bytes, and strings for nothing but what the pseudo-fields say. The text is ours,
 * or checked by a parser.
 */
import { ascii, COMMA, CR, equalsIgnoreCase, LF, SPACE, TAB } from '../http1/bytes.ts'
import type { PseudoFields } from './contract.ts'

const HOST = ascii('host:')
const UPGRADE = ascii('upgrade:')
const CONNECTION = ascii('connection:')
const UPGRADE_OPTION = ascii('upgrade')

export function readRequestText(
  scheme: string,
  bytes: Buffer,
  from: number,
  to: number,
): { readonly pseudo: PseudoFields; readonly linesFrom: number } {
  const lineEnd = seek(bytes, from, to, LF)
  const methodTo = seek(bytes, from, lineEnd, SPACE)
  const targetTo = seek(bytes, methodTo + 1, lineEnd, SPACE)
  const method = bytes.toString('latin1', from, methodTo)
  const target = bytes.toString('latin1', methodTo + 1, targetTo)
  let host: string | undefined
  let upgrade: string | undefined
  let upgrades = false
  let at = lineEnd + 1
  while (at < to && bytes[at] !== CR) {
    const end = seek(bytes, at, to, CR)
    if (host === undefined && begins(bytes, at, HOST)) {
      host = fieldValue(bytes, at + HOST.length, end)
    } else if (upgrade === undefined && begins(bytes, at, UPGRADE)) {
      upgrade = fieldValue(bytes, at + UPGRADE.length, end)
    } else if (!upgrades && begins(bytes, at, CONNECTION)) {
      upgrades = listsUpgrade(bytes, at + CONNECTION.length, end)
    }
    at = end + 2
  }
  const connect = method === 'CONNECT'
  return {
    pseudo: {
      method,
      path: connect ? '' : target,
      authority: connect ? target : (host ?? ''),
      scheme,
      // Without the option in Connection, Upgrade was for another hop (RFC 9110, section 7.8).
      protocol: upgrades ? upgrade : undefined,
    },
    linesFrom: lineEnd + 1,
  }
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

function fieldValue(bytes: Buffer, from: number, to: number): string {
  const start = pastBlanks(bytes, from, to)
  return bytes.toString('latin1', start, beforeBlanks(bytes, start, to))
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
