/**
 * Who may call what: Envoy's RBAC rules as plain values. A policy applies when one of its
 * permissions and one of its principals match.
 */
import type { HeaderMatch, StringMatch } from './matcher.ts'
import type { Origin } from './origin.ts'

export interface RbacRules {
  /** `allow` refuses what no policy matches; `deny` what one matches; `log` only tells. */
  readonly action: 'allow' | 'deny' | 'log'
  /** In the order of their names. */
  readonly policies: readonly RbacPolicy[]
}

export interface RbacPolicy {
  /** Unique in its rules, e.g. `ns[shop]-policy[allow-cart]-rule[0]`. */
  readonly name: string
  /** At least one. */
  readonly permissions: readonly [Permission, ...Permission[]]
  /** At least one. */
  readonly principals: readonly [Principal, ...Principal[]]
  readonly origins: readonly Origin[]
}

/** Envoy's `rbac` filter: one step of a decision. */
export interface RbacFilter {
  /** Absent: everything passes. */
  readonly rules?: RbacRules
  /** Decided and told, never enforced (Istio's dry run). */
  readonly shadowRules?: RbacRules
  /** Stands before what shadow rules count and leave behind, e.g. `istio_dry_run_allow_`. Absent: nothing. */
  readonly shadowStatPrefix?: string
}

/** For connections of which nothing else is known. */
export interface NetworkRbac extends RbacFilter {
  /** Stands before the names of counters, e.g. `tcp.`; not empty. */
  readonly statPrefix: string
}

/** What is called. */
export type Permission =
  | RequestPredicate
  | { readonly kind: 'any' }
  | { readonly kind: 'allOf' | 'oneOf'; readonly of: readonly Permission[] }
  | { readonly kind: 'not'; readonly of: Permission }
  /** CIDR text. */
  | { readonly kind: 'destinationIp'; readonly range: string }
  /** Inclusive; 0 to 65 535. */
  | { readonly kind: 'destinationPort'; readonly from: number; readonly to: number }
  /** The server name that the client asked for in its TLS handshake. */
  | { readonly kind: 'serverName'; readonly value: StringMatch }

/** Who calls. */
export type Principal =
  | RequestPredicate
  | { readonly kind: 'any' }
  | { readonly kind: 'allOf' | 'oneOf'; readonly of: readonly Principal[] }
  | { readonly kind: 'not'; readonly of: Principal }
  /** The peer's certificate has a name that matches; absent: any verified certificate. */
  | { readonly kind: 'authenticated'; readonly name?: StringMatch }
  /** The connection's peer; CIDR text. */
  | { readonly kind: 'sourceIp'; readonly range: string }
  /** The client, as `x-forwarded-for` and PROXY protocol tell it; CIDR text. */
  | { readonly kind: 'remoteIp'; readonly range: string }

/** Never matches a connection of which no request is known. */
export type RequestPredicate =
  | { readonly kind: 'header'; readonly match: HeaderMatch }
  /** The path without its query. */
  | { readonly kind: 'path'; readonly value: StringMatch }
  /** `{*}` is one segment, `{**}` any number of them (Envoy `uri_template`). */
  | { readonly kind: 'pathTemplate'; readonly template: string }
  | ClaimPredicate
  | MetadataPredicate

/** A value inside the verified token's payload. */
export interface ClaimPredicate {
  readonly kind: 'claim'
  /** Which verified token: the issuer's; absent: any. */
  readonly issuer?: string
  /** From the payload down; at least one. */
  readonly path: readonly string[]
  /** Of a list, one of the values must match. */
  readonly value: StringMatch | { readonly kind: 'present' }
}

/** What a filter before this one left behind (Envoy's dynamic metadata). */
export interface MetadataPredicate {
  readonly kind: 'metadata'
  /** Envoy's name of the filter. */
  readonly filter: string
  /** At least one. */
  readonly path: readonly string[]
  readonly value: MetadataValue
}

export type MetadataValue =
  | { readonly kind: 'present' }
  | { readonly kind: 'text'; readonly match: StringMatch }
  /** One value of a list. */
  | { readonly kind: 'listed'; readonly match: StringMatch }
  /** At least two. */
  | { readonly kind: 'oneOf'; readonly of: readonly MetadataValue[] }
