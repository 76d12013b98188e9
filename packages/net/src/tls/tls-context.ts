/**
 * What handshakes of one configuration share: keys, trust, versions and, with
 * them, the tickets and sessions of earlier connections. A change of any secret
 * makes a new context, so no session outlives the trust it was made under.
 */
import { createHash, X509Certificate } from 'node:crypto'
import type { SecureContext, SecureContextOptions } from 'node:tls'
import type { TlsParameters } from '@weft/model'
import { subjectAltNames } from './subject-alt-names.ts'
import type { PeerRules } from './verify-peer.ts'

interface ContextBase extends PeerRules {
  readonly secure: SecureContext
  readonly alpn: readonly string[]
  /** Of the first certificate that we show. */
  readonly localUriSans: readonly string[]
  /** Whether the peer's certificate is checked against a CA of ours. */
  readonly verifies: boolean
  /** What does not chain to it is let in, as if it had no certificate. */
  readonly acceptsUntrusted: boolean
}

export interface ServerTlsContext extends ContextBase {
  /** `optional`: a certificate is asked for, and checked when one comes. */
  readonly clientCertificate: 'none' | 'optional' | 'required'
}

export interface ClientTlsContext extends ContextBase {
  readonly sessions: SessionCache
}

export interface TlsContextParts extends PeerRules {
  readonly parameters: TlsParameters
  /** PEM; chain and key at the same index. */
  readonly certificates: readonly { readonly chainPem: string; readonly keyPem: string }[]
  /** PEM; absent: peers are not checked. */
  readonly trust?: { readonly caPem: string; readonly crlPem?: string } | undefined
  readonly alpn: readonly string[]
}

/**
 * How long a client may go on with a session, in seconds: as long its chain is taken for good
 * that was checked in full. Node's own limit.
 */
const SESSION_S = 300

/** @throws {Error} When a key does not fit its certificate, or something is not PEM. */
export function serverTlsContext(
  parts: TlsContextParts,
  clientCertificate: 'none' | 'optional' | 'required',
): ServerTlsContext {
  const id = createHash('sha256')
  for (const { chainPem } of parts.certificates) id.update(chainPem)
  // Without an id OpenSSL refuses to go on with the session of a client that has a certificate.
  id.update(parts.trust?.caPem ?? '')
  const sessionIdContext = id.digest('hex').slice(0, 32)
  return { ...common(parts, { sessionIdContext, sessionTimeout: SESSION_S }), clientCertificate }
}

/** @throws {Error} As `serverTlsContext`. */
export function clientTlsContext(parts: TlsContextParts): ClientTlsContext {
  return { ...common(parts, {}), sessions: new SessionCache() }
}

function common(parts: TlsContextParts, extra: SecureContextOptions): ContextBase {
  const { parameters, certificates, trust, alpn, spki, hashes, names, distrust } = parts
  const { minVersion, maxVersion, cipherSuites, ecdhCurves } = parameters
  const versions = { '1.0': 'TLSv1', '1.1': 'TLSv1.1', '1.2': 'TLSv1.2', '1.3': 'TLSv1.3' } as const
  // Loaded by the first that needs it: a proxy in plaintext does without.
  const secure = process.getBuiltinModule('node:tls').createSecureContext({
    ...extra,
    ...(certificates.length === 0
      ? {}
      : {
          cert: certificates.map(({ chainPem }) => chainPem),
          key: certificates.map(({ keyPem }) => keyPem),
        }),
    ...(trust === undefined ? {} : { ca: trust.caPem }),
    ...(trust?.crlPem === undefined ? {} : { crl: trust.crlPem }),
    minVersion: versions[minVersion ?? '1.2'],
    maxVersion: versions[maxVersion ?? '1.3'],
    ...(cipherSuites === undefined || cipherSuites.length === 0
      ? {}
      : { ciphers: cipherSuites.join(':') }),
    ...(ecdhCurves === undefined || ecdhCurves.length === 0
      ? {}
      : { ecdhCurve: ecdhCurves.join(':') }),
  })
  const verifies = trust !== undefined
  const acceptsUntrusted = parameters.acceptUntrusted === true
  const localUriSans = uriNamesOf(certificates[0]?.chainPem)
  return { secure, alpn, localUriSans, verifies, acceptsUntrusted, spki, hashes, names, distrust }
}

/** Of the leaf, which comes first. */
function uriNamesOf(chainPem: string | undefined): readonly string[] {
  return chainPem === undefined ? [] : subjectAltNames(new X509Certificate(chainPem).raw).uri
}

const MAX_SESSIONS = 1_024

/** A session, and who it is with: when it goes on no certificate is sent. */
interface KeptSession {
  readonly session: Buffer
  readonly certificate: X509Certificate | undefined
}

/** The last session with each peer. The oldest goes when there are too many. */
class SessionCache {
  readonly #sessions = new Map<string, KeptSession>()

  get(key: string): KeptSession | undefined {
    return this.#sessions.get(key)
  }

  set(key: string, session: KeptSession): void {
    this.#sessions.delete(key)
    this.#sessions.set(key, session)
    if (this.#sessions.size <= MAX_SESSIONS) return
    const [oldest] = this.#sessions.keys()
    if (oldest !== undefined) this.#sessions.delete(oldest)
  }
}
