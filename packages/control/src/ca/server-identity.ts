/** The control plane's own certificate, for the xDS port: from its own CA, renewed like any other. */
import { generateKeyPairSync } from 'node:crypto'
import {
  type CertificateAuthority,
  createCertificateRequest,
  renewAtMs,
  writePem,
} from '@weft/identity'
import { serviceAccountId } from '@weft/model'
import type { XdsTls } from '@weft/xds'

/** Istio's names, by which its agents know a control plane. */
const NAMESPACE = 'istio-system'
const SERVICE_ACCOUNT = 'istiod'
const DNS_NAMES = [
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

/** @throws {Error} When the CA cannot issue. */
export function issueServerIdentity(
  ca: CertificateAuthority,
  nowMs: number,
  random: () => number,
): ServerIdentity {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const id = serviceAccountId(ca.trustDomain, NAMESPACE, SERVICE_ACCOUNT)
  const outcome = ca.issue(createCertificateRequest(privateKey), id, undefined, DNS_NAMES)
  if (!outcome.ok) throw new Error(`Cannot issue the control plane's identity: ${outcome.problem}`)
  const { svid, bundle } = outcome
  const signers = svid.chain.map((der) => writePem('CERTIFICATE', der)).join('')
  return {
    tls: {
      // The root too: who has only its hash (a join token's pin) finds it here.
      chainPem: `${signers}${bundle.active.pem}`,
      keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    },
    rootKeyId: bundle.active.keyId,
    renewAtMs: renewAtMs({ issuedAtMs: nowMs, notAfterMs: svid.notAfterMs }, random),
  }
}
