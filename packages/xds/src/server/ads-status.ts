/** What is known of every connected client, as plain data for status pages and roll-ups. */
import type { ClientKind, XdsNode } from '../node.ts'

/**
 *     pending    not sent yet, or newer than what was sent
 *     sent       written, not answered yet
 *     acked      the client has accepted this version
 *     rejected   the client has refused this version and keeps what it had
 *     withheld   too many clients of its kind have refused this version; it keeps what it had
 */
export type DeliveryState = 'pending' | 'sent' | 'acked' | 'rejected' | 'withheld'

export interface ResourceDelivery {
  readonly name: string
  readonly state: DeliveryState
  /** Content hash of the version that the state is about. */
  readonly version: string
  /** Why the client refused it, or why it is withheld. */
  readonly message?: string
  /** A listener that is refused because the client cannot bind its address. */
  readonly isUnbound?: true
}

export interface TypeDelivery {
  readonly typeUrl: string
  /** Names asked for; `*` stands for all. */
  readonly subscribed: readonly string[]
  readonly resources: readonly ResourceDelivery[]
  /** The last refusal on this stream that no good answer followed. */
  readonly nack?: { readonly atMs: number; readonly message: string; readonly count: number }
}

export interface ConnectionStatus {
  readonly id: number
  readonly node: XdsNode
  readonly kind: ClientKind
  readonly view: string
  readonly protocol: 'sotw' | 'delta'
  readonly connectedAtMs: number
  /** Generation of the newest set that this client has accepted whole; absent before the first. */
  readonly ackedGeneration?: string
  readonly types: readonly TypeDelivery[]
}

/** One accepted or refused response; names as they were in that response. */
export interface Answer {
  readonly connectionId: number
  readonly node: XdsNode
  readonly typeUrl: string
  readonly names: readonly string[]
  /** Absent for an ACK. */
  readonly error?: string
}
