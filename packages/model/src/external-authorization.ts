/** Another service decides whether a request goes on: Envoy's `ext_authz` as plain values. */
import type { StringMatch } from './matcher.ts'
import type { HeaderValue } from './route.ts'

export interface ExternalAuthorization {
  readonly service: AuthorizationService
  /** In milliseconds, > 0. */
  readonly timeoutMs: number
  /** When the service does not answer or fails: true lets the request pass. */
  readonly failureModeAllow: boolean
  /** Then says so with `x-envoy-auth-failure-mode-allowed: true`. */
  readonly failureModeHeader: boolean
  /** Of the answer when the service fails and requests are refused then; 400 to 599. */
  readonly statusOnError: number
  /** Absent: the service does not see the body. */
  readonly requestBody?: {
    /** > 0. */
    readonly maxBytes: number
    /** A longer body goes as far as it fits; else it is refused with 413. */
    readonly allowPartial: boolean
    /** gRPC: as bytes, so that it need not be UTF-8. */
    readonly asBytes: boolean
  }
  /** Headers of the request that the service sees; absent: gRPC all, HTTP a few. */
  readonly requestHeaders?: readonly StringMatch[]
  /** Never seen by the service, whatever `requestHeaders` says. */
  readonly hiddenRequestHeaders: readonly StringMatch[]
  /** The service sees the certificate of the client. */
  readonly includePeerCertificate: boolean
  /** gRPC: what these filters left in the request's metadata goes along. */
  readonly metadataNamespaces: readonly string[]
  /** Routes are matched again after headers changed. */
  readonly clearRouteCache: boolean
  /** Asked only where a filter before this one left such a value; absent: always. */
  readonly condition?: MetadataCondition
}

export type AuthorizationService =
  | { readonly kind: 'grpc'; readonly cluster: string; readonly authority?: string }
  | {
      readonly kind: 'http'
      readonly cluster: string
      /** Scheme and authority matter. */
      readonly uri: string
      /** Stands before the request's path; empty or with a leading slash. */
      readonly pathPrefix: string
      /** What each question carries beside the request's own. */
      readonly extraHeaders: readonly HeaderValue[]
      /** Of an answer that allows: in place of the request's, and beside them. */
      readonly upstreamHeaders: readonly StringMatch[]
      readonly appendedUpstreamHeaders: readonly StringMatch[]
      /** Of an answer that denies, for the client; empty: all. */
      readonly clientHeaders: readonly StringMatch[]
      /** Of an answer that allows, for the client. */
      readonly clientHeadersOnSuccess: readonly StringMatch[]
    }

export interface MetadataCondition {
  /** Envoy's name, e.g. `envoy.filters.http.rbac`. */
  readonly filter: string
  /** At least one. */
  readonly path: readonly string[]
  readonly value: StringMatch
  readonly invert: boolean
}
