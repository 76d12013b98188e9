/**
 * JSON Web Tokens in the compact form (RFC 7515, 7519, by the advice of RFC 8725): what a token
 * says of itself is believed after its signature only, and how it is verified is said by the key,
 * never by the token.
 */
import { constants, createHash, type KeyObject, verify } from 'node:crypto'
import { parseStrictJson } from '@weft/base'
import type { JwtProvider } from '@weft/model'
import type { VerifiedToken } from '../authz/caller.ts'
import type { VerificationKey } from './json-web-keys.ts'

/** Envoy's words where it has them. */
const PROBLEMS = {
  malformed: 'Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections',
  tooLong: 'Jwt is too long',
  badHeader: 'Jwt header is an invalid JSON or has a field that is not accepted',
  badPayload: 'Jwt payload is an invalid JSON',
  badAlgorithm: 'Jwt header [alg] is not supported',
  issuer: 'Jwt issuer is not configured',
  audience: 'Audiences in Jwt are not allowed',
  noExpiry: 'Jwt has no expiration time',
  expired: 'Jwt is expired',
  notYet: 'Jwt not yet valid',
  noKey: "Jwks doesn't have key to match kid or alg from Jwt",
  signature: 'Jwt verification fails',
} as const

export type TokenProblem = keyof typeof PROBLEMS

export type VerifiedJwt =
  | {
      readonly ok: true
      readonly token: VerifiedToken
      /** As sent, base64url. */
      readonly payloadText: string
      /** Until when this answer holds, wall clock, milliseconds. */
      readonly expiresAtMs: number
    }
  | { readonly ok: false; readonly problem: TokenProblem }

export interface UnverifiedJwt {
  readonly alg: string
  readonly kid: string | undefined
  /** Not to be believed yet; it says which provider to ask. */
  readonly issuer: string | undefined
  readonly payload: Readonly<Record<string, unknown>>
  readonly payloadText: string
  readonly signed: Buffer
  readonly signature: Buffer
}

export type ParsedJwt =
  | { readonly ok: true; readonly jwt: UnverifiedJwt }
  | { readonly ok: false; readonly problem: TokenProblem }

const MAX_LENGTH = 8_192
const MAX_DEPTH = 32
/** Keys without a name all have to be tried; a set full of them must not make us work for a forger. */
const MAX_TRIES = 10
const BASE64URL = /^[A-Za-z0-9_-]*$/
/** Ways of a token to say by which key it wants to be verified, and things nobody understands. */
const REFUSED_FIELDS = ['jku', 'jwk', 'x5u', 'x5c', 'crit', 'b64', 'zip', 'enc']

export function tokenProblemText(problem: TokenProblem): string {
  return PROBLEMS[problem]
}

export function parseJwt(text: string): ParsedJwt {
  if (text.length > MAX_LENGTH) return refused('tooLong')
  const [head = '', body = '', tail = '', ...more] = text.split('.')
  if (more.length > 0 || head === '' || body === '' || tail === '') return refused('malformed')
  const signature = decode(tail)
  if (signature === undefined) return refused('malformed')
  const header = readObject(head)
  if (header === undefined) return refused('badHeader')
  if (REFUSED_FIELDS.some((name) => Object.hasOwn(header, name))) return refused('badHeader')
  const { alg, kid } = header
  if (typeof alg !== 'string' || (kid !== undefined && typeof kid !== 'string')) {
    return refused('badHeader')
  }
  if (!Object.hasOwn(ALGORITHMS, alg)) return refused('badAlgorithm')
  const payload = readObject(body)
  if (payload === undefined) return refused('badPayload')
  const issuer = typeof payload.iss === 'string' ? payload.iss : undefined
  const signed = Buffer.from(text.slice(0, head.length + 1 + body.length), 'latin1')
  return { ok: true, jwt: { alg, kid, issuer, payload, payloadText: body, signed, signature } }
}

function refused(problem: TokenProblem): { readonly ok: false; readonly problem: TokenProblem } {
  return { ok: false, problem }
}

