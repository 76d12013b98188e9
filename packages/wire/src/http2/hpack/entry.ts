/**
 * A field of a table as the line it becomes in a head, with all that is asked about
 * it found out once. Short values are shared by all connections of the process
 * (interned): a mesh sends the same few hundred fields over and over.
 */
import { COLON, endOfValue, foursIn, SPACE, TAB, TOKEN_LOWER } from '../../http1/bytes.ts'
import { FIELD, hashName, knownName } from '../../http1/field-names.ts'
import { STATIC_FIELDS } from './static-table.ts'

/** What a field means to the head it stands in. */
export const KIND = {
  field: 0,
  /** A name or value that no field may have. */
  invalid: 1,
  method: 2,
  scheme: 3,
  authority: 4,
  path: 5,
  protocol: 6,
  status: 7,
  /** Ends here whatever version it came over: malformed in HTTP/2. */
  connectionSpecific: 8,
  te: 9,
  host: 10,
  contentLength: 11,
  expect: 12,
  cookie: 13,
} as const

const PSEUDO: ReadonlyMap<string, number> = new Map([
  [':method', KIND.method],
  [':scheme', KIND.scheme],
  [':authority', KIND.authority],
  [':path', KIND.path],
  [':protocol', KIND.protocol],
  [':status', KIND.status],
])
const CONNECTION_SPECIFIC: ReadonlySet<number> = new Set([
  FIELD.connection,
  FIELD['keep-alive'],
  FIELD['proxy-connection'],
  FIELD['transfer-encoding'],
  FIELD.upgrade,
])
const COOKIE = hashName('cookie')
const COOKIE_NAME = Buffer.from('cookie', 'latin1')

export class HpackEntry {
  /** `name: value CRLF`. */
  readonly line: Uint8Array
  readonly nameLength: number
  readonly hash: number
  readonly known: number
  readonly kind: number
  /** What the kind is when another value stands behind the name. */
  readonly nameKind: number
  /** As tables count it (RFC 7541, section 4.1). */
  readonly size: number

  constructor(line: Uint8Array, nameLength: number) {
    this.line = line
    this.nameLength = nameLength
    this.hash = hashOf(line, nameLength)
    this.known = knownName(this.hash, line, 0, nameLength)
    this.nameKind = kindOfName(line, nameLength, this.hash, this.known)
    this.kind = isValue(line, nameLength + 2, line.length - 2) ? this.nameKind : KIND.invalid
    this.size = line.length - 4 + 32
  }
}

/** The hash of `field-names.ts` over a name that is in lower case already. */
export function hashOf(line: Uint8Array, nameLength: number): number {
  let hash = 0
  for (let i = 0; i < nameLength; i++) hash = (Math.imul(hash, 31) + (line[i] as number)) | 0
  return hash
}

export function kindOfName(
  line: Uint8Array,
  nameLength: number,
  hash: number,
  known: number,
): number {
  if (nameLength === 0) return KIND.invalid
  if (line[0] === COLON) {
    const name = Buffer.from(line.buffer, line.byteOffset, nameLength).toString('latin1')
    return PSEUDO.get(name) ?? KIND.invalid
  }
  for (let i = 0; i < nameLength; i++) {
    const byte = line[i] as number
    // Not in lower case counts as wrong, too.
    if (byte === 0 || TOKEN_LOWER[byte] !== byte) return KIND.invalid
  }
  if (known !== 0) return kindOfKnown(known)
  return hash === COOKIE && isCookie(line, nameLength) ? KIND.cookie : KIND.field
}

function kindOfKnown(known: number): number {
  if (known === FIELD.host) return KIND.host
  if (known === FIELD['content-length']) return KIND.contentLength
  if (known === FIELD.te) return KIND.te
  if (known === FIELD.expect) return KIND.expect
  return CONNECTION_SPECIFIC.has(known) ? KIND.connectionSpecific : KIND.field
}

function isCookie(line: Uint8Array, nameLength: number): boolean {
  if (nameLength !== COOKIE_NAME.length) return false
  for (let i = 0; i < nameLength; i++) if (line[i] !== COOKIE_NAME[i]) return false
  return true
}

/** Whether `line[from..to)` may be a value: no control bytes, no blanks at its ends. */
export function isValue(line: Uint8Array, from: number, to: number): boolean {
  if (to === from) return true
  if (isBlank(line[from]) || isBlank(line[to - 1])) return false
  return endOfValue(line, foursIn(line), from, to) === to
}

function isBlank(byte: number | undefined): boolean {
  return byte === SPACE || byte === TAB
}

function staticEntry([name, value]: readonly [string, string]): HpackEntry {
  return new HpackEntry(Buffer.from(`${name}: ${value}\r\n`, 'latin1'), name.length)
}

export const STATIC_ENTRIES: readonly HpackEntry[] = STATIC_FIELDS.map(staticEntry)

/** Who guesses a value by how a shared table behaves must gain nothing; and ids never come again. */
const NEVER_INTERNED: ReadonlySet<number> = new Set(
  [
    'authorization',
    'proxy-authorization',
    'cookie',
    'set-cookie',
    'traceparent',
    'tracestate',
    'x-request-id',
    'x-b3-traceid',
    'x-b3-spanid',
    'x-b3-parentspanid',
    'b3',
    'grpc-trace-bin',
  ].map(hashName),
)
const MAX_INTERNED_VALUE_BYTES = 64
const INTERNED_SLOTS = 2_048
const interned: (HpackEntry | undefined)[] = new Array(INTERNED_SLOTS).fill(undefined)

/** The entry for the line in `scratch[0..length)`; the bytes are copied when they are kept. */
export function entryOf(scratch: Uint8Array, length: number, nameLength: number): HpackEntry {
  const valueBytes = length - nameLength - 4
  if (valueBytes > MAX_INTERNED_VALUE_BYTES || nameLength > MAX_INTERNED_VALUE_BYTES) {
    return new HpackEntry(copyOf(scratch, length), nameLength)
  }
  let hash = hashOf(scratch, nameLength)
  if (NEVER_INTERNED.has(hash)) return new HpackEntry(copyOf(scratch, length), nameLength)
  for (let i = nameLength; i < length; i++) {
    hash = (Math.imul(hash, 31) + (scratch[i] as number)) | 0
  }
  const slot = (hash ^ (hash >>> 15)) & (INTERNED_SLOTS - 1)
  const held = interned[slot]
  if (
    held !== undefined &&
    held.nameLength === nameLength &&
    sameLine(held.line, scratch, length)
  ) {
    return held
  }
  const entry = new HpackEntry(copyOf(scratch, length), nameLength)
  interned[slot] = entry
  return entry
}

function sameLine(line: Uint8Array, scratch: Uint8Array, length: number): boolean {
  if (line.length !== length) return false
  for (let i = 0; i < length; i++) if (line[i] !== scratch[i]) return false
  return true
}

/** Memory of its own: a piece of a shared pool would keep the pool alive. */
function copyOf(scratch: Uint8Array, length: number): Uint8Array {
  const line = new Uint8Array(length)
  for (let i = 0; i < length; i++) line[i] = scratch[i] as number
  return line
}
