/** Which tokens of end users are believed: Envoy's `jwt_authn` providers as plain values. */

export interface JwtAuthentication {
  readonly providers: readonly JwtProvider[]
  /** What every request must satisfy; absent: nothing, and no token is looked at. */
  readonly requirement?: JwtRequirement
  /** What a route may ask for instead, by name (`FilterOverrides.jwtRequirement`). */
  readonly named: readonly { readonly name: string; readonly requirement: JwtRequirement }[]
  /** CORS preflights carry no token and pass. */
  readonly bypassCorsPreflight: boolean
  /** The client is told the status only. Absent: false. */
  readonly hideReasons?: true
}

export type JwtRequirement =
  /** Every token where the provider looks for them is right, and there is one. */
  | {
      readonly kind: 'provider'
      readonly name: string
      /** In place of the provider's; empty: the provider's. */
      readonly audiences: readonly string[]
    }
  /** At least two. */
  | { readonly kind: 'any' | 'all'; readonly of: readonly JwtRequirement[] }
  /** Every token that is there is right; beside providers in an `any`, of theirs. */
  | { readonly kind: 'allowMissing' }
  /** Everything passes; tokens that are right count. */
  | { readonly kind: 'allowMissingOrFailed' }

export interface JwtProvider {
  /** Unique among the providers. */
  readonly name: string
  /** Must equal `iss`; empty: any that is not missing. */
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
  /** Under which the payload is in the request's metadata; absent: it is not. */
  readonly payloadMetadataKey?: string
  /** Routes are matched again afterwards: they may ask for claims. Absent: false. */
  readonly clearRouteCache?: true
}

export type JwtKeySource =
  | { readonly kind: 'inline'; readonly jwks: string }
  | {
      readonly kind: 'remote'
      /** Of a key set, or of an OpenID Connect discovery document that names one. */
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
