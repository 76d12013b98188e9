/** What the stream state knows of resources: never their content, only what decides about sending. */

export interface Reference {
  readonly typeUrl: string
  readonly name: string
}

export interface Served {
  readonly name: string
  /** Content hash; equal content on every replica gives an equal version. */
  readonly version: string
  /** Bytes on the wire. */
  readonly size: number
  /** Clusters that traffic may be sent to because of this resource (listeners and routes). */
  readonly clusters: ReadonlySet<string>
  /** What a client fetches because of it: endpoints and secrets of a cluster, routes of a listener. */
  readonly needs: readonly Reference[]
}

/** All resources of a view at one moment. */
export interface ServedView {
  get(typeUrl: string, name: string): Served | undefined
  /** The newest version exists but is not for this client, which keeps what it has (R10). */
  isHeldBack(typeUrl: string, name: string): boolean
  names(typeUrl: string): Iterable<string>
  /** The last version of something that is gone, for as long as somebody may still need it. */
  tombstone(typeUrl: string, name: string): Served | undefined
  tombstones(typeUrl: string): Iterable<string>
  /** Endpoints of a name that nobody answers for: none. */
  noEndpoints(name: string): Served
}
