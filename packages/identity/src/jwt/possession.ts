/**
 * "I have the key of this certificate", as a token: an X.509-SVID proves who asks also where no TLS
 * goes from end to end, on a Unix socket or on loopback. Good for a minute, for one control plane's
 * trust domain, and once.
 *
 *     header   alg ES256, typ weft-possession+jwt, x5c: the leaf first, without the root
 *     payload  aud: spiffe://<trust domain>, iat, exp, jti
 */
import { createPrivateKey, randomUUID, verify, X509Certificate } from 'node:crypto'
import { readPem } from '../x509/pem.ts'
import { type Roots, type VerifiedSvid, verifySvid } from '../x509/verify-svid.ts'
import { signCompact } from './compact-jws.ts'

/** In front of the token, where others may stand, too. */
export const POSSESSION_PREFIX = 'wpp_'
const TYPE = 'weft-possession+jwt'
const LIFE_S = 60
/** Clocks of two machines differ. */
const SKEW_S = 60
const MAX_LENGTH = 16_384
const MAX_CHAIN = 8
const MAX_SEEN = 100_000

export interface HeldCertificate {
  readonly chainPem: string
  /** P-256. */
  readonly keyPem: string
}

/** @param nowMs Wall clock. */
export function provePossession(
  { chainPem, keyPem }: HeldCertificate,
  trustDomain: string,
  nowMs: number,
): string {
  const iat = Math.floor(nowMs / 1_000)
  const x5c = readPem(chainPem, 'CERTIFICATE').map((der) => der.toString('base64'))
  const payload = { aud: `spiffe://${trustDomain}`, iat, exp: iat + LIFE_S, jti: randomUUID() }
  const key = createPrivateKey(keyPem)
  return `${POSSESSION_PREFIX}${signCompact({ typ: TYPE, x5c }, payload, key)}`
}

interface Read {
  readonly chain: readonly Buffer[]
  readonly signed: string
  readonly signature: Buffer
  readonly aud: unknown
  readonly iat: number
  readonly exp: number
  readonly jti: string
}

/** Judges proofs, and remembers those that were used. */
export class PossessionProofs {
  /** `jti` → until when it could be shown again, seconds; in the order of their coming. */
  readonly #seen = new Map<string, number>()

  /** @param nowMs Wall clock. */
  judge(text: string, trustDomain: string, roots: Roots, nowMs: number): VerifiedSvid {
    const read = parse(text)
    if (read === undefined) return refused('it is no proof of possession')
    const nowS = nowMs / 1_000
    if (read.aud !== `spiffe://${trustDomain}`) return refused('it is for another trust domain')
    const isTimely =
      read.iat <= nowS + SKEW_S && nowS < read.exp + SKEW_S && read.exp - read.iat <= LIFE_S
    if (!isTimely) return refused('it is not of this moment; compare the clocks')
    const verified = verifySvid(read.chain, roots, nowMs)
    if (!verified.ok) return verified
    if (!isSigned(read)) return refused('its signature is not of the certificate in it')
    if (!this.#take(read.jti, read.exp + SKEW_S, nowS)) return refused('it was used before')
    return verified
  }

  #take(jti: string, untilS: number, nowS: number): boolean {
    for (const [old, endsS] of this.#seen) {
      if (endsS > nowS && this.#seen.size < MAX_SEEN) break
      this.#seen.delete(old)
    }
    if (this.#seen.has(jti)) return false
    this.#seen.set(jti, untilS)
    return true
  }
}

function refused(problem: string): VerifiedSvid {
  return { ok: false, problem }
}

function parse(text: string): Read | undefined {
  if (!text.startsWith(POSSESSION_PREFIX) || text.length > MAX_LENGTH) return undefined
  const [head = '', body = '', tail = '', ...more] = text.slice(POSSESSION_PREFIX.length).split('.')
  const header = readObject(head)
  const payload = readObject(body)
  if (more.length > 0 || header?.alg !== 'ES256' || header.typ !== TYPE) return undefined
  const { x5c } = header
  const { aud, iat, exp, jti } = payload ?? {}
  const isWhole =
    Array.isArray(x5c) &&
    x5c.length > 0 &&
    x5c.length <= MAX_CHAIN &&
    x5c.every((one) => typeof one === 'string') &&
    Number.isSafeInteger(iat) &&
    Number.isSafeInteger(exp) &&
    typeof jti === 'string' &&
    jti.length <= 64
  if (!isWhole) return undefined
  return {
    chain: x5c.map((one: string) => Buffer.from(one, 'base64')),
    signed: `${head}.${body}`,
    signature: Buffer.from(tail, 'base64url'),
    aud,
    iat: iat as number,
    exp: exp as number,
    jti,
  }
}

function isSigned({ chain: [leaf = Buffer.alloc(0)], signed, signature }: Read): boolean {
  const { publicKey } = new X509Certificate(leaf)
  if (publicKey.asymmetricKeyDetails?.namedCurve !== 'prime256v1') return false
  return verify(
    'sha256',
    Buffer.from(signed),
    { key: publicKey, dsaEncoding: 'ieee-p1363' },
    signature,
  )
}

function readObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'))
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Readonly<Record<string, unknown>>)
      : undefined
  } catch {
    return undefined
  }
}
