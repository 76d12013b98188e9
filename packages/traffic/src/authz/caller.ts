/** What an authorization decision may look at. */
import type { RequestView } from '@weft/model'

export interface Caller {
  /** The connection's peer, without port. */
  readonly sourceIp: string
  /** The client as `x-forwarded-for` or PROXY protocol tell it; else the peer. */
  readonly remoteIp: string
  readonly destinationIp: string
  readonly destinationPort: number
  /** Asked for in the TLS handshake. */
  readonly serverName: string | undefined
  /** Names in the peer's verified certificate; `undefined`: there is none. */
  readonly principals: readonly string[] | undefined
  /** Absent while only the connection is known. */
  readonly request?: CallerRequest
}

export interface CallerRequest extends RequestView {
  /** Every field line's value by lower-case name; joined ones would hide what is between them (R53). */
  headerValues(name: string): readonly string[]
  readonly tokens: readonly VerifiedToken[]
  /** What a filter of this name left behind; absent: none did. */
  metadata?(filter: string): unknown
}

/** A token whose signature, issuer and times were found right. */
export interface VerifiedToken {
  readonly issuer: string
  readonly payload: Readonly<Record<string, unknown>>
}
