/**
 * The keys that sign JWT-SVIDs, as plain data: each is told to everybody before it signs, and is told
 * on until the last token that it signed has ended.
 *
 *     made ──► in the bundle ──► signs ──► signs no more ──► out of the bundle
 *          0             announceMs    half of its life     its life, over the longest token
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, randomUUID } from 'node:crypto'
import type { JsonWebKey } from './json-web-key.ts'

/** Holds a private key. All times are of the wall clock, milliseconds. */
export interface JwtKey {
  readonly keyId: string
  /** PKCS #8. */
  readonly keyPem: string
  readonly madeAtMs: number
  readonly signsFromMs: number
  readonly notAfterMs: number
}

export interface JwtPolicy {
  /** Of tokens when nobody asks for another, milliseconds. */
  readonly tokenMs: number
  /** The longest that may be asked for. */
  readonly maxTokenMs: number
  /** From a key's making until nobody believes it any more. */
  readonly keyMs: number
  /** How long everybody has heard of a key before it signs. */
  readonly announceMs: number
}

export const DEFAULT_JWT_POLICY: JwtPolicy = {
  tokenMs: 300_000,
  maxTokenMs: 3_600_000,
  keyMs: 86_400_000,
  announceMs: 600_000,
}

/** The same list when nothing has to change. */
export function freshJwtKeys(
  keys: readonly JwtKey[],
  nowMs: number,
  policy: JwtPolicy,
): readonly JwtKey[] {
  const living = keys.filter(({ notAfterMs }) => nowMs < notAfterMs)
  const newest = living.at(-1)
  const isDue = newest === undefined || nowMs >= newest.madeAtMs + policy.keyMs / 2
  if (!isDue) return living.length === keys.length ? keys : living
  // The first one is not in anybody's way: there is no token without it.
  const announceMs = newest === undefined ? 0 : policy.announceMs
  return [...living, makeKey(nowMs, announceMs, policy.keyMs)]
}

/** The newest that may sign a token of this life; `undefined`: none may. */
export function signingKey(keys: readonly JwtKey[], nowMs: number): JwtKey | undefined {
  return keys.findLast(({ signsFromMs, notAfterMs }) => signsFromMs <= nowMs && nowMs < notAfterMs)
}

/** As the bundle has it, without `use`. */
export function publicJwk({ keyPem, keyId }: JwtKey): JsonWebKey {
  const { kty, crv, x, y } = createPublicKey(createPrivateKey(keyPem)).export({ format: 'jwk' })
  return { kty: String(kty), crv: String(crv), x: String(x), y: String(y), kid: keyId }
}

function makeKey(nowMs: number, announceMs: number, keyMs: number): JwtKey {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return {
    keyId: randomUUID(),
    keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    madeAtMs: nowMs,
    signsFromMs: nowMs + announceMs,
    notAfterMs: nowMs + keyMs,
  }
}
