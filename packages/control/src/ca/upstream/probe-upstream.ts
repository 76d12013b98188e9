/** A certificate of the control plane's own that is thrown away: to learn what an upstream CA signs under. */
import { generateKeyPairSync } from 'node:crypto'
import { createCertificateRequest, readCertificateRequest } from '@weft/identity'
import { controlPlaneId } from '../server-identity.ts'
import type { UpstreamCa, UpstreamOutcome } from './upstream-ca.ts'

export async function probeUpstream(
  upstream: UpstreamCa,
  trustDomain: string,
): Promise<UpstreamOutcome> {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const csr = createCertificateRequest(privateKey)
  const read = readCertificateRequest(csr)
  if (!read.ok) throw new Error(`Cannot happen: ${read.problem}`)
  return upstream.sign(csr, read.request, controlPlaneId(trustDomain), undefined)
}
