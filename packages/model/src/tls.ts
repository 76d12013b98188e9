/** TLS settings of listeners and clusters, and the secrets they name (Envoy SDS). */

export interface DownstreamTls {
  /** SDS names of certificate and key pairs; at least one. */
  readonly certificates: readonly string[]
  /** SDS name of the CA that client certificates must chain to; absent: none asked for. */
  readonly validation?: string
  readonly requireClientCertificate: boolean
  readonly alpn: readonly string[]
  readonly minVersion?: TlsVersion
  readonly maxVersion?: TlsVersion
}

export interface UpstreamTls {
  /** Client certificate's SDS name. */
  readonly certificate?: string
  /** SDS name of the CA; absent: the server's certificate is not checked. */
  readonly validation?: string
  readonly sni?: string
  readonly subjectAltNames: readonly string[]
  readonly alpn: readonly string[]
}

export type TlsVersion = '1.0' | '1.1' | '1.2' | '1.3'

export type Secret =
  | {
      readonly kind: 'certificate'
      readonly name: string
      readonly chainPem: string
      readonly keyPem: string
    }
  | { readonly kind: 'validation'; readonly name: string; readonly caPem: string }
