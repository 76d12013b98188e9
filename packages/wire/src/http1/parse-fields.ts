/**
 * Header fields, strictly (RFC 9112, section 5): no blank before the colon, no
 * folded lines, no bare CR or LF, no control bytes, CRLF at every end. Anything
 * that two servers could read differently is refused.
 *
 * Hot path: every byte of every head passes through here once.
 */
import {
  ascii,
  COLON,
  CR,
  endOfValue,
  equalsIgnoreCase,
  FIELD_VALUE,
  foursIn,
  foursOf,
  LF,
  SPACE,
  spells,
  TAB,
  TOKEN_LOWER,
} from './bytes.ts'
import { FIELD, knownToken } from './field-names.ts'
import { MAX_FIELDS, type MessageHead, SPAN, someElement } from './message-head.ts'
import { PROBLEM } from './problem.ts'

/**
 * Parses field lines from `head.resumeAt` on, up to and including the empty line.
 *
 * @returns The offset just past the empty line, 0 when more bytes are needed, or a problem.
 */
// biome-ignore lint/complexity/noExcessiveCognitiveComplexity: one loop over bytes; calls per field would cost more than they explain
export function parseFields(
  head: MessageHead,
  bytes: Uint8Array,
  base: number,
  end: number,
): number {
  const { spans } = head
  const fours = foursIn(bytes)
  let i = base + head.resumeAt
  for (;;) {
    if (i >= end) return more(head, base, i, end)
    const lineStart = i
    let hash = 0
    let lower = 0
    // biome-ignore lint/suspicious/noAssignInExpressions: the loop condition is the table look-up
    while (i < end && (lower = TOKEN_LOWER[bytes[i] as number] as number) !== 0) {
      hash = (Math.imul(hash, 31) + lower) | 0
      i++
    }
    if (i >= end) return more(head, base, lineStart, end)
    if (i === lineStart) {
      if (bytes[i] !== CR) return PROBLEM.badField
      if (i + 1 >= end) return more(head, base, lineStart, end)
      if (bytes[i + 1] !== LF) return PROBLEM.badField
      head.end = i + 2 - base
      return i + 2
    }
    if (bytes[i] !== COLON) return PROBLEM.badField
    const nameEnd = i
    i++
    while (i < end && (bytes[i] === SPACE || bytes[i] === TAB)) i++
    const valueStart = i
    i = endOfValue(bytes, fours, i, end)
    if (i + 1 >= end) {
      if (i < end && bytes[i] !== CR) return PROBLEM.badField
      return more(head, base, lineStart, end)
    }
    if (bytes[i] !== CR || bytes[i + 1] !== LF) return PROBLEM.badField
    let valueEnd = i
    while (
      valueEnd > valueStart &&
      (bytes[valueEnd - 1] === SPACE || bytes[valueEnd - 1] === TAB)
    ) {
      valueEnd--
    }
    i += 2
    const index = head.count
    if (index === MAX_FIELDS) return PROBLEM.tooManyFields
    const at = index * SPAN
    const known = knownToken(hash, bytes, lineStart, nameEnd)
    spans[at] = lineStart - base
    spans[at + 1] = nameEnd - base
    spans[at + 2] = valueStart - base
    spans[at + 3] = valueEnd - base
    spans[at + 4] = hash
    spans[at + 5] = known
    head.count = index + 1
    head.nameBits |= 1 << (hash & 31)
    if (known !== 0) {
      const problem = noteField(head, known, index, bytes, valueStart, valueEnd)
      if (problem !== 0) return problem
    }
  }
}

/**
 * The line from `lineStart` on is not complete. Remembers how far it was seen to
 * be harmless, so that a sender of single bytes costs O(n), and refuses at once
 * what no further byte can mend.
 */
export function more(head: MessageHead, base: number, lineStart: number, end: number): number {
  head.resumeAt = lineStart - base
  head.checkedTo = Math.max(end - base, head.resumeAt)
  return 0
}

const CLOSE = ascii('close')
const KEEP_ALIVE = ascii('keep-alive')
const KEEP_ALIVE_FOURS = foursOf(KEEP_ALIVE)
const UPGRADE = ascii('upgrade')
const CHUNKED = ascii('chunked')
const CONTINUE = ascii('100-continue')

/** Reads the fields that framing and connection handling depend on; 0 or a problem. */
function noteField(
  head: MessageHead,
  known: number,
  index: number,
  bytes: Uint8Array,
  from: number,
  to: number,
): number {
  const repeated = head.at[known] !== 0
  if (!repeated) head.at[known] = index + 1
  switch (known) {
    case FIELD.host:
      return repeated ? PROBLEM.badHost : 0
    case FIELD['content-length']:
      if (repeated) return PROBLEM.badContentLength
      head.contentLength = readLength(bytes, from, to)
      return head.contentLength < 0 ? PROBLEM.badContentLength : 0
    case FIELD['transfer-encoding']:
      if (repeated) return PROBLEM.badTransferEncoding
      head.chunked = equalsIgnoreCase(bytes, from, to, CHUNKED)
      return head.chunked ? 0 : PROBLEM.unknownTransferCoding
    case FIELD.expect:
      head.expectsContinue = !repeated && equalsIgnoreCase(bytes, from, to, CONTINUE)
      return 0
    case FIELD.connection:
      noteConnection(head, bytes, from, to)
      return 0
    default:
      return 0
  }
}

function noteConnection(head: MessageHead, bytes: Uint8Array, from: number, to: number): void {
  // The two values that nearly every client sends need no list walk.
  if (spells(bytes, from, to, KEEP_ALIVE.length, KEEP_ALIVE_FOURS)) head.connectionKeepAlive = true
  else if (equalsIgnoreCase(bytes, from, to, CLOSE)) head.connectionClose = true
  else someElement(bytes, from, to, (first, last) => noteOption(head, bytes, first, last))
}

function noteOption(head: MessageHead, bytes: Uint8Array, from: number, to: number): boolean {
  if (equalsIgnoreCase(bytes, from, to, CLOSE)) head.connectionClose = true
  else if (equalsIgnoreCase(bytes, from, to, KEEP_ALIVE)) head.connectionKeepAlive = true
  else if (equalsIgnoreCase(bytes, from, to, UPGRADE)) head.connectionUpgrade = true
  else head.nominates = true
  return false
}

/** Digits only, at most 2^53-1 (larger ones would be counted wrongly); -1 otherwise. */
function readLength(bytes: Uint8Array, from: number, to: number): number {
  if (to === from || to - from > 16) return -1
  let length = 0
  for (let i = from; i < to; i++) {
    const digit = (bytes[i] as number) - 0x30
    if (digit < 0 || digit > 9) return -1
    length = length * 10 + digit
  }
  return length <= Number.MAX_SAFE_INTEGER ? length : -1
}

/**
 * Looks at the bytes that came since the last attempt on an incomplete line.
 *
 * @returns 1 when a line end came (parse again), 0 when not yet, or a problem.
 */
export function scanForLineEnd(
  head: MessageHead,
  bytes: Uint8Array,
  base: number,
  end: number,
  problem: number,
): number {
  // One byte back: a CR may have been the last one of the previous piece.
  let i = base + Math.max(head.checkedTo - 1, head.resumeAt)
  for (; i < end; i++) {
    const byte = bytes[i] as number
    if (FIELD_VALUE[byte] === 1) continue
    if (byte === LF) return 1
    if (byte !== CR) return problem
    if (i + 1 < end && bytes[i + 1] !== LF) return problem
  }
  head.checkedTo = end - base
  return 0
}
