/**
 * Who somebody is that calls the control plane, by what they can prove:
 *
 *     authorization: Bearer wjt_…   a join token: used up by this
 *                    Bearer wbt_…   the secret of this machine's user: any identity, named by them
 *                    Bearer wpp_…   "I have the key of this certificate": the identity in it, once
 *                    Bearer JWT     a Kubernetes service account, or whom an OIDC issuer vouches for
 *     client certificate            the identity that it has already (renewal)
 *
 * What a request for a certificate says of names is never believed (reliability §4.1).
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import {
  POSSESSION_PREFIX,
  type PossessionProofs,
  type Roots,
  type VerifiedSvid,
  verifySvid,
} from '@weft/identity'
import {
  parseSpiffeId,
  renderSpiffeId,
  type SpiffeId,
  serviceAccountId,
  serviceAccountOf,
} from '@weft/model'
import type { XdsPeer } from '@weft/xds'
import { JOIN_TOKEN_PREFIX, type JoinTokens } from './join-tokens.ts'
import type { TokenIssuers } from './token-issuers.ts'

type ProofKind = 'joinToken' | 'bootstrapToken' | 'jwt' | 'certificate' | 'possession'

export type Attested =
  | { readonly ok: true; readonly id: SpiffeId; readonly by: ProofKind }
  | {
      readonly ok: false
      readonly code: 'unauthenticated' | 'permissionDenied' | 'unavailable'
      readonly problem: string
    }

export interface AttestationDeps {
  readonly trustDomain: string
  readonly roots: () => Roots
  readonly wallMs: () => number
  readonly tokens: JoinTokens
  readonly issuers: TokenIssuers
  readonly proofs: PossessionProofs
  /** Absent: there is none. */
  readonly bootstrapToken: string | undefined
}

export const BOOTSTRAP_TOKEN_PREFIX = 'wbt_'
/** A proof of possession carries a chain of certificates. */
const BEARER = /^Bearer +([\x21-\x7e]{1,16384})$/i
const UNKNOWN =
  'say who you are: a Bearer token (join token, service account, OIDC) or a client certificate'

/** For a certificate or a token. May use up the proof. */
export async function attest(
  peer: XdsPeer,
  metadata: Readonly<Record<string, string>>,
  deps: AttestationDeps,
): Promise<Attested> {
  const token = bearerOf(peer)
  if (token === undefined) return byCertificate(peer, deps)
  if (token.startsWith(BOOTSTRAP_TOKEN_PREFIX)) return byOwner(token, peer, metadata, deps)
  if (token.startsWith(POSSESSION_PREFIX)) {
    const { trustDomain, roots, wallMs, proofs } = deps
    const judged = proofs.judge(token, trustDomain, roots(), wallMs())
    return ownIdentity(judged, 'possession', deps)
  }
  if (!token.startsWith(JOIN_TOKEN_PREFIX)) return byJwt(token, deps)
  const redeemed = await deps.tokens.redeem(token, metadata.NODE_ID)
  if (redeemed.ok) return accountOf(redeemed, 'joinToken', deps)
  return refused(redeemed.problem, redeemed.isOurFault ? 'unavailable' : 'unauthenticated')
}

/** For anything else: the proofs that are still there afterwards. */
export function identify(peer: XdsPeer, deps: AttestationDeps): Attested {
  const token = bearerOf(peer)
  if (peer.chain.length > 0 || token === undefined) return byCertificate(peer, deps)
  return byJwt(token, deps)
}

/** That of this machine's user, which no limit may lock out. */
export function isOwner(peer: XdsPeer, deps: AttestationDeps): boolean {
  const token = bearerOf(peer)
  return token !== undefined && isBootstrapToken(token, deps) && peer.isLocal
}

function bearerOf({ authorization }: XdsPeer): string | undefined {
  if (authorization === undefined) return undefined
  // A header that is none of ours proves nothing, and must not pass for an absent one.
  return BEARER.exec(authorization)?.[1] ?? ''
}

function refused(
  problem: string,
  code: 'unauthenticated' | 'permissionDenied' | 'unavailable' = 'unauthenticated',
): Attested {
  return { ok: false, code, problem }
}

function byCertificate({ chain }: XdsPeer, deps: AttestationDeps): Attested {
  if (chain.length === 0) return refused(UNKNOWN)
  return ownIdentity(verifySvid(chain, deps.roots(), deps.wallMs()), 'certificate', deps)
}

function ownIdentity(
  verified: VerifiedSvid,
  by: ProofKind,
  { trustDomain }: AttestationDeps,
): Attested {
  if (!verified.ok) return refused(`your certificate: ${verified.problem}`)
  const { id } = verified
  return id.trustDomain === trustDomain
    ? { ok: true, id, by }
    : refused(`your certificate is of another trust domain: ${renderSpiffeId(id)}`)
}

function byJwt(token: string, deps: AttestationDeps): Attested {
  const judged = deps.issuers.judge(token)
  return judged.ok ? accountOf(judged, 'jwt', deps) : refused(judged.problem)
}

function byOwner(
  token: string,
  peer: XdsPeer,
  metadata: Readonly<Record<string, string>>,
  deps: AttestationDeps,
): Attested {
  if (!isBootstrapToken(token, deps)) return refused('the bootstrap token is not that of this run')
  if (!peer.isLocal) return refused('the bootstrap token is for this machine', 'permissionDenied')
  const { NAMESPACE: namespace, SERVICE_ACCOUNT: serviceAccount } = metadata
  if (namespace === undefined || serviceAccount === undefined) {
    return refused('the metadata must have NAMESPACE and SERVICE_ACCOUNT', 'permissionDenied')
  }
  return accountOf({ namespace, serviceAccount }, 'bootstrapToken', deps)
}

function isBootstrapToken(token: string, { bootstrapToken }: AttestationDeps): boolean {
  if (bootstrapToken === undefined) return false
  const hash = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(hash(token), hash(bootstrapToken))
}

function accountOf(
  account: { readonly namespace: string; readonly serviceAccount: string },
  by: ProofKind,
  { trustDomain }: AttestationDeps,
): Attested {
  const { namespace, serviceAccount } = account
  const id = serviceAccountId(trustDomain, namespace, serviceAccount)
  const named = serviceAccountOf(id)
  const isOne =
    parseSpiffeId(renderSpiffeId(id)).ok &&
    named?.namespace === namespace &&
    named.serviceAccount === serviceAccount
  if (isOne) return { ok: true, id, by }
  return refused('namespace and service account are no names', 'permissionDenied')
}
