/**
 * Whether somebody trusted says that a peer is who it claims (X509-SVID specification, section 5):
 *
 *     leaf ──signed by──► signers that came along ──► a root of the leaf's own trust domain
 *
 * A root vouches for its own trust domain only: with federation, a foreign CA cannot name anybody
 * here (R42).
 */
import { X509Certificate } from 'node:crypto'
import { renderSpiffeId, type SpiffeId } from '@weft/model'
import { type Certificate, readCertificate } from './certificate.ts'
import { checkLeaf, signerProblem } from './svid-rules.ts'

/** Roots (DER) by trust domain. */
export type Roots = ReadonlyMap<string, readonly Uint8Array[]>

export type VerifiedSvid =
  | { readonly ok: true; readonly id: SpiffeId; readonly notAfterMs: number }
  | { readonly ok: false; readonly problem: string }

/** A longer chain is an attack or a mistake. */
const MAX_SIGNERS = 8
/** Signers that signed each other in circles could keep us busy for long otherwise. */
const MAX_SIGNATURES = 64

/**
 * @param chain DER, the leaf first; signers in any order.
 * @param nowMs Wall clock.
 */
export function verifySvid(
  chain: readonly Uint8Array[],
  roots: Roots,
  nowMs: number,
): VerifiedSvid {
  try {
    return verify(chain.slice(0, MAX_SIGNERS + 1).map(readCertificate), roots, nowMs)
  } catch (error) {
    // What a peer sends may be anything.
    return refused(error instanceof Error ? error.message : String(error))
  }
}

function verify(chain: readonly Certificate[], roots: Roots, nowMs: number): VerifiedSvid {
  const [leaf, ...signers] = chain
  if (leaf === undefined) return refused('there is no certificate')
  const checked = checkLeaf(leaf)
  if (!checked.ok) return checked
  const { id } = checked
  const own = roots.get(id.trustDomain)
  if (own === undefined || own.length === 0) {
    return refused(`nobody is trusted to vouch for spiffe://${id.trustDomain}`)
  }
  const untimely = validityProblem(leaf, nowMs)
  if (untimely !== undefined) return refused(untimely)
  const search: Search = {
    trustDomain: id.trustDomain,
    roots: own.map(readCertificate),
    nowMs,
    signaturesLeft: MAX_SIGNATURES,
    problem: undefined,
  }
  if (leadsToRoot(leaf, signers, 0, search)) return { ok: true, id, notAfterMs: leaf.notAfterMs }
  return refused(`${renderSpiffeId(id)}: ${search.problem ?? 'no trusted root signed it'}`)
}

function refused(problem: string): VerifiedSvid {
  return { ok: false, problem }
}

interface Search {
  readonly trustDomain: string
  readonly roots: readonly Certificate[]
  readonly nowMs: number
  signaturesLeft: number
  /** What stood in the way last, for a person. */
  problem: string | undefined
}

/** @param depth Signers between the certificate and the leaf, itself included. */
function leadsToRoot(
  certificate: Certificate,
  signers: readonly Certificate[],
  depth: number,
  search: Search,
): boolean {
  if (search.roots.some((root) => isSignedBy(certificate, root, depth, search))) return true
  return signers.some((signer) => {
    const rest = signers.filter((other) => other !== signer)
    return (
      isSignedBy(certificate, signer, depth, search) && leadsToRoot(signer, rest, depth + 1, search)
    )
  })
}

function isSignedBy(
  certificate: Certificate,
  signer: Certificate,
  depth: number,
  search: Search,
): boolean {
  if (!certificate.issuer.equals(signer.subject)) return false
  const { authorityKeyId } = certificate
  if (authorityKeyId !== undefined && signer.subjectKeyId !== undefined) {
    if (authorityKeyId !== signer.subjectKeyId) return false
  }
  const problem =
    signerProblem(signer, search.trustDomain, depth) ?? validityProblem(signer, search.nowMs)
  if (problem !== undefined) {
    search.problem = `its signer cannot be used: ${problem}`
    return false
  }
  if (search.signaturesLeft-- <= 0) return false
  const key = new X509Certificate(signer.der).publicKey
  if (new X509Certificate(certificate.der).verify(key)) return true
  search.problem = 'its signature is wrong'
  return false
}

function validityProblem(certificate: Certificate, nowMs: number): string | undefined {
  const { notBeforeMs, notAfterMs } = certificate
  if (nowMs < notBeforeMs) return `it is not valid before ${new Date(notBeforeMs).toISOString()}`
  if (nowMs > notAfterMs) return `it expired at ${new Date(notAfterMs).toISOString()}`
  return undefined
}
