/**
 * A trust domain's bundle as SPIFFE passes it around (SPIFFE_Trust_Domain_and_Bundle.md, §4): a JWK
 * set with what verifies X.509-SVIDs and JWT-SVIDs, a number that only grows, and how soon to look
 * again.
 */
import { X509Certificate } from 'node:crypto'
import type { JsonWebKey } from '../jwt/json-web-key.ts'

export interface SpiffeBundle {
  readonly trustDomain: string
  /** DER. */
  readonly roots: readonly Buffer[]
  /** Public; each has a `kid`. */
  readonly jwtKeys: readonly JsonWebKey[]
  /** Absent: its publisher counts none. */
  readonly sequence?: number
  /** Absent: the publisher says nothing. */
  readonly refreshHintMs?: number
}

type ReadBundle =
  | { readonly ok: true; readonly bundle: SpiffeBundle }
  | { readonly ok: false; readonly problem: string }

const MAX_BYTES = 1_048_576
const MAX_KEYS = 200
const X509 = 'x509-svid'
const JWT = 'jwt-svid'

export function renderSpiffeBundle(bundle: SpiffeBundle): string {
  const { roots, jwtKeys, sequence, refreshHintMs } = bundle
  return JSON.stringify({
    keys: [
      ...roots.map((der) => ({ use: X509, ...keyOf(der), x5c: [der.toString('base64')] })),
      ...jwtKeys.map(({ use: _use, ...key }) => ({ use: JWT, ...key })),
    ],
    ...(sequence === undefined ? {} : { spiffe_sequence: sequence }),
    ...(refreshHintMs === undefined
      ? {}
      : { spiffe_refresh_hint: Math.max(1, Math.round(refreshHintMs / 1_000)) }),
  })
}

/** The set of the keys for JWT-SVIDs alone, as the Workload API hands it out. */
export function renderJwtKeySet({ jwtKeys }: SpiffeBundle): string {
  return JSON.stringify({ keys: jwtKeys.map((key) => ({ use: JWT, ...key })) })
}

/**
 * Keys of an unknown use are passed over, as the specification asks; one of a known use that cannot
 * be read spoils the bundle: half of it would refuse half of the peers.
 */
export function readSpiffeBundle(trustDomain: string, text: string): ReadBundle {
  if (Buffer.byteLength(text) > MAX_BYTES) return refused(`has more than ${MAX_BYTES} bytes`)
  const set = parse(text)
  if (set === undefined) return refused('is no JSON object')
  const { keys, spiffe_sequence: sequence, spiffe_refresh_hint: hint } = set
  if (!Array.isArray(keys)) return refused('has no list of "keys"')
  if (keys.length > MAX_KEYS) return refused(`has more than ${MAX_KEYS} keys`)
  if (sequence !== undefined && !isCount(sequence)) return refused('spiffe_sequence is no count')
  if (hint !== undefined && !isCount(hint)) return refused('spiffe_refresh_hint is no count')
  const roots: Buffer[] = []
  const jwtKeys: JsonWebKey[] = []
  for (const [index, key] of (keys as readonly unknown[]).entries()) {
    const problem = takeKey(key, roots, jwtKeys)
    if (problem !== undefined) return refused(`keys[${index}] ${problem}`)
  }
  return {
    ok: true,
    bundle: {
      trustDomain,
      roots,
      jwtKeys,
      ...(sequence === undefined ? {} : { sequence }),
      ...(hint === undefined ? {} : { refreshHintMs: hint * 1_000 }),
    },
  }
}

function takeKey(key: unknown, roots: Buffer[], jwtKeys: JsonWebKey[]): string | undefined {
  if (!isFields(key)) return 'is no object'
  const { use, x5c, kid, kty } = key
  if (use === X509) {
    const [encoded, ...more] = Array.isArray(x5c) ? x5c : []
    if (typeof encoded !== 'string' || more.length > 0) return 'must have one certificate in x5c'
    const root = certificateOf(encoded)
    if (root === undefined) return 'x5c holds no certificate'
    roots.push(root)
  } else if (use === JWT) {
    if (typeof kid !== 'string' || kid === '') return 'must have a kid'
    if (typeof kty !== 'string' || 'd' in key || 'k' in key) return 'must be a public key'
    jwtKeys.push(key)
  }
  return undefined
}

function certificateOf(encoded: string): Buffer | undefined {
  try {
    const { raw } = new X509Certificate(Buffer.from(encoded, 'base64'))
    return raw
  } catch {
    return undefined
  }
}

/** The fields of the certificate's key. Certificates of other kinds of key have none here. */
function keyOf(der: Buffer): JsonWebKey {
  try {
    return { ...new X509Certificate(der).publicKey.export({ format: 'jwk' }) }
  } catch {
    return {}
  }
}

function refused(problem: string): ReadBundle {
  return { ok: false, problem: `the bundle ${problem}` }
}

function parse(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isFields(value) ? value : undefined
  } catch {
    return undefined
  }
}

function isFields(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}
