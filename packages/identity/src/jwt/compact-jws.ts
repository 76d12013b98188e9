/** JWS in compact form (RFC 7515), signed with ES256: what this package writes, and nothing else. */
import { type KeyObject, sign } from 'node:crypto'

export type JsonFields = Readonly<Record<string, unknown>>

/** @param key P-256. */
export function signCompact(header: JsonFields, payload: JsonFields, key: KeyObject): string {
  const signed = `${encode({ alg: 'ES256', ...header })}.${encode(payload)}`
  const signature = sign('sha256', Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363' })
  return `${signed}.${signature.toString('base64url')}`
}

function encode(fields: JsonFields): string {
  return Buffer.from(JSON.stringify(fields)).toString('base64url')
}
