/** Sets of public keys (RFC 7517): text → keys that may verify tokens, each bound to its algorithms. */
import { createPublicKey, type KeyObject } from 'node:crypto'
import { parseStrictJson } from '@weft/base'

export interface VerificationKey {
  readonly kid: string | undefined
  /** JWS algorithms (RFC 7518) that this key, and no other kind of key, verifies. */
  readonly algorithms: readonly string[]
  readonly key: KeyObject
}

export interface KeySet {
  readonly keys: readonly VerificationKey[]
  /** What was left out, for people. */
  readonly problems: readonly string[]
}

const MAX_BYTES = 262_144
const MAX_KEYS = 100
const MAX_DEPTH = 16
const MIN_RSA_BITS = 2_048

const RSA = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512']
const CURVES: Readonly<Record<string, readonly string[]>> = {
  'P-256': ['ES256'],
  'P-384': ['ES384'],
  'P-521': ['ES512'],
  Ed25519: ['EdDSA', 'Ed25519'],
}

type Fields = Readonly<Record<string, unknown>>

/**
 * One bad key does not spoil the set: issuers publish kinds that nobody here has asked for.
 * @throws {Error} When the text is no key set at all, or holds no usable key.
 */
export function parseKeySet(text: string): KeySet {
  if (Buffer.byteLength(text) > MAX_BYTES) {
    throw new Error(`Cannot read key set: must have at most ${MAX_BYTES} bytes`)
  }
  const set = parse(text)
  if (!isFields(set) || !Array.isArray(set.keys)) {
    throw new Error('Cannot read key set: must be an object with a list of "keys"')
  }
  if (set.keys.length > MAX_KEYS) {
    throw new Error(
      `Cannot read key set: must have at most ${MAX_KEYS} keys, got ${set.keys.length}`,
    )
  }
  const keys: VerificationKey[] = []
  const problems: string[] = []
  for (const [i, jwk] of set.keys.entries()) {
    const read = readKey(jwk)
    if (typeof read === 'string') problems.push(`keys[${i}]: ${read}`)
    else keys.push(read)
  }
  if (keys.length > 0) return { keys, problems }
  const why = problems.length === 0 ? 'it is empty' : problems.join('; ')
  throw new Error(`Cannot read key set: no key can be used (${why})`)
}

function parse(text: string): unknown {
  try {
    return parseStrictJson(text, { maxDepth: MAX_DEPTH })
  } catch (cause) {
    const what = cause instanceof Error ? cause.message : String(cause)
    throw new Error(`Cannot read key set: ${what}`, { cause })
  }
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A text says why not. */
function readKey(jwk: unknown): VerificationKey | string {
  if (!isFields(jwk)) return 'is no object'
  const { kty, use, alg, kid, crv, key_ops: operations } = jwk
  if (kid !== undefined && typeof kid !== 'string') return 'its kid is no text'
  if (use !== undefined && use !== 'sig') return 'it is not for signatures'
  if (Array.isArray(operations) && !operations.includes('verify')) return 'it does not verify'
  // A shared secret among public keys would let everybody who sees the set sign.
  const fitting = kty === 'RSA' ? RSA : typeof crv === 'string' ? curveAlgorithms(kty, crv) : []
  if (fitting.length === 0)
    return `kind ${String(kty)} ${String(crv ?? '')} verifies no tokens here`
  if (alg !== undefined && !fitting.includes(String(alg))) return `its alg does not fit its kind`
  const algorithms = alg === undefined ? fitting : [String(alg)]
  const key = importKey(jwk)
  if (typeof key === 'string') return key
  return { kid, algorithms, key }
}

function curveAlgorithms(kty: unknown, crv: string): readonly string[] {
  const wanted = crv === 'Ed25519' ? 'OKP' : 'EC'
  return kty === wanted && Object.hasOwn(CURVES, crv) ? (CURVES[crv] ?? []) : []
}

const PUBLIC_PARTS = ['kty', 'crv', 'x', 'y', 'n', 'e']

function importKey(jwk: Fields): KeyObject | string {
  const isPublic = ([name]: readonly [string, unknown]) => PUBLIC_PARTS.includes(name)
  try {
    const parts = Object.fromEntries(Object.entries(jwk).filter(isPublic))
    const key = createPublicKey({ key: parts, format: 'jwk' })
    const bits = key.asymmetricKeyDetails?.modulusLength ?? MIN_RSA_BITS
    return bits >= MIN_RSA_BITS ? key : `its ${bits} bits are too few`
  } catch {
    return 'its numbers are no key'
  }
}
