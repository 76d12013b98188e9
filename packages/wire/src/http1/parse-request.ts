/**
 * Request heads (RFC 9112, sections 2 to 3), strictly and incrementally: call
 * again with more bytes until it answers. Any cut of the bytes gives the same
 * answer.
 */
import { isAuthority } from './authority.ts'
import { CR, HEX_VALUE, LF, SPACE, TARGET, TOKEN_LOWER } from './bytes.ts'
import { FIELD } from './field-names.ts'
import { type MessageHead, SPAN } from './message-head.ts'
import { more, parseFields, scanForLineEnd } from './parse-fields.ts'
import { PROBLEM } from './problem.ts'

const MAX_TARGET_BYTES = 8_192
const SLASH = 0x2f
const PERCENT = 0x25
const QUESTION = 0x3f
const DOT = 0x2e
const ASTERISK = 0x2a

/**
 * @param base Where the head's first byte lies in `bytes`. Blank lines before a
 *   request are the caller's to skip.
 * @param maxHeadBytes Of the whole head.
 * @returns The offset just past the head, 0 when more bytes are needed, or a problem.
 */
export function parseRequestHead(
  head: MessageHead,
  bytes: Uint8Array,
  base: number,
  end: number,
  maxHeadBytes: number,
): number {
  const result = parse(head, bytes, base, end)
  const seen = result > 0 ? result - base : end - base
  if (result >= 0 && seen > maxHeadBytes) {
    return head.startLineDone ? PROBLEM.headTooLarge : PROBLEM.targetTooLong
  }
  return result
}

function parse(head: MessageHead, bytes: Uint8Array, base: number, end: number): number {
  if (head.checkedTo > head.resumeAt) {
    const bad = head.startLineDone ? PROBLEM.badField : PROBLEM.badRequestLine
    const found = scanForLineEnd(head, bytes, base, end, bad)
    if (found <= 0) return found
  }
  if (!head.startLineDone) {
    const result = parseRequestLine(head, bytes, base, end)
    if (result <= 0) return result
  }
  const result = parseFields(head, bytes, base, end)
  if (result <= 0) return result
  const problem = checkRequest(head, bytes, base)
  return problem === 0 ? result : problem
}

/** @returns The offset of the next line, 0 or a problem. */
function parseRequestLine(head: MessageHead, bytes: Uint8Array, base: number, end: number): number {
  let i = base
  while (i < end && TOKEN_LOWER[bytes[i] as number] !== 0) i++
  if (i === end) return more(head, base, base, end)
  if (i === base || bytes[i] !== SPACE) return PROBLEM.badRequestLine
  head.methodEnd = i - base
  const targetStart = i + 1
  i = targetStart
  while (i < end && TARGET[bytes[i] as number] === 1) i++
  if (i - targetStart > MAX_TARGET_BYTES) return PROBLEM.targetTooLong
  if (i === end) return more(head, base, base, end)
  if (i === targetStart || bytes[i] !== SPACE) return PROBLEM.badRequestLine
  head.targetStart = targetStart - base
  head.targetEnd = i - base
  const version = readVersion(bytes, i + 1, end)
  if (version < 0) return version
  if (version === NEED_MORE) return more(head, base, base, end)
  head.minor = version
  const next = i + 11
  head.startLineDone = true
  head.fieldsStart = next - base
  head.resumeAt = next - base
  head.checkedTo = 0
  return next
}

const VERSION = Buffer.from('HTTP/1.', 'latin1')
const NEED_MORE = 2

/** The minor version of `HTTP/1.x CRLF` at `from`: 0, 1, `NEED_MORE` or a problem. */
function readVersion(bytes: Uint8Array, from: number, end: number): number {
  for (let i = 0; i < 7; i++) {
    if (from + i === end) return NEED_MORE
    if (bytes[from + i] !== VERSION[i]) return PROBLEM.badVersion
  }
  if (from + 7 === end) return NEED_MORE
  const minor = (bytes[from + 7] as number) - 0x30
  if (minor !== 0 && minor !== 1) return PROBLEM.badVersion
  if (from + 8 === end) return NEED_MORE
  if (bytes[from + 8] !== CR) return PROBLEM.badVersion
  if (from + 9 === end) return NEED_MORE
  return bytes[from + 9] === LF ? minor : PROBLEM.badVersion
}

