/** What a TLS handshake established, for routing, policy and logs. */

export interface TlsFacts {
  /** The agreed application protocol. */
  readonly alpn: string | undefined
  /** Asked for by the client; lower case. */
  readonly serverName: string | undefined
  /** `TLSv1.2`, `TLSv1.3` … */
  readonly version: string
  /** OpenSSL's name. */
  readonly cipher: string
  /** The session of an earlier connection went on: no certificates were sent. */
  readonly resumed: boolean
  readonly peer: PeerCertificate | undefined
  /** URI names of the certificate that we show; empty: we have none. */
  readonly localUriSans: readonly string[]
}

export interface PeerCertificate {
  /** DER. */
  readonly raw: Buffer
  readonly uriSans: readonly string[]
  readonly dnsSans: readonly string[]
  readonly emailSans: readonly string[]
  readonly ipSans: readonly string[]
  /** One line, e.g. `CN=web,O=shop`, most specific part first (RFC 2253). */
  readonly subject: string
  readonly issuer: string
  readonly serial: string
  /** SHA-256 of the certificate, lower-case hex. */
  readonly fingerprint: string
  readonly validToMs: number
}
