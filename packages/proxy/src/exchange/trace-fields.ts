/**
 * Trace fields that travel on are well formed (R46): a `traceparent` that is none, or is there
 * twice, begins a new trace, and a `baggage` of more than 8 KiB stays here (W3C Baggage).
 */
import { randomBytes } from 'node:crypto'
import { parseTraceparent } from '@weft/telemetry'
import { FIELD, type MessageHead, SPAN } from '@weft/wire'
import type { Exchange } from './exchange.ts'

const MAX_BAGGAGE_BYTES = 8_192
/** `00-<32 hex>-<16 hex>-<2 hex>` */
const PLAIN_LENGTH = 55
const ZERO = 0x30
const DASH = 0x2d

/** `undefined`: what the client sent goes on. */
export function newTraceparent({ head, headBytes, view }: Exchange): string | undefined {
  const index = (head.at[FIELD.traceparent] as number) - 1
  if (index < 0 || isPlain(head, headBytes, index)) return undefined
  const sent = view.requestHeader('traceparent')
  if (parseTraceparent(sent) !== undefined) return undefined
  const trace = randomBytes(16).toString('hex')
  return `00-${trace}-${randomBytes(8).toString('hex')}-00`
}

/** The only one, of version 00 and valid, as nearly all are; hot path, so byte by byte. */
function isPlain(head: MessageHead, bytes: Buffer, index: number): boolean {
  const { spans } = head
  const from = spans[index * SPAN + 2] as number
  if ((spans[index * SPAN + 3] as number) - from !== PLAIN_LENGTH) return false
  if (bytes[from] !== ZERO || bytes[from + 1] !== ZERO || bytes[from + 2] !== DASH) return false
  if (bytes[from + 35] !== DASH || bytes[from + 52] !== DASH) return false
  const trace = seenDigits(bytes, from + 3, from + 35)
  const parent = seenDigits(bytes, from + 36, from + 52)
  const flags = seenDigits(bytes, from + 53, from + PLAIN_LENGTH)
  if (((trace | parent | flags) & NOT_HEX) !== 0) return false
  return trace > 0 && parent > 0 && head.findKnown(FIELD.traceparent, index + 1) < 0
}

/** The bits of the hexadecimal digits together; 0 when all are zero. */
function seenDigits(bytes: Buffer, from: number, to: number): number {
  let seen = 0
  for (let i = from; i < to; i++) seen |= DIGITS[bytes[i] as number] as number
  return seen
}

const NOT_HEX = 0x80
/** Values of lower case hexadecimal digits; everything else is none. */
const DIGITS = new Uint8Array(256).fill(NOT_HEX)
for (let i = 0; i < 16; i++) DIGITS['0123456789abcdef'.charCodeAt(i)] = i

export function hasTooMuchBaggage({ headLength, view }: Exchange): boolean {
  if (headLength <= MAX_BAGGAGE_BYTES) return false
  return (view.requestHeader('baggage')?.length ?? 0) > MAX_BAGGAGE_BYTES
}
