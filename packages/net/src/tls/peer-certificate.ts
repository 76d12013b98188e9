/** What is worth knowing of a peer's certificate; parsed once per connection. */
import type { X509Certificate } from 'node:crypto'
import { subjectAltNames } from './subject-alt-names.ts'
import type { PeerCertificate } from './tls-facts.ts'

export function peerCertificate(certificate: X509Certificate): PeerCertificate {
  const { raw } = certificate
  const names = subjectAltNames(raw)
  return {
    raw,
    uriSans: names.uri,
    dnsSans: names.dns,
    emailSans: names.email,
    ipSans: names.ip,
    subject: oneLine(certificate.subject),
    issuer: oneLine(certificate.issuer),
    serial: certificate.serialNumber,
    fingerprint: certificate.fingerprint256.replaceAll(':', '').toLowerCase(),
    validToMs: Date.parse(certificate.validTo),
  }
}

/** Node gives one part a line, most general first. */
function oneLine(name: string | undefined): string {
  return (name ?? '').split('\n').reverse().join(',')
}
