/** Facts → a signed certificate. What the facts may be is for the authority to say. */
import { createHash, createPublicKey, type KeyObject, randomBytes, sign } from 'node:crypto'
import { AsnConvert, OctetString } from '@peculiar/asn1-schema'
import {
  AlgorithmIdentifier,
  AttributeTypeAndValue,
  AttributeValue,
  AuthorityKeyIdentifier,
  BasicConstraints,
  ExtendedKeyUsage,
  Extension,
  Extensions,
  GeneralName,
  GeneralSubtree,
  GeneralSubtrees,
  id_ce_authorityKeyIdentifier,
  id_ce_basicConstraints,
  id_ce_extKeyUsage,
  id_ce_keyUsage,
  id_ce_nameConstraints,
  id_ce_subjectAltName,
  id_ce_subjectKeyIdentifier,
  KeyIdentifier,
  KeyUsage,
  Name,
  NameConstraints,
  RelativeDistinguishedName,
  SubjectAlternativeName,
  SubjectKeyIdentifier,
  SubjectPublicKeyInfo,
  TBSCertificate,
  Validity,
  Version,
  Certificate as X509,
} from '@peculiar/asn1-x509'

export interface CertificateContent {
  /** Empty: no subject; the names are critical then. */
  readonly commonName: string
  /** DER of the issuer's name; absent: the certificate signs itself. */
  readonly issuer?: Buffer
  readonly issuerKeyId?: string | undefined
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Buffer
  /** Wall clock, milliseconds; seconds count. */
  readonly notBeforeMs: number
  readonly notAfterMs: number
  readonly uriNames: readonly string[]
  readonly dnsNames?: readonly string[]
  /** Bits of RFC 5280, section 4.2.1.3; critical. */
  readonly keyUsage: number
  readonly extendedKeyUsage?: readonly string[]
  /** Absent: no CA. */
  readonly ca?: { readonly pathLength?: number; readonly permittedUriHosts?: readonly string[] }
}

const SERIAL_BYTES = 16
const COMMON_NAME = '2.5.4.3'
const SIGNATURES: Readonly<Record<string, string>> = {
  ec: '1.2.840.10045.4.3.2', // ecdsa-with-SHA256
  rsa: '1.2.840.113549.1.1.11', // sha256WithRSAEncryption
}
const HASH = 'sha256'

/**
 * @param key The signer's; EC or RSA.
 * @returns DER.
 */
export function writeCertificate(content: CertificateContent, key: KeyObject): Buffer {
  const signatureAlgorithm = algorithmOf(key)
  const subject = nameOf(content.commonName)
  const tbs = new TBSCertificate({
    version: Version.v3,
    serialNumber: serialNumber(),
    signature: signatureAlgorithm,
    issuer: content.issuer === undefined ? subject : AsnConvert.parse(content.issuer, Name),
    validity: new Validity({
      notBefore: new Date(content.notBeforeMs),
      notAfter: new Date(content.notAfterMs),
    }),
    subject,
    subjectPublicKeyInfo: AsnConvert.parse(content.publicKey, SubjectPublicKeyInfo),
    extensions: new Extensions(extensionsOf(content)),
  })
  const signature = sign(HASH, Buffer.from(AsnConvert.serialize(tbs)), key)
  const signed = new X509({
    tbsCertificate: tbs,
    signatureAlgorithm,
    signatureValue: toArrayBuffer(signature),
  })
  return Buffer.from(AsnConvert.serialize(signed))
}

/** How certificates call a key: hex of the SHA-1 of the key itself (RFC 5280, section 4.2.1.2). */
function keyIdOf(publicKey: Buffer): string {
  const { subjectPublicKey } = AsnConvert.parse(publicKey, SubjectPublicKeyInfo)
  return createHash('sha1').update(Buffer.from(subjectPublicKey)).digest('hex')
}

export function publicKeyOf(privateKey: KeyObject): Buffer {
  return createPublicKey(privateKey).export({ type: 'spki', format: 'der' })
}

function algorithmOf({ asymmetricKeyType }: KeyObject): AlgorithmIdentifier {
  const algorithm = SIGNATURES[asymmetricKeyType ?? '']
  if (algorithm !== undefined) return new AlgorithmIdentifier({ algorithm })
  throw new Error(`Cannot sign: the key must be EC or RSA, got ${asymmetricKeyType}`)
}

/** 127 random bits, positive and never zero. */
function serialNumber(): ArrayBuffer {
  const bytes = randomBytes(SERIAL_BYTES)
  bytes[0] = ((bytes[0] as number) & 0x7f) | 0x40
  return toArrayBuffer(bytes)
}

function nameOf(commonName: string): Name {
  if (commonName === '') return new Name()
  const value = new AttributeValue({ utf8String: commonName })
  const attribute = new AttributeTypeAndValue({ type: COMMON_NAME, value })
  return new Name([new RelativeDistinguishedName([attribute])])
}

function extensionsOf(content: CertificateContent): Extension[] {
  const { ca, uriNames, dnsNames = [], extendedKeyUsage, issuerKeyId } = content
  const keyId = keyIdOf(content.publicKey)
  const names = [
    ...uriNames.map((uri) => new GeneralName({ uniformResourceIdentifier: uri })),
    ...dnsNames.map((host) => new GeneralName({ dNSName: host })),
  ]
  const basic = new BasicConstraints({
    cA: ca !== undefined,
    ...(ca?.pathLength === undefined ? {} : { pathLenConstraint: ca.pathLength }),
  })
  const extensions = [
    extension(id_ce_basicConstraints, true, basic),
    extension(id_ce_keyUsage, true, new KeyUsage(content.keyUsage)),
    extension(id_ce_subjectKeyIdentifier, false, new SubjectKeyIdentifier(bytesOf(keyId))),
  ]
  if (extendedKeyUsage !== undefined) {
    const usage = new ExtendedKeyUsage([...extendedKeyUsage])
    extensions.push(extension(id_ce_extKeyUsage, false, usage))
  }
  const keyIdentifier = new KeyIdentifier(bytesOf(issuerKeyId ?? keyId))
  const authority = new AuthorityKeyIdentifier({ keyIdentifier })
  extensions.push(extension(id_ce_authorityKeyIdentifier, false, authority))
  if (names.length > 0) {
    const isCritical = content.commonName === ''
    extensions.push(extension(id_ce_subjectAltName, isCritical, new SubjectAlternativeName(names)))
  }
  if (ca?.permittedUriHosts !== undefined) {
    const subtrees = ca.permittedUriHosts.map(
      (host) => new GeneralSubtree({ base: new GeneralName({ uniformResourceIdentifier: host }) }),
    )
    const constraints = new NameConstraints({ permittedSubtrees: new GeneralSubtrees(subtrees) })
    extensions.push(extension(id_ce_nameConstraints, true, constraints))
  }
  return extensions
}

function extension(extnID: string, critical: boolean, value: unknown): Extension {
  return new Extension({
    extnID,
    critical,
    extnValue: new OctetString(AsnConvert.serialize(value)),
  })
}

function bytesOf(hex: string): ArrayBuffer {
  return toArrayBuffer(Buffer.from(hex, 'hex'))
}

/** A copy of its own: small buffers share one with others. */
function toArrayBuffer(bytes: Uint8Array): ArrayBuffer {
  return new Uint8Array(bytes).buffer
}
