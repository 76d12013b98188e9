/** TLS settings of listeners and clusters, and the secrets they name (Envoy SDS). */
import type { StringMatch } from './matcher.ts'

export interface DownstreamTls extends TlsParameters {
  /** SDS names of certificate and key pairs; at least one; the first whose key type fits is used. */
  readonly certificates: readonly string[]
  /** SDS name of the CA that client certificates must chain to; absent: none asked for. */
  readonly validation?: string
  /** False with `validation`: a certificate is asked for, and checked when one comes. */
  readonly requireClientCertificate: boolean
  /** One of the client certificate's names must match one of these; empty: any that chains. */
  readonly subjectAltNames?: readonly SubjectAltNameMatch[]
  readonly alpn: readonly string[]
}

export interface UpstreamTls extends TlsParameters {
  /** Client certificate's SDS name. */
  readonly certificate?: string
  /** SDS name of the CA; absent: the server's certificate is not checked. */
  readonly validation?: string
  /** With `autoSni` only for what has no host. */
  readonly sni?: string
  readonly autoSni?: boolean
  /** The server's certificate has to be for the server name that was sent, else for the request's host. */
  readonly autoSanValidation?: boolean
  /** One of the server certificate's names must match one of these; empty: any that chains. */
  readonly subjectAltNames: readonly string[]
  /** As `subjectAltNames`, but by name type and form. */
  readonly subjectAltNameMatches?: readonly SubjectAltNameMatch[]
  readonly alpn: readonly string[]
}

export interface TlsParameters {
  readonly minVersion?: TlsVersion
  readonly maxVersion?: TlsVersion
  /** OpenSSL names for TLS 1.2 and below; absent: Node's. */
  readonly cipherSuites?: readonly string[]
  readonly ecdhCurves?: readonly string[]
  /** SHA-256 of the peer's public key info (base64) or certificate (hex); one must match. */
  readonly verifySpki?: readonly string[]
  readonly verifyHash?: readonly string[]
  /**
   * Peers whose certificate does not chain to `validation` are let in, too; a client's then counts
   * for nothing, as if none had come. Absent: false.
   */
  readonly acceptUntrusted?: boolean
  /**
   * Certificate and validation are certificate providers of the client's own bootstrap (gRFC A29),
   * not secrets.
   */
  readonly fromProvider?: true
}

export interface SubjectAltNameMatch {
  readonly type: 'dns' | 'uri' | 'ip' | 'email' | 'any'
  readonly value: StringMatch
}

export type TlsVersion = '1.0' | '1.1' | '1.2' | '1.3'

export interface TrustDomainRoots {
  readonly trustDomain: string
  readonly caPem: string
}

export type Secret =
  | {
      readonly kind: 'certificate'
      readonly name: string
      readonly chainPem: string
      readonly keyPem: string
    }
  | {
      readonly kind: 'validation'
      readonly name: string
      readonly caPem: string
      /**
       * Who vouches for whom, where several trust domains are believed: each root for its own alone
       * (SPIFFE). The first is the mesh's own, with the roots of `caPem`. Absent: `caPem` is all.
       */
      readonly trustDomains?: readonly TrustDomainRoots[]
      /** Certificate revocation lists. */
      readonly crlPem?: string
    }
