/** What the certificate files are called; apart, so that naming them loads nothing. */
export const CERTIFICATE_FILES = {
  chain: 'cert-chain.pem',
  key: 'key.pem',
  roots: 'root-cert.pem',
  /** SPIFFE bundles of all trusted domains (gRFC A87). */
  bundles: 'spiffe-bundles.json',
} as const
