/** A certificate from whoever signs under the root in force: the mesh's own CA, or the upstream one. */
import { X509Certificate } from 'node:crypto'
import { type CertificateAuthority, keyIdOf, readCertificate, writePem } from '@weft/identity'
import type { SpiffeId } from '@weft/model'
import { followRoots } from './upstream/follow-roots.ts'
import type { UpstreamCa } from './upstream/upstream-ca.ts'

export interface SignRequest {
  /** DER. */
  readonly csr: Uint8Array
  readonly id: SpiffeId
  /** `undefined`: as long as the policy says. */
  readonly lifetimeMs?: number
  /** Of control planes only. An upstream CA knows itself what names they have. */
  readonly dnsNames?: readonly string[]
}

export type Signed =
  | {
      readonly ok: true
      /** DER, the leaf first, without the root. */
      readonly chain: readonly Buffer[]
      /** The one that it leads to. */
      readonly rootPem: string
      readonly rootKeyId: string
      /** Hex. */
      readonly serialNumber: string
      /** Wall clock, milliseconds. */
      readonly notAfterMs: number
    }
  | {
      readonly ok: false
      readonly code: 'unavailable' | 'invalidArgument'
      readonly problem: string
    }

/** @param nowMs Wall clock. */
export async function signCertificate(
  ca: CertificateAuthority,
  upstream: UpstreamCa | undefined,
  asked: SignRequest,
  nowMs: number,
): Promise<Signed> {
  const isForwarded = upstream !== undefined && ca.signerNotAfterMs === undefined
  return isForwarded ? forwarded(ca, upstream, asked) : signedHere(ca, asked, nowMs)
}

function signedHere(
  ca: CertificateAuthority,
  { csr, id, lifetimeMs, dnsNames }: SignRequest,
  nowMs: number,
): Signed {
  const outcome = ca.issue(csr, id, lifetimeMs, dnsNames)
  if (!outcome.ok) {
    const isOurs = nowMs >= (ca.signerNotAfterMs ?? 0)
    return isOurs
      ? unavailable(outcome.problem)
      : { ok: false, code: 'invalidArgument', problem: `the CSR: ${outcome.problem}` }
  }
  const { svid, bundle } = outcome
  const { chain, serialNumber, notAfterMs } = svid
  const { pem: rootPem, keyId: rootKeyId } = bundle.active
  return { ok: true, chain, rootPem, rootKeyId, serialNumber, notAfterMs }
}

async function forwarded(
  ca: CertificateAuthority,
  upstream: UpstreamCa,
  { csr, id, lifetimeMs }: SignRequest,
): Promise<Signed> {
  const claimed = ca.claim(csr, id)
  if (!claimed.ok) {
    return { ok: false, code: 'invalidArgument', problem: `the CSR: ${claimed.problem}` }
  }
  const outcome = await upstream.sign(csr, claimed.request, id, lifetimeMs)
  if (!outcome.ok) return outcome
  const { signed } = outcome
  const problem = await followRoots(ca, signed)
  if (problem !== undefined) {
    return unavailable(`the upstream CA ${upstream.address}: ${problem}`)
  }
  const { chain, root, notAfterMs } = signed
  const [leaf = root] = chain
  return {
    ok: true,
    chain,
    rootPem: writePem('CERTIFICATE', root),
    rootKeyId: keyIdOf(readCertificate(root)),
    serialNumber: new X509Certificate(leaf).serialNumber.toLowerCase(),
    notAfterMs,
  }
}

function unavailable(problem: string): Signed {
  return { ok: false, code: 'unavailable', problem: `the CA is not available: ${problem}` }
}
