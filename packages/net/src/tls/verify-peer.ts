/** Whether a peer is who it has to be, beyond a chain that OpenSSL has checked. */
import { createHash, type X509Certificate } from 'node:crypto'
import type { PeerCertificate } from './tls-facts.ts'

/** Absent or empty lists ask for nothing. */
export interface PeerRules {
  /** SHA-256 of the public key info, base64; one of these or of `hashes` must fit. */
  readonly spki?: readonly string[] | undefined
  /** SHA-256 of the certificate, hex, colons allowed. */
  readonly hashes?: readonly string[] | undefined
  /** Whether one of the certificate's names is a wanted one. */
  readonly names?: ((peer: PeerCertificate) => boolean) | undefined
  /**
   * Why the certificate is not to be trusted although its chain is, `undefined` when it is. Who
   * signed it hangs on it (`issuerCertificate`), as far as the peer sent it.
   */
  readonly distrust?: ((certificate: X509Certificate) => string | undefined) | undefined
}

/** Why a peer is refused: in which respect, and in words. */
export interface PeerProblem {
  readonly reason: 'noCertificate' | 'untrusted' | 'pin' | 'name'
  readonly why: string
}

/** `undefined` when the peer is not refused. */
export function peerProblem(
  certificate: X509Certificate,
  peer: PeerCertificate,
  rules: PeerRules,
): PeerProblem | undefined {
  const { spki = [], hashes = [], names, distrust } = rules
  const why = distrust?.(certificate)
  if (why !== undefined) return { reason: 'untrusted', why }
  if (spki.length > 0 || hashes.length > 0) {
    const isPinned =
      hashes.some((hash) => hash.replaceAll(':', '').toLowerCase() === peer.fingerprint) ||
      (spki.length > 0 && spki.includes(spkiHash(certificate)))
    if (!isPinned) return { reason: 'pin', why: 'its certificate is none of those that are pinned' }
  }
  if (names !== undefined && !names(peer)) {
    const has = [...peer.uriSans, ...peer.dnsSans, ...peer.ipSans, ...peer.emailSans]
    const text = has.length === 0 ? '(it has none)' : has.join(', ')
    return { reason: 'name', why: `none of its names is wanted: ${text}` }
  }
  return undefined
}

function spkiHash(certificate: X509Certificate): string {
  const der = certificate.publicKey.export({ type: 'spki', format: 'der' })
  return createHash('sha256').update(der).digest('base64')
}