/** What only the whole head shows: target form against method, Host, framing. */
export function checkRequest(head: MessageHead, bytes: Uint8Array, base: number): number {
  if (head.chunked) {
    if (head.contentLength >= 0) return PROBLEM.lengthAndCoding
    if (head.minor === 0) return PROBLEM.badTransferEncoding
  }
  if (head.at[FIELD.expect] !== 0 && !head.expectsContinue) return PROBLEM.unknownExpectation
  const host = (head.at[FIELD.host] as number) - 1
  // HTTP/1.0 without Host names no server to route to; guessing one is how requests go astray.
  if (host < 0) return PROBLEM.badHost
  const hostStart = head.spans[host * SPAN + 2] as number
  const hostEnd = head.spans[host * SPAN + 3] as number
  if (!isAuthority(bytes, base + hostStart, base + hostEnd, false)) return PROBLEM.badHost
  head.authorityStart = hostStart
  head.authorityEnd = hostEnd
  return readTarget(head, bytes, base)
}

const CONNECT = Buffer.from('CONNECT', 'latin1')
const OPTIONS = Buffer.from('OPTIONS', 'latin1')

function isMethod(head: MessageHead, bytes: Uint8Array, base: number, name: Uint8Array): boolean {
  if (head.methodEnd !== name.length) return false
  for (let i = 0; i < name.length; i++) if (bytes[base + i] !== name[i]) return false
  return true
}

function readTarget(head: MessageHead, bytes: Uint8Array, base: number): number {
  const from = base + head.targetStart
  const to = base + head.targetEnd
  // The first byte is a C only for CONNECT and rare extension methods.
  if (bytes[base] === 0x43 && isMethod(head, bytes, base, CONNECT)) {
    if (!isAuthority(bytes, from, to, true)) return PROBLEM.badTarget
    head.form = 'authority'
    setAuthority(head, base, from, to)
    return setPath(head, bytes, base, to, to)
  }
  if (bytes[from] === SLASH) return setPath(head, bytes, base, from, to)
  if (bytes[from] === ASTERISK && to === from + 1) {
    head.form = 'asterisk'
    return isMethod(head, bytes, base, OPTIONS)
      ? setPath(head, bytes, base, to, to)
      : PROBLEM.badTarget
  }
  return readAbsolute(head, bytes, base, from, to)
}

const HTTP_SCHEME = Buffer.from('http', 'latin1')

/** `http://authority/path`, as clients send it to a proxy. It overrides Host (RFC 9112, section 3.2.2). */
function readAbsolute(
  head: MessageHead,
  bytes: Uint8Array,
  base: number,
  from: number,
  to: number,
): number {
  let i = from
  for (const byte of HTTP_SCHEME) {
    if (TOKEN_LOWER[bytes[i] as number] !== byte) return PROBLEM.badTarget
    i++
  }
  if (TOKEN_LOWER[bytes[i] as number] === 0x73) {
    head.secure = true
    i++
  }
  if (bytes[i] !== 0x3a || bytes[i + 1] !== SLASH || bytes[i + 2] !== SLASH)
    return PROBLEM.badTarget
  const authority = i + 3
  i = authority
  while (i < to && bytes[i] !== SLASH && bytes[i] !== QUESTION) i++
  if (!isAuthority(bytes, authority, i, false)) return PROBLEM.badTarget
  head.form = 'absolute'
  setAuthority(head, base, authority, i)
  return setPath(head, bytes, base, i, to)
}

function setAuthority(head: MessageHead, base: number, from: number, to: number): void {
  head.authorityStart = from - base
  head.authorityEnd = to - base
}

/** Notes where path and query lie and whether the path needs normalising; refuses `%00` and broken `%`. */
function setPath(
  head: MessageHead,
  bytes: Uint8Array,
  base: number,
  from: number,
  to: number,
): number {
  head.pathStart = from - base
  head.pathEnd = to - base
  let previous = 0
  let i = from
  for (; i < to; i++) {
    const byte = bytes[i] as number
    if (byte === QUESTION) break
    if (byte === PERCENT) {
      head.unusualPath = true
      if (!isEscape(bytes, i, to)) return PROBLEM.badTarget
    } else if (previous === SLASH && (byte === SLASH || byte === DOT)) head.unusualPath = true
    previous = byte
  }
  head.queryStart = i - base
  return 0
}

function isEscape(bytes: Uint8Array, at: number, to: number): boolean {
  if (at + 2 >= to) return false
  const high = HEX_VALUE[bytes[at + 1] as number] as number
  const low = HEX_VALUE[bytes[at + 2] as number] as number
  return high !== 255 && low !== 255 && high + low !== 0
}
