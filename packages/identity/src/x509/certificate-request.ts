/** Requests for certificates (PKCS #10, RFC 2986): the key they ask for, and the proof of holding it. */
import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto'
import { CertificationRequest } from '@peculiar/asn1-csr'
import { AsnConvert } from '@peculiar/asn1-schema'

export interface CertificateRequest {
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Buffer
  /** Hex SHA-256 of `publicKey`. */
  readonly keyHash: string
}

export type ReadRequest =
  | { readonly ok: true; readonly request: CertificateRequest }
  | { readonly ok: false; readonly problem: string }

/** More is no request for a leaf: RSA 4096 needs 1.2 KB. */
const MAX_BYTES = 16_384
const MIN_RSA_BITS = 2_048
const MAX_RSA_BITS = 8_192
const CURVES = new Set(['prime256v1', 'secp384r1', 'secp521r1'])
/** By the request's signature algorithm. */
const HASHES: Readonly<Record<string, string | null>> = {
  '1.2.840.10045.4.3.2': 'sha256',
  '1.2.840.10045.4.3.3': 'sha384',
  '1.2.840.10045.4.3.4': 'sha512',
  '1.2.840.113549.1.1.11': 'sha256',
  '1.2.840.113549.1.1.12': 'sha384',
  '1.2.840.113549.1.1.13': 'sha512',
  '1.3.101.112': null, // Ed25519 hashes by itself
}

/**
 * Names that the request asks for are not read: who somebody is follows from how they proved it to
 * the authority, never from what they write.
 */
export function readCertificateRequest(der: Uint8Array): ReadRequest {
  if (der.length > MAX_BYTES) return refused(`it has more than ${MAX_BYTES} bytes`)
  try {
    return checkRequest(AsnConvert.parse(der, CertificationRequest))
  } catch {
    // Anybody may send anything here; the parsers' own words would help nobody.
    return refused('it is no PKCS #10 request')
  }
}

function checkRequest(request: CertificationRequest): ReadRequest {
  const { certificationRequestInfo: info, certificationRequestInfoRaw: raw } = request
  const signed = raw ?? AsnConvert.serialize(info)
  const publicKey = Buffer.from(AsnConvert.serialize(info.subjectPKInfo))
  const key = createPublicKey({ key: publicKey, format: 'der', type: 'spki' })
  const problem = keyProblem(key)
  if (problem !== undefined) return refused(problem)
  const hash = HASHES[request.signatureAlgorithm.algorithm]
  if (hash === undefined) return refused('its signature must use SHA-256, SHA-384 or SHA-512')
  if (!verify(hash, Buffer.from(signed), key, Buffer.from(request.signature))) {
    return refused('its signature is wrong: whoever asks does not hold the key')
  }
  const keyHash = createHash('sha256').update(publicKey).digest('hex')
  return { ok: true, request: { publicKey, keyHash } }
}

function refused(problem: string): ReadRequest {
  return { ok: false, problem }
}

function keyProblem({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): string | undefined {
  if (asymmetricKeyType === 'ed25519') return undefined
  if (asymmetricKeyType === 'ec') {
    const { namedCurve = 'explicit parameters' } = asymmetricKeyDetails ?? {}
    return CURVES.has(namedCurve)
      ? undefined
      : `its curve must be P-256 to P-521, not ${namedCurve}`
  }
  if (asymmetricKeyType !== 'rsa') return 'its key must be EC, Ed25519 or RSA'
  const { modulusLength: bits = 0 } = asymmetricKeyDetails ?? {}
  if (bits >= MIN_RSA_BITS && bits <= MAX_RSA_BITS) return undefined
  return `its RSA key must have ${MIN_RSA_BITS} to ${MAX_RSA_BITS} bits, not ${bits}`
}
