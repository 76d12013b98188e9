/**
 * Trace fields that travel on are well formed (R46): a `traceparent` that is none, or is there
 * twice, begins a new trace, and a `baggage` of more than 8 KiB stays here (W3C Baggage).
 */
import { randomBytes } from 'node:crypto'
import { parseTraceparent } from '@weft/telemetry'
import { FIELD } from '@weft/wire'
import type { Exchange } from './exchange.ts'

const MAX_BAGGAGE_BYTES = 8_192

/** `undefined`: what the client sent goes on. */
export function newTraceparent({ head, view }: Exchange): string | undefined {
  if (head.at[FIELD.traceparent] === 0) return undefined
  const sent = view.requestHeader('traceparent')
  if (parseTraceparent(sent) !== undefined) return undefined
  const trace = randomBytes(16).toString('hex')
  return `00-${trace}-${randomBytes(8).toString('hex')}-00`
}

export function hasTooMuchBaggage({ headLength, view }: Exchange): boolean {
  if (headLength <= MAX_BAGGAGE_BYTES) return false
  return (view.requestHeader('baggage')?.length ?? 0) > MAX_BAGGAGE_BYTES
}
