/**
 * Response heads (RFC 9112, section 4), strictly and incrementally. There is no
 * HTTP/0.9: what does not begin with a status line is not an answer.
 */
import { CR, FIELD_VALUE, LF, SPACE } from './bytes.ts'
import type { MessageHead } from './message-head.ts'
import { more, parseFields, scanForLineEnd } from './parse-fields.ts'
import { PROBLEM } from './problem.ts'

/** @returns The offset just past the head, 0 when more bytes are needed, or a problem. */
export function parseResponseHead(
  head: MessageHead,
  bytes: Uint8Array,
  base: number,
  end: number,
  maxHeadBytes: number,
): number {
  const result = parse(head, bytes, base, end)
  const seen = result > 0 ? result - base : end - base
  if (result >= 0 && seen > maxHeadBytes) return PROBLEM.headTooLarge
  return result
}

function parse(head: MessageHead, bytes: Uint8Array, base: number, end: number): number {
  if (head.checkedTo > head.resumeAt) {
    const judged = head.startLineDone || head.checkedTo >= STATUS_BYTES
    const bad = head.startLineDone ? PROBLEM.badField : PROBLEM.badStatusLine
    const found = scanForLineEnd(head, bytes, base, end, bad)
    // The first bytes are judged at once, so that garbage without a line end is not waited for.
    if (found < 0 || (found === 0 && judged)) return found
  }
  if (!head.startLineDone) {
    const result = parseStatusLine(head, bytes, base, end)
    if (result <= 0) return result
  }
  const result = parseFields(head, bytes, base, end)
  if (result <= 0) return result
  if (head.chunked && (head.contentLength >= 0 || head.minor === 0)) return PROBLEM.lengthAndCoding
  return result
}

/** `HTTP/1.1 200`. */
const STATUS_BYTES = 12
const VERSION = Buffer.from('HTTP/1.', 'latin1')

function parseStatusLine(head: MessageHead, bytes: Uint8Array, base: number, end: number): number {
  const ready = Math.min(end - base, VERSION.length)
  for (let i = 0; i < ready; i++) if (bytes[base + i] !== VERSION[i]) return PROBLEM.badStatusLine
  if (end - base < STATUS_BYTES) return more(head, base, base, end)
  const minor = (bytes[base + 7] as number) - 0x30
  if ((minor !== 0 && minor !== 1) || bytes[base + 8] !== SPACE) return PROBLEM.badStatusLine
  head.minor = minor
  head.status = readStatus(bytes, base + 9)
  if (head.status < 100) return PROBLEM.badStatusLine
  let i = base + 12
  if (i === end) return more(head, base, base, end)
  // Some servers leave out the blank before an empty reason.
  if (bytes[i] === SPACE) i++
  else if (bytes[i] !== CR) return PROBLEM.badStatusLine
  head.reasonStart = i - base
  while (i < end && FIELD_VALUE[bytes[i] as number] === 1) i++
  head.reasonEnd = i - base
  if (i === end) return more(head, base, base, end)
  if (bytes[i] !== CR) return PROBLEM.badStatusLine
  if (i + 1 === end) return more(head, base, base, end)
  if (bytes[i + 1] !== LF) return PROBLEM.badStatusLine
  head.startLineDone = true
  head.fieldsStart = i + 2 - base
  head.resumeAt = head.fieldsStart
  head.checkedTo = 0
  return i + 2
}

function readStatus(bytes: Uint8Array, at: number): number {
  let status = 0
  for (let i = at; i < at + 3; i++) {
    const digit = (bytes[i] as number) - 0x30
    if (digit < 0 || digit > 9) return 0
    status = status * 10 + digit
  }
  return status <= 599 ? status : 0
}
