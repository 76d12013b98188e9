/** What a TLS listener shows and whom it asks for: certificates of the mesh, or of an operator's CA. */
import type { X509Certificate } from 'node:crypto'
import { type Roots, readPem, verifySvid, writePem } from '@weft/identity'
import { type ServerTlsContext, serverTlsContext } from '@weft/net'

export interface ServerTlsParts {
  /** PEM. */
  readonly chainPem: string
  readonly keyPem: string
  /** Roots of the trust domains whose clients may show a certificate, DER; none: nobody is asked. */
  readonly roots: Roots
  /** Clients without a certificate are refused in the handshake. */
  readonly requiresCertificate: boolean
}

/** Longer chains are no SVIDs; circles end here, too. */
const MAX_CHAIN = 8

/** @throws {Error} When the key does not fit the certificate, or something is not PEM. */
export function openServerTls(parts: ServerTlsParts, nowMs: () => number): ServerTlsContext {
  const { chainPem, keyPem, roots, requiresCertificate } = parts
  const caPem = [...roots.values()]
    .flat()
    .map((der) => writePem('CERTIFICATE', der))
    .join('')
  const context = { parameters: {}, certificates: [{ chainPem, keyPem }], alpn: [] }
  if (caPem === '') return serverTlsContext(context, 'none')
  const distrust = (certificate: X509Certificate): string | undefined => {
    const verified = verifySvid(chainOf(certificate), roots, nowMs())
    return verified.ok ? undefined : verified.problem
  }
  return serverTlsContext(
    { ...context, trust: { caPem }, distrust },
    requiresCertificate ? 'required' : 'optional',
  )
}

/** Roots that vouch for one trust domain. @throws {Error} When it is not PEM. */
export function rootsOf(trustDomain: string, pem: string): Roots {
  return new Map([[trustDomain, readPem(pem, 'CERTIFICATE')]])
}

/** The leaf and who signed it, as the peer sent them. */
export function chainOf(leaf: X509Certificate): Buffer[] {
  const chain: Buffer[] = []
  let next: X509Certificate | undefined = leaf
  while (next !== undefined && chain.length < MAX_CHAIN) {
    chain.push(next.raw)
    const issuer: X509Certificate | undefined = next.issuerCertificate
    next = issuer?.fingerprint256 === next.fingerprint256 ? undefined : issuer
  }
  return chain
}
