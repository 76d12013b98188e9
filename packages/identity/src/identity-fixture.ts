/** A mesh's certificates for the tests of this package. */
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { CertificationRequest, CertificationRequestInfo } from '@peculiar/asn1-csr'
import { AsnConvert } from '@peculiar/asn1-schema'
import { AlgorithmIdentifier, Name, SubjectPublicKeyInfo } from '@peculiar/asn1-x509'
import { Authority, createIntermediate, createRoot } from './ca/authority.ts'
import type { CertificateRequest } from './x509/certificate-request.ts'
import { readCertificateRequest } from './x509/certificate-request.ts'
import { publicKeyOf } from './x509/write-certificate.ts'

export const NOW_MS = Date.UTC(2026, 5, 1)
export const HOUR_MS = 3_600_000
export const DAY_MS = 24 * HOUR_MS

export function newRoot(trustDomain: string, lifetimeMs = 365 * DAY_MS): Authority {
  return new Authority(createRoot(trustDomain, { nowMs: NOW_MS, lifetimeMs }), trustDomain)
}

export function newIntermediate(root: Authority, lifetimeMs = 90 * DAY_MS): Authority {
  const files = createIntermediate(root, { nowMs: NOW_MS, lifetimeMs })
  return new Authority(files, root.trustDomain)
}

export function newKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
}

/** DER of a request signed by `key`; `claimed` is the public key it asks for. */
export function requestFor(key: KeyObject, claimed: Buffer = publicKeyOf(key)): Buffer {
  const info = new CertificationRequestInfo()
  info.subject = new Name()
  info.subjectPKInfo = AsnConvert.parse(claimed, SubjectPublicKeyInfo)
  const request = new CertificationRequest()
  request.certificationRequestInfo = info
  const isEc = key.asymmetricKeyType === 'ec'
  request.signatureAlgorithm = new AlgorithmIdentifier({
    algorithm: isEc ? '1.2.840.10045.4.3.2' : '1.2.840.113549.1.1.11',
  })
  const signature = sign('sha256', Buffer.from(AsnConvert.serialize(info)), key)
  request.signature = new Uint8Array(signature).buffer
  return Buffer.from(AsnConvert.serialize(request))
}

export function newRequest(): CertificateRequest {
  const read = readCertificateRequest(requestFor(newKey()))
  if (!read.ok) throw new Error(read.problem)
  return read.request
}
