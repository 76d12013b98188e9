/**
 * What an upstream CA may answer: a certificate for the key and the identity that it was asked for,
 * which leads to a root that it tells. Whatever else comes is refused: it would be somebody else.
 */
import {
  type Certificate,
  type CertificateRequest,
  readCertificate,
  readPem,
  verifySvid,
} from '@weft/identity'
import { renderSpiffeId, type SpiffeId } from '@weft/model'

export interface SignedUpstream {
  /** DER: the leaf first, then its signers below the root. */
  readonly chain: readonly Buffer[]
  /** DER: the one that the leaf leads to. */
  readonly root: Buffer
  /** DER: all that were told. */
  readonly roots: readonly Buffer[]
  /** Wall clock, milliseconds. */
  readonly notAfterMs: number
}

export type ReadAnswer =
  | { readonly ok: true; readonly signed: SignedUpstream }
  | { readonly ok: false; readonly problem: string }

/** @param chainPem As it came: the leaf first, the root or roots last. */
export function readUpstreamAnswer(
  chainPem: readonly string[],
  request: CertificateRequest,
  id: SpiffeId,
  nowMs: number,
): ReadAnswer {
  let certificates: readonly Buffer[]
  let leaf: Certificate | undefined
  let roots: readonly Buffer[]
  try {
    certificates = readPem(chainPem.join('\n'), 'CERTIFICATE')
    const [first, ...above] = certificates
    leaf = first === undefined ? undefined : readCertificate(first)
    roots = rootsAmong(above)
  } catch {
    return refused('the chain cannot be read')
  }
  if (leaf === undefined) return refused('there is no certificate in it')
  if (!leaf.publicKey.equals(request.publicKey)) {
    return refused('the certificate is for another key than was asked for')
  }
  const chain = certificates.filter((der) => !roots.includes(der))
  let problem = 'it tells no root'
  for (const root of roots) {
    const verified = verifySvid(chain, new Map([[id.trustDomain, [root]]]), nowMs)
    if (verified.ok) {
      const [asked, got] = [renderSpiffeId(id), renderSpiffeId(verified.id)]
      if (asked !== got) {
        return refused(
          `the certificate is of ${got}, not of ${asked}: the upstream CA must let us ask for others`,
        )
      }
      const { notAfterMs } = verified
      return { ok: true, signed: { chain, root, roots, notAfterMs } }
    }
    problem = verified.problem
  }
  return refused(problem)
}

/** Those that signed themselves; without any the last one, which is what is to be trusted. */
function rootsAmong(above: readonly Buffer[]): readonly Buffer[] {
  const roots = above.filter((der) => {
    const { isCa, subject, issuer } = readCertificate(der)
    return isCa && subject.equals(issuer)
  })
  return roots.length > 0 ? roots : above.slice(-1)
}

function refused(problem: string): ReadAnswer {
  return { ok: false, problem }
}
