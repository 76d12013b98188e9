/**
 * One signing key with its certificate, and what it may issue:
 *
 *     root (offline, path length 1) ──► intermediate (in the control plane, path length 0) ──► leaves
 *
 * Whether somebody is who they say is decided before anybody comes here.
 */
import { createPrivateKey, generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto'
import { renderSpiffeId, type SpiffeId } from '@weft/model'
import { type Certificate, readCertificate } from '../x509/certificate.ts'
import type { CertificateRequest } from '../x509/certificate-request.ts'
import { readPem, writePem } from '../x509/pem.ts'
import { CLIENT_AUTH, KEY_USAGE, SERVER_AUTH, signerProblem } from '../x509/svid-rules.ts'
import { publicKeyOf, writeCertificate } from '../x509/write-certificate.ts'

/** Clocks of the mesh may be this far apart (Istio's number). */
const BACKDATE_MS = 120_000
const CA_USAGE = KEY_USAGE.keyCertSign | KEY_USAGE.cRLSign

export interface AuthorityFiles {
  /** The authority's own certificate first, then those above it, without the root. */
  readonly chainPem: string
  readonly rootPem: string
  /** PKCS #8, not encrypted. */
  readonly keyPem: string
}

export interface Validity {
  /** Wall clock, milliseconds. */
  readonly nowMs: number
  readonly lifetimeMs: number
}

export interface IssuedSvid {
  /** Leaf first, then the signers below the root. */
  readonly chain: readonly Buffer[]
  readonly serialNumber: string
  readonly notAfterMs: number
}

/** @returns A root of its own: it signs intermediates, never leaves of other trust domains. */
export function createRoot(trustDomain: string, { nowMs, lifetimeMs }: Validity): AuthorityFiles {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const der = writeCertificate(
    {
      commonName: `${trustDomain} root`,
      publicKey: publicKeyOf(privateKey),
      notBeforeMs: nowMs - BACKDATE_MS,
      notAfterMs: nowMs + lifetimeMs,
      uriNames: [`spiffe://${trustDomain}`],
      keyUsage: CA_USAGE,
      ca: { pathLength: 1 },
    },
    privateKey,
  )
  const rootPem = writePem('CERTIFICATE', der)
  return { chainPem: '', rootPem, keyPem: pemOf(privateKey) }
}

function pemOf(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString()
}

/** A signer for leaves under `parent`; never outlives it. */
export function createIntermediate(
  parent: Authority,
  { nowMs, lifetimeMs }: Validity,
): AuthorityFiles {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const { trustDomain } = parent
  const der = parent.sign({
    commonName: `${trustDomain} intermediate`,
    publicKey: publicKeyOf(privateKey),
    notBeforeMs: nowMs - BACKDATE_MS,
    notAfterMs: Math.min(nowMs + lifetimeMs, parent.notAfterMs),
    uriNames: [`spiffe://${trustDomain}`],
    keyUsage: CA_USAGE,
    ca: { pathLength: 0, permittedUriHosts: [trustDomain] },
  })
  const chainPem = [der, ...parent.chain].map((each) => writePem('CERTIFICATE', each)).join('')
  return { chainPem, rootPem: parent.rootPem, keyPem: pemOf(privateKey) }
}

export class Authority {
  readonly trustDomain: string
  readonly rootPem: string
  /** DER: its own certificate and those above it, without the root. Empty for a root. */
  readonly chain: readonly Buffer[]
  readonly #certificate: Certificate
  readonly #key: KeyObject

  /**
   * @throws {Error} When certificate and key do not belong together, the certificate may not sign
   *   for the trust domain, or a file is none.
   */
  constructor(files: AuthorityFiles, trustDomain: string) {
    const chain = readPem(files.chainPem, 'CERTIFICATE')
    const own = chain[0] ?? readPem(files.rootPem, 'CERTIFICATE')[0]
    if (own === undefined) throw new Error('Cannot open CA: there is no certificate')
    const certificate = readCertificate(own)
    const problem = signerProblem(certificate, trustDomain, 0)
    if (problem !== undefined) throw new Error(`Cannot open CA: ${problem}`)
    const key = openKey(files.keyPem)
    if (!publicKeyOf(key).equals(certificate.publicKey)) {
      throw new Error('Cannot open CA: the key is not that of the certificate')
    }
    this.trustDomain = trustDomain
    this.rootPem = files.rootPem
    this.chain = chain
    this.#certificate = certificate
    this.#key = key
  }

  /** Wall clock, milliseconds. */
  get notAfterMs(): number {
    return this.#certificate.notAfterMs
  }

  get notBeforeMs(): number {
    return this.#certificate.notBeforeMs
  }

  get keyId(): string {
    return this.#certificate.subjectKeyId ?? this.#certificate.serialNumber
  }

  /**
   * An X.509-SVID. Ends with the authority at the latest.
   * @param dnsNames For servers that clients know by such names besides.
   * @throws {Error} When the identity is not of this trust domain.
   */
  issue(
    request: CertificateRequest,
    id: SpiffeId,
    { nowMs, lifetimeMs }: Validity,
    dnsNames: readonly string[] = [],
  ): IssuedSvid {
    if (id.trustDomain !== this.trustDomain || id.path === '') {
      throw new Error(
        `Cannot issue ${renderSpiffeId(id)}: must be a workload of ${this.trustDomain}`,
      )
    }
    const notAfterMs = Math.min(nowMs + lifetimeMs, this.notAfterMs)
    const der = this.sign({
      commonName: '',
      publicKey: request.publicKey,
      notBeforeMs: Math.max(nowMs - BACKDATE_MS, this.notBeforeMs),
      notAfterMs,
      uriNames: [renderSpiffeId(id)],
      dnsNames,
      keyUsage: KEY_USAGE.digitalSignature,
      extendedKeyUsage: [SERVER_AUTH, CLIENT_AUTH],
    })
    return {
      chain: [der, ...this.chain],
      // The platform reads it many times faster than we do.
      serialNumber: new X509Certificate(der).serialNumber.toLowerCase(),
      notAfterMs,
    }
  }

  sign(content: Omit<Parameters<typeof writeCertificate>[0], 'issuer' | 'issuerKeyId'>): Buffer {
    const { subject, subjectKeyId } = this.#certificate
    return writeCertificate({ ...content, issuer: subject, issuerKeyId: subjectKeyId }, this.#key)
  }
}

function openKey(pem: string): KeyObject {
  try {
    return createPrivateKey(pem)
  } catch (cause) {
    throw new Error('Cannot open CA: its key is no PEM of a private key', { cause })
  }
}
