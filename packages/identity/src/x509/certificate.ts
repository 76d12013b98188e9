/**
 * What a certificate says, read from its DER bytes once. Whether it may be what it says is for
 * `svid-rules.ts`, whether somebody trusted says so for `verify-svid.ts`.
 */
import { AsnConvert } from '@peculiar/asn1-schema'
import {
  AuthorityKeyIdentifier,
  BasicConstraints,
  ExtendedKeyUsage,
  type Extension,
  id_ce_authorityKeyIdentifier,
  id_ce_basicConstraints,
  id_ce_extKeyUsage,
  id_ce_keyUsage,
  id_ce_nameConstraints,
  id_ce_subjectAltName,
  id_ce_subjectKeyIdentifier,
  KeyUsage,
  NameConstraints,
  SubjectAlternativeName,
  SubjectKeyIdentifier,
  Certificate as X509,
} from '@peculiar/asn1-x509'

export interface Certificate {
  readonly der: Uint8Array
  /** Hex, as it stands in the certificate. */
  readonly serialNumber: string
  /** DER of the names: equal bytes are equal names. */
  readonly subject: Buffer
  readonly issuer: Buffer
  readonly hasEmptySubject: boolean
  /** Wall clock, milliseconds. */
  readonly notBeforeMs: number
  readonly notAfterMs: number
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Buffer
  readonly isCa: boolean
  /** How many signers may stand between this one and a leaf. */
  readonly pathLength: number | undefined
  /** Bits of RFC 5280, section 4.2.1.3; `undefined` without the extension. */
  readonly keyUsage: number | undefined
  readonly isKeyUsageCritical: boolean
  /** OIDs; `undefined` without the extension. */
  readonly extendedKeyUsage: readonly string[] | undefined
  readonly uriNames: readonly string[]
  readonly dnsNames: readonly string[]
  readonly areNamesCritical: boolean
  /** Hex. */
  readonly subjectKeyId: string | undefined
  readonly authorityKeyId: string | undefined
  /** Hosts that URI names of what it signs may have; `undefined`: any. */
  readonly permittedUriHosts: readonly string[] | undefined
  /** OIDs of critical extensions that nobody here knows. */
  readonly unknownCritical: readonly string[]
}

/** Roots and signers are read with every chain; the bytes of one are the same object again. */
const known = new WeakMap<Uint8Array, Certificate>()

/**
 * @param der Is not changed afterwards.
 * @throws {Error} When the bytes are no certificate, or one that contradicts itself.
 */
export function readCertificate(der: Uint8Array): Certificate {
  const before = known.get(der)
  if (before !== undefined) return before
  const certificate = readAnew(der)
  known.set(der, certificate)
  return certificate
}

function readAnew(der: Uint8Array): Certificate {
  const x509 = parse(der)
  const { tbsCertificate: tbs } = x509
  const extensions = byId(tbs.extensions ?? [])
  const read = <T>(id: string, type: new () => T): T | undefined => {
    const extension = extensions.get(id)
    return extension === undefined ? undefined : AsnConvert.parse(extension.extnValue.buffer, type)
  }
  const basic = read(id_ce_basicConstraints, BasicConstraints)
  const names = read(id_ce_subjectAltName, SubjectAlternativeName) ?? []
  const uris = [...names].map((name) => name.uniformResourceIdentifier)
  const hosts = [...names].map((name) => name.dNSName)
  const authority = read(id_ce_authorityKeyIdentifier, AuthorityKeyIdentifier)?.keyIdentifier
  const subject = Buffer.from(AsnConvert.serialize(tbs.subject))
  return {
    der,
    serialNumber: hex(tbs.serialNumber),
    subject,
    issuer: Buffer.from(AsnConvert.serialize(tbs.issuer)),
    hasEmptySubject: tbs.subject.length === 0,
    notBeforeMs: tbs.validity.notBefore.getTime().getTime(),
    notAfterMs: tbs.validity.notAfter.getTime().getTime(),
    publicKey: Buffer.from(AsnConvert.serialize(tbs.subjectPublicKeyInfo)),
    isCa: basic?.cA ?? false,
    pathLength: basic?.pathLenConstraint,
    keyUsage: read(id_ce_keyUsage, KeyUsage)?.toNumber(),
    isKeyUsageCritical: extensions.get(id_ce_keyUsage)?.critical ?? false,
    extendedKeyUsage: toList(read(id_ce_extKeyUsage, ExtendedKeyUsage)),
    uriNames: uris.filter((uri) => uri !== undefined),
    dnsNames: hosts.filter((host) => host !== undefined),
    areNamesCritical: extensions.get(id_ce_subjectAltName)?.critical ?? false,
    subjectKeyId: hexOf(read(id_ce_subjectKeyIdentifier, SubjectKeyIdentifier)?.buffer),
    authorityKeyId: hexOf(authority?.buffer),
    permittedUriHosts: permittedHosts(read(id_ce_nameConstraints, NameConstraints)),
    unknownCritical: [...extensions.values()]
      .filter(({ critical, extnID }) => critical && !KNOWN.has(extnID))
      .map(({ extnID }) => extnID),
  }
}

const KNOWN = new Set([
  id_ce_authorityKeyIdentifier,
  id_ce_basicConstraints,
  id_ce_extKeyUsage,
  id_ce_keyUsage,
  id_ce_nameConstraints,
  id_ce_subjectAltName,
  id_ce_subjectKeyIdentifier,
])

function parse(der: Uint8Array): X509 {
  try {
    return AsnConvert.parse(der, X509)
  } catch (cause) {
    throw new Error('Cannot read certificate: its bytes are no X.509 certificate', { cause })
  }
}

/** Each extension comes once (RFC 5280, section 4.2): which of two would count? */
function byId(extensions: readonly Extension[]): ReadonlyMap<string, Extension> {
  const known = new Map(extensions.map((extension) => [extension.extnID, extension]))
  if (known.size === extensions.length) return known
  throw new Error('Cannot read certificate: an extension comes twice')
}

function permittedHosts(constraints: NameConstraints | undefined): readonly string[] | undefined {
  if (constraints?.permittedSubtrees === undefined) return undefined
  const bases = [...constraints.permittedSubtrees].map(({ base }) => base.uniformResourceIdentifier)
  const hosts = bases.filter((host) => host !== undefined)
  return hosts.length === 0 ? undefined : hosts
}

function toList(usage: ExtendedKeyUsage | undefined): readonly string[] | undefined {
  return usage === undefined ? undefined : [...usage]
}

function hex(bytes: ArrayBuffer): string {
  return Buffer.from(bytes).toString('hex')
}

function hexOf(bytes: ArrayBuffer | undefined): string | undefined {
  return bytes === undefined ? undefined : hex(bytes)
}
