/**
 * The header names that decisions look at, as small numbers. A name is hashed
 * while it is scanned; a hit in the table is confirmed byte by byte, because who
 * finds a second name with the hash of `content-length` must gain nothing.
 */
import { ascii, equalsIgnoreCase, foursOf, LOWER, spells } from './bytes.ts'

const NAMES = [
  'host',
  'connection',
  'content-length',
  'transfer-encoding',
  'expect',
  'upgrade',
  'keep-alive',
  'proxy-connection',
  'te',
  'http2-settings',
  'x-request-id',
  'x-forwarded-for',
  'x-forwarded-proto',
  'x-forwarded-host',
  'x-forwarded-port',
  'x-forwarded-client-cert',
  'x-envoy-attempt-count',
  'x-envoy-expected-rq-timeout-ms',
  'x-envoy-upstream-service-time',
  'origin',
  'grpc-status',
  'x-envoy-upstream-rq-timeout-ms',
  'x-envoy-upstream-rq-per-try-timeout-ms',
  'x-weft-peer',
  'x-weft-retry-token',
  'x-envoy-max-retries',
  'x-envoy-retry-on',
  'x-envoy-retry-grpc-on',
  'x-envoy-hedge-on-per-try-timeout',
  'x-envoy-upstream-stream-duration-ms',
  'x-envoy-upstream-rq-timeout-alt-response',
  'traceparent',
] as const

export type KnownName = (typeof NAMES)[number]

/** The number of each known name; 0 stands for every other name. */
export const FIELD = Object.fromEntries(NAMES.map((name, i) => [name, i + 1])) as {
  readonly [Name in KnownName]: number
}
export const KNOWN_FIELDS = NAMES.length + 1

const SLOTS = 4_096
const slots = new Uint8Array(SLOTS)
const spelled: readonly Uint8Array[] = [new Uint8Array(0), ...NAMES.map(ascii)]

for (const [i, name] of NAMES.entries()) {
  const slot = hashName(name) & (SLOTS - 1)
  if (slots[slot] !== 0) throw new Error(`Cannot build the name table: ${name} collides`)
  slots[slot] = i + 1
}

/** The hash that parsers compute over a name's lower-case bytes. */
export function hashName(name: string): number {
  let hash = 0
  for (let i = 0; i < name.length; i++) {
    hash = (Math.imul(hash, 31) + (LOWER[name.charCodeAt(i) & 255] as number)) | 0
  }
  return hash
}

/** The known name that `bytes[from..to)` spells, or 0. */
export function knownName(hash: number, bytes: Uint8Array, from: number, to: number): number {
  const id = slots[hash & (SLOTS - 1)] as number
  if (id === 0) return 0
  return equalsIgnoreCase(bytes, from, to, spelled[id] as Uint8Array) ? id : 0
}

const NO_FOURS = new Int32Array(0)
const fours: readonly Int32Array[] = spelled.map((lower) =>
  lower.length < 4 ? NO_FOURS : foursOf(lower),
)

/** The same for a name that was seen to be a token, four bytes at once. */
export function knownToken(hash: number, bytes: Uint8Array, from: number, to: number): number {
  const id = slots[hash & (SLOTS - 1)] as number
  if (id === 0) return 0
  const { length } = spelled[id] as Uint8Array
  if (length < 4) return knownName(hash, bytes, from, to)
  return spells(bytes, from, to, length, fours[id] as Int32Array) ? id : 0
}

/** The number of a known name given as text; 0 for every other name. */
export function knownId(name: string): number {
  return (FIELD as Readonly<Record<string, number>>)[name] ?? 0
}
