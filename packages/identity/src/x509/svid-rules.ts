/**
 * What a certificate must and must not say to be an X.509-SVID, or to sign some (X509-SVID
 * specification, sections 3 and 4). Who signed it is not looked at here.
 */
import { parseSpiffeId, type SpiffeId } from '@weft/model'
import type { Certificate } from './certificate.ts'

/** Bits of RFC 5280, section 4.2.1.3. */
export const KEY_USAGE = { digitalSignature: 1, keyCertSign: 32, cRLSign: 64 } as const
export const SERVER_AUTH = '1.3.6.1.5.5.7.3.1'
export const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'

export type CheckedLeaf =
  | { readonly ok: true; readonly id: SpiffeId }
  | { readonly ok: false; readonly problem: string }

/** Whether a certificate may stand for a workload. */
export function checkLeaf(certificate: Certificate): CheckedLeaf {
  const [uri, ...more] = certificate.uriNames
  if (uri === undefined) return refused('it has no URI name')
  if (more.length > 0) return refused('it has more than one URI name')
  const parsed = parseSpiffeId(uri)
  if (!parsed.ok) return refused(`its URI name is no SPIFFE ID: ${parsed.problem}`)
  if (parsed.id.path === '') return refused('its SPIFFE ID names a trust domain, not a workload')
  const problem = leafProblem(certificate)
  return problem === undefined ? { ok: true, id: parsed.id } : refused(problem)
}

function refused(problem: string): CheckedLeaf {
  return { ok: false, problem }
}

function leafProblem(certificate: Certificate): string | undefined {
  const { keyUsage, extendedKeyUsage } = certificate
  if (certificate.isCa) return 'it is a CA certificate'
  if (keyUsage === undefined) return 'it does not say what its key is for'
  if (!certificate.isKeyUsageCritical) return 'its key usage is not critical'
  if ((keyUsage & KEY_USAGE.digitalSignature) === 0) return 'its key may not sign handshakes'
  if ((keyUsage & KEY_USAGE.keyCertSign) !== 0) return 'its key may sign certificates'
  if ((keyUsage & KEY_USAGE.cRLSign) !== 0) return 'its key may sign revocation lists'
  if (certificate.hasEmptySubject && !certificate.areNamesCritical) {
    return 'its names are not critical although it has no subject'
  }
  const missing = [SERVER_AUTH, CLIENT_AUTH].some(
    (purpose) => extendedKeyUsage !== undefined && !extendedKeyUsage.includes(purpose),
  )
  return missing ? 'it is not for both servers and clients' : unknownCriticalProblem(certificate)
}

/**
 * Why a certificate may not sign SVIDs of a trust domain; `undefined` when it may.
 * @param signersBelow How many other signers stand between it and the leaf.
 */
export function signerProblem(
  certificate: Certificate,
  trustDomain: string,
  signersBelow: number,
): string | undefined {
  const { keyUsage, pathLength, uriNames, permittedUriHosts } = certificate
  if (!certificate.isCa) return 'it is no CA certificate'
  if (keyUsage === undefined || (keyUsage & KEY_USAGE.keyCertSign) === 0) {
    return 'its key may not sign certificates'
  }
  if (pathLength !== undefined && signersBelow > pathLength) {
    return `only ${pathLength} signers may follow it, and ${signersBelow} do`
  }
  if (uriNames.length > 1) return 'it has more than one URI name'
  const [uri] = uriNames
  if (uri !== undefined && uri !== `spiffe://${trustDomain}`) {
    return `it is of ${uri}, not of spiffe://${trustDomain}`
  }
  if (permittedUriHosts !== undefined && !permittedUriHosts.includes(trustDomain)) {
    return `it may sign for ${permittedUriHosts.join(', ')} only`
  }
  return unknownCriticalProblem(certificate)
}

function unknownCriticalProblem({ unknownCritical }: Certificate): string | undefined {
  const [oid] = unknownCritical
  return oid === undefined ? undefined : `it has the unknown critical extension ${oid}`
}