/** Base64url in its one canonical form: a second spelling would be a second token. */
function decode(text: string): Buffer | undefined {
  if (!BASE64URL.test(text)) return undefined
  const bytes = Buffer.from(text, 'base64url')
  return bytes.toString('base64url') === text ? bytes : undefined
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function readObject(text: string): Readonly<Record<string, unknown>> | undefined {
  const bytes = decode(text)
  if (bytes === undefined) return undefined
  try {
    const value = parseStrictJson(utf8.decode(bytes), { maxDepth: MAX_DEPTH })
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
    return isObject ? (value as Readonly<Record<string, unknown>>) : undefined
  } catch {
    return undefined
  }
}

/**
 * @param keys The provider's.
 * @param nowMs Wall clock.
 */
export function verifyJwt(
  jwt: UnverifiedJwt,
  provider: Pick<JwtProvider, 'issuer' | 'audiences' | 'clockSkewMs' | 'spaceDelimitedClaims'>,
  keys: readonly VerificationKey[],
  nowMs: number,
): VerifiedJwt {
  if (!isIssuerOf(provider, jwt)) return refused('issuer')
  const fitting = fittingKeys(jwt, keys)
  if (fitting.length === 0) return refused('noKey')
  if (!fitting.some(({ key }) => isSignedBy(jwt, key))) return refused('signature')
  const untimely = timeProblem(jwt.payload, provider.clockSkewMs, nowMs)
  if (untimely !== undefined) return refused(untimely)
  const { audiences } = provider
  const named = textsOf(jwt.payload.aud)
  if (audiences.length > 0 && !audiences.some((audience) => named.includes(audience))) {
    return refused('audience')
  }
  const payload = withLists(jwt.payload, provider.spaceDelimitedClaims)
  return {
    ok: true,
    token: { issuer: jwt.issuer ?? '', payload },
    payloadText: jwt.payloadText,
    expiresAtMs: Number(jwt.payload.exp) * 1_000 + provider.clockSkewMs,
  }
}

/** A provider without an issuer takes everybody's tokens that its keys verify; each must name one. */
export function isIssuerOf(
  { issuer }: Pick<JwtProvider, 'issuer'>,
  jwt: Pick<UnverifiedJwt, 'issuer'>,
): boolean {
  return issuer === '' ? jwt.issuer !== undefined : jwt.issuer === issuer
}

/** Whether a key of the set is meant; when not, the set may be older than the token. */
export function hasKeyFor(jwt: UnverifiedJwt, keys: readonly VerificationKey[]): boolean {
  return fittingKeys(jwt, keys).length > 0
}

function fittingKeys({ alg, kid }: UnverifiedJwt, keys: readonly VerificationKey[]) {
  const isMeant = (key: VerificationKey) =>
    key.algorithms.includes(alg) && (kid === undefined || key.kid === undefined || key.kid === kid)
  return keys.filter(isMeant).slice(0, MAX_TRIES)
}

interface SignatureScheme {
  readonly hash: string | null
  readonly padding?: number
  readonly isEcdsa?: boolean
}

const { RSA_PKCS1_PSS_PADDING: PSS } = constants
const ALGORITHMS: Readonly<Record<string, SignatureScheme>> = {
  RS256: { hash: 'sha256' },
  RS384: { hash: 'sha384' },
  RS512: { hash: 'sha512' },
  PS256: { hash: 'sha256', padding: PSS },
  PS384: { hash: 'sha384', padding: PSS },
  PS512: { hash: 'sha512', padding: PSS },
  ES256: { hash: 'sha256', isEcdsa: true },
  ES384: { hash: 'sha384', isEcdsa: true },
  ES512: { hash: 'sha512', isEcdsa: true },
  EdDSA: { hash: null },
  Ed25519: { hash: null },
}

function isSignedBy({ alg, signed, signature }: UnverifiedJwt, key: KeyObject): boolean {
  const scheme = ALGORITHMS[alg]
  if (scheme === undefined) return false
  const { hash, padding, isEcdsa = false } = scheme
  const options = {
    key,
    ...(padding === undefined ? {} : { padding, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }),
    // JOSE writes r and s side by side; DER in their place is a second spelling.
    ...(isEcdsa ? { dsaEncoding: 'ieee-p1363' as const } : {}),
  }
  return verify(hash, signed, options, signature)
}

function timeProblem(
  { exp, nbf }: Readonly<Record<string, unknown>>,
  skewMs: number,
  nowMs: number,
): TokenProblem | undefined {
  if (!isTime(exp)) return 'noExpiry'
  if (nowMs >= exp * 1_000 + skewMs) return 'expired'
  if (nbf === undefined) return undefined
  return isTime(nbf) && nowMs >= nbf * 1_000 - skewMs ? undefined : 'notYet'
}

/** NumericDate (RFC 7519, section 2): seconds. */
function isTime(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0
}

function textsOf(value: unknown): readonly string[] {
  const values = Array.isArray(value) ? value : [value]
  return values.filter((each) => typeof each === 'string')
}

function withLists(
  payload: Readonly<Record<string, unknown>>,
  names: readonly string[],
): Readonly<Record<string, unknown>> {
  const lists = names.flatMap((name) => {
    const value = Object.hasOwn(payload, name) ? payload[name] : undefined
    return typeof value === 'string' ? [[name, value.split(' ').filter(Boolean)] as const] : []
  })
  return lists.length === 0 ? payload : { ...payload, ...Object.fromEntries(lists) }
}

/** Under which an answer may be remembered: the whole token, not what it says of itself (R64). */
export function tokenKey(text: string): string {
  return createHash('sha256').update(text).digest('base64')
}
