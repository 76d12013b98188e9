/** What a broker tells of itself to its part of the cluster. */
import type { Leg } from '../leg.ts'
import type { Places } from '../mesh/kind-places.ts'
import type { BrokerFacts } from '../peer-facts.ts'

export interface ClusterPort {
  /** Another broker dials in. A text refuses it. */
  admit(leg: Leg, broker: BrokerFacts): string | undefined
  /** It was let in. */
  onLink(leg: Leg): void
  onLinkGone(leg: Leg): void
  onLinkPush(leg: Leg, metadata: Uint8Array): void
  /** Somebody was let in, offers something else, or wants requests or none. */
  onLocal(leg: Leg): void
  onLocalGone(leg: Leg): void
  /** Whether somebody at another broker offers it, reachable or not. */
  offers(service: string): boolean
  /** Where this broker offers kinds of workloads to the mesh, from now on. */
  setPlaces(places: Places): void
  /** Calls `listener` when another broker's places change; undefined: it is gone. */
  onPlaces(listener: (broker: string, places: Places | undefined) => void): void
}
