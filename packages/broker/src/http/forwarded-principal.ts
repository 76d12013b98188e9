/** Who calls, as a sidecar says it in `x-forwarded-client-cert`: the last element is its own. */
import type { IncomingHttpHeaders } from 'node:http'

/** Commas within quotes separate nothing. */
const ELEMENT = /(?:"(?:[^"\\]|\\.)*"|[^",])+/g
const PART = /(?:"(?:[^"\\]|\\.)*"|[^";])+/g

/** The SPIFFE ID; undefined: the caller showed no certificate. To be asked of a sidecar's word only. */
export function callerByCertificate(headers: IncomingHttpHeaders): string | undefined {
  const value = headers['x-forwarded-client-cert']
  const text = typeof value === 'string' ? value : value?.at(-1)
  const element = text?.match(ELEMENT)?.at(-1)
  for (const part of element?.match(PART) ?? []) {
    const found = /^\s*URI=(spiffe:\/\/[^\s]+)$/i.exec(part)
    if (found !== null) return found[1]
  }
  return undefined
}
