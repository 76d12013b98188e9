/** Asking for a certificate (PKCS #10, RFC 2986): a public key and the proof of holding its other half. */
import { type KeyObject, sign } from 'node:crypto'
import { CertificationRequest, CertificationRequestInfo } from '@peculiar/asn1-csr'
import { AsnConvert } from '@peculiar/asn1-schema'
import { AlgorithmIdentifier, Name, SubjectPublicKeyInfo } from '@peculiar/asn1-x509'
import { publicKeyOf } from './write-certificate.ts'

const SIGNATURES: Readonly<Record<string, string>> = {
  ec: '1.2.840.10045.4.3.2', // ecdsa-with-SHA256
  rsa: '1.2.840.113549.1.1.11', // sha256WithRSAEncryption
}

/**
 * No names are in it: the authority gives those that whoever asks can prove.
 *
 * @param key Private; EC or RSA. Only its public half is in the request.
 * @param claimed DER of the public key to ask for; another than that of `key` is refused by any
 *   authority.
 * @returns DER.
 */
export function createCertificateRequest(
  key: KeyObject,
  claimed: Buffer = publicKeyOf(key),
): Buffer {
  const algorithm = SIGNATURES[key.asymmetricKeyType ?? '']
  if (algorithm === undefined) {
    throw new Error(`Cannot ask for a certificate: the key must be EC or RSA`)
  }
  const info = new CertificationRequestInfo()
  info.subject = new Name()
  info.subjectPKInfo = AsnConvert.parse(claimed, SubjectPublicKeyInfo)
  const request = new CertificationRequest()
  request.certificationRequestInfo = info
  request.signatureAlgorithm = new AlgorithmIdentifier({ algorithm })
  const signature = sign('sha256', Buffer.from(AsnConvert.serialize(info)), key)
  request.signature = new Uint8Array(signature).buffer
  return Buffer.from(AsnConvert.serialize(request))
}
