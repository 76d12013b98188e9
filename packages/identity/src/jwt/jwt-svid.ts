/**
 * JWT-SVIDs (SPIFFE, JWT-SVID.md): who somebody is, as a bearer token for named audiences and a few
 * minutes. For where no TLS connection goes end to end.
 */
import { createPrivateKey, randomUUID } from 'node:crypto'
import { renderSpiffeId, type SpiffeId } from '@weft/model'
import { signCompact } from './compact-jws.ts'
import type { JwtKey } from './jwt-keys.ts'

export interface JwtSvidRequest {
  readonly id: SpiffeId
  /** At least one; the first is the one that is meant. */
  readonly audiences: readonly string[]
  /** Wall clock, milliseconds. */
  readonly nowMs: number
  readonly lifetimeMs: number
}

export interface JwtSvid {
  readonly id: string
  readonly token: string
  /** Wall clock, milliseconds; whole seconds. */
  readonly notAfterMs: number
}

/** It never outlives its key. */
export function signJwtSvid(key: JwtKey, request: JwtSvidRequest): JwtSvid {
  const { id, audiences, nowMs, lifetimeMs } = request
  const iat = Math.floor(nowMs / 1_000)
  const exp = Math.floor(Math.min(nowMs + lifetimeMs, key.notAfterMs) / 1_000)
  const sub = renderSpiffeId(id)
  const token = signCompact(
    { kid: key.keyId, typ: 'JWT' },
    { sub, aud: [...audiences], iat, exp, jti: randomUUID() },
    createPrivateKey(key.keyPem),
  )
  return { id: sub, token, notAfterMs: exp * 1_000 }
}
