/** Which tokens of end users are believed: Envoy's `jwt_authn` providers as plain values. */

export interface JwtAuthentication {
  /**
   * A request without a token passes, one with a token that is not right never does. With several
   * providers a token must be right for one of them.
   */
  readonly providers: readonly JwtProvider[]
}

export interface JwtProvider {
  /** Unique among the providers. */
  readonly name: string
  /** Must equal `iss`. */
  readonly issuer: string
  /** One of them must be in `aud`; empty: any. */
  readonly audiences: readonly string[]
  readonly keys: JwtKeySource
  /** Tried in order; each token found is verified. */
  readonly from: readonly JwtTokenSource[]
  /** Whether the upstream sees the token. */
  readonly forward: boolean
  /** Header that carries the payload, base64url, to the upstream. */
  readonly payloadHeader?: string
  /** Nested claims with dots. */
  readonly claimHeaders: readonly { readonly header: string; readonly claim: string }[]
  /** By how much clocks may differ, in milliseconds; 0 to 60 000. */
  readonly clockSkewMs: number
  /** Claims whose text is a list with spaces in between, e.g. `scope`. */
  readonly spaceDelimitedClaims: readonly string[]
}

export type JwtKeySource =
  | { readonly kind: 'inline'; readonly jwks: string }
  | {
      readonly kind: 'remote'
      readonly uri: string
      /** Through which it is fetched. */
      readonly cluster: string
      /** In milliseconds, > 0. */
      readonly timeoutMs: number
      readonly cacheMs: number
    }

export type JwtTokenSource =
  /** `prefix` stands before the token, e.g. `Bearer `. */
  | { readonly kind: 'header'; readonly name: string; readonly prefix: string }
  | { readonly kind: 'query'; readonly name: string }
  | { readonly kind: 'cookie'; readonly name: string }
