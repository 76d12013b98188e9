/** The control plane's own certificate, for the xDS port: from its own CA, renewed like any other. */
import { generateKeyPairSync } from 'node:crypto'
import { createCertificateRequest, renewAtMs, writePem } from '@weft/identity'
import { type SpiffeId, serviceAccountId, serviceAccountOf } from '@weft/model'
import type { XdsTls } from '@weft/xds'
import type { Signed, SignRequest } from './sign.ts'

/** Istio's names, by which its agents know a control plane. */
const NAMESPACE = 'istio-system'
const SERVICE_ACCOUNT = 'istiod'
export const CONTROL_PLANE_DNS_NAMES = [
  'istiod.istio-system.svc',
  'istiod.istio-system.svc.cluster.local',
  'istiod-remote.istio-system.svc',
  'localhost',
]

export interface ServerIdentity {
  readonly tls: XdsTls
  readonly rootKeyId: string
  /** Wall clock, milliseconds. */
  readonly renewAtMs: number
}

export function controlPlaneId(trustDomain: string): SpiffeId {
  return serviceAccountId(trustDomain, NAMESPACE, SERVICE_ACCOUNT)
}

export function isControlPlane(id: SpiffeId): boolean {
  const account = serviceAccountOf(id)
  return account?.namespace === NAMESPACE && account.serviceAccount === SERVICE_ACCOUNT
}

/** @throws {Error} When nobody signs it. */
export async function issueServerIdentity(
  trustDomain: string,
  sign: (asked: SignRequest) => Promise<Signed>,
  nowMs: number,
  random: () => number,
): Promise<ServerIdentity> {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const signed = await sign({
    csr: createCertificateRequest(privateKey),
    id: controlPlaneId(trustDomain),
    dnsNames: CONTROL_PLANE_DNS_NAMES,
  })
  if (!signed.ok) throw new Error(`Cannot issue the control plane's identity: ${signed.problem}`)
  const { chain, rootPem, rootKeyId, notAfterMs } = signed
  const signers = chain.map((der) => writePem('CERTIFICATE', der)).join('')
  return {
    tls: {
      // The root too: who has only its hash (a join token's pin) finds it here.
      chainPem: `${signers}${rootPem}`,
      keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    },
    rootKeyId,
    renewAtMs: renewAtMs({ issuedAtMs: nowMs, notAfterMs }, random),
  }
}
