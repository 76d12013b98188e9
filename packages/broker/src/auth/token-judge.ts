/**
 * Whose a bearer token is. Two kinds are known: JWT-SVIDs (SPIFFE, JWT-SVID.md), which name their
 * trust domain in `sub` and have no issuer, and tokens of issuers that the operator configured.
 * Whoever shows one has a place in the mesh afterwards: a namespace and a service account.
 */
import { parseSpiffeId, renderSpiffeId, serviceAccountId, serviceAccountOf } from '@weft/model'
import {
  hasKeyFor,
  isIssuerOf,
  parseJwt,
  tokenKey,
  tokenProblemText,
  type UnverifiedJwt,
  type VerificationKey,
  type VerifiedJwt,
  verifyJwt,
} from '@weft/traffic'
import type { Keys } from './key-feed.ts'

export interface TokenIssuer {
  /** Must equal `iss`; empty: any that is not missing. */
  readonly issuer: string
  readonly keys: Keys
  /** One of them must be in `aud`; empty: any. */
  readonly audiences: readonly string[]
  /** Tokens without `exp` are taken: Alibaba's broker gives out such. */
  readonly takesEndless: boolean
}

export interface TokenRules {
  readonly issuers: readonly TokenIssuer[]
  /** Keys of JWT-SVIDs by trust domain; absent: no control plane says. */
  readonly meshKeys?: (trustDomain: string) => readonly VerificationKey[]
  /** Resolves with the next news of them, or soon. */
  readonly meshNews?: () => Promise<void>
  /** Of JWT-SVIDs; one of them must be in `aud`. */
  readonly audiences: readonly string[]
  /** To which people of configured issuers belong. */
  readonly trustDomain: string
  /** Where a token does not say. */
  readonly namespace: string
  /** By how much clocks may differ, in milliseconds. */
  readonly clockSkewMs: number
  /** By `jti`, or by SHA-256 of the token in hex. */
  isRevoked(id: string): boolean
}

export type TokenJudgement =
  | {
      readonly ok: true
      readonly principal: string
      readonly claims: Readonly<Record<string, unknown>>
      /** Wall clock, milliseconds; `Infinity` for one that does not end. */
      readonly expiresAtMs: number
    }
  | { readonly ok: false; readonly problem: string }

const NO_END_MS = 3_600_000
/** No other one is of a JWT-SVID (JWT-SVID.md, § 2.1). */
const SVID_ALGORITHM = /^(RS|ES|PS)(256|384|512)$/

/** Says who shows a token, after its signature, times, audience and revocation were looked at. */
export async function judgeToken(
  text: string,
  rules: TokenRules,
  nowMs: number,
): Promise<TokenJudgement> {
  const parsed = parseJwt(text)
  if (!parsed.ok) return refused(tokenProblemText(parsed.problem))
  const { jwt } = parsed
  const id = tokenId(text, jwt)
  if (id.some((each) => rules.isRevoked(each))) return refused('Jwt is revoked')
  const issuers = rules.issuers.filter((each) => isIssuerOf(each, jwt))
  // An SVID may have an issuer, which says nothing.
  return issuers.length === 0
    ? judgeSvid(jwt, rules, nowMs)
    : judgeIssued(jwt, issuers, rules, nowMs)
}

function tokenId(text: string, { payload }: UnverifiedJwt): readonly string[] {
  const hash = Buffer.from(tokenKey(text), 'base64').toString('hex')
  return typeof payload.jti === 'string' ? [payload.jti, hash] : [hash]
}

async function judgeSvid(
  jwt: UnverifiedJwt,
  rules: TokenRules,
  nowMs: number,
): Promise<TokenJudgement> {
  const { sub } = jwt.payload
  const parsed = typeof sub === 'string' ? parseSpiffeId(sub) : undefined
  if (parsed?.ok !== true || rules.meshKeys === undefined) {
    return refused(tokenProblemText('issuer'))
  }
  if (!SVID_ALGORITHM.test(jwt.alg)) return refused(tokenProblemText('badAlgorithm'))
  const { trustDomain } = parsed.id
  // The first token of a mesh makes its key: the news of it may come a moment after the token.
  if (!hasKeyFor(jwt, rules.meshKeys(trustDomain))) await rules.meshNews?.()
  const keys = rules.meshKeys(trustDomain)
  // The trust domain stands in for the issuer: its keys are looked at and no others.
  const issuer = `spiffe://${trustDomain}`
  const provider = { issuer, audiences: rules.audiences, ...shared(rules) }
  const verified = verifyJwt({ ...jwt, issuer }, provider, keys, nowMs)
  if (!verified.ok) return refused(tokenProblemText(verified.problem))
  if (serviceAccountOf(parsed.id) === undefined) {
    return refused(`Jwt is of ${sub}, which is no service account`)
  }
  return accepted(renderSpiffeId(parsed.id), verified, verified.expiresAtMs)
}

async function judgeIssued(
  jwt: UnverifiedJwt,
  issuers: readonly TokenIssuer[],
  rules: TokenRules,
  nowMs: number,
): Promise<TokenJudgement> {
  let problem = tokenProblemText('issuer')
  for (const issuer of issuers) {
    if (!hasKeyFor(jwt, issuer.keys.keys)) await issuer.keys.renew()
    const isEndless = issuer.takesEndless && jwt.payload.exp === undefined
    const dated = isEndless
      ? { ...jwt, payload: { ...jwt.payload, exp: (nowMs + NO_END_MS) / 1_000 } }
      : jwt
    const verified = verifyJwt(dated, { ...issuer, ...shared(rules) }, issuer.keys.keys, nowMs)
    if (!verified.ok) {
      problem = tokenProblemText(verified.problem)
      continue
    }
    const principal = principalOf(jwt, rules)
    if (principal === undefined) {
      return refused('Jwt must have a sub (and namespace) of letters, digits, dots and dashes')
    }
    return accepted(
      principal,
      verified,
      isEndless ? Number.POSITIVE_INFINITY : verified.expiresAtMs,
    )
  }
  return refused(problem)
}

function shared({ clockSkewMs }: TokenRules) {
  return { clockSkewMs, spaceDelimitedClaims: [] }
}

function accepted(
  principal: string,
  { token }: Extract<VerifiedJwt, { readonly ok: true }>,
  expiresAtMs: number,
): TokenJudgement {
  return { ok: true, principal, claims: token.payload, expiresAtMs }
}

const KUBERNETES = /^system:serviceaccount:([^:]+):([^:]+)$/
/** A segment of a SPIFFE ID. */
const NAME = /^(?!\.\.?$)[A-Za-z0-9._-]{1,253}$/

/**
 * Where in the mesh an issuer's token stands. Kubernetes says both; others have the account in
 * `sub` and may have `namespace`. A SPIFFE ID counts where it is of our trust domain.
 */
function principalOf({ payload }: UnverifiedJwt, rules: TokenRules): string | undefined {
  const { sub, namespace = rules.namespace } = payload
  if (typeof sub !== 'string' || typeof namespace !== 'string') return undefined
  const parsed = parseSpiffeId(sub)
  if (parsed.ok) {
    const isOurs = parsed.id.trustDomain === rules.trustDomain
    return isOurs && serviceAccountOf(parsed.id) !== undefined ? sub : undefined
  }
  const [, inNamespace = namespace, account = sub] = KUBERNETES.exec(sub) ?? []
  if (!NAME.test(inNamespace) || !NAME.test(account)) return undefined
  return renderSpiffeId(serviceAccountId(rules.trustDomain, inNamespace, account))
}

function refused(problem: string): TokenJudgement {
  return { ok: false, problem }
}
