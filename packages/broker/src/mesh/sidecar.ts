/**
 * The sidecar of a kind of workload that dialled in: the way between it and those who did not.
 *
 *     caller's sidecar ─mTLS─► addresses ─► bridge (Unix socket) ─► broker ─► who dialled in
 *     who dialled in ─► broker ─► outbound (Unix socket) ─► routes, balancing, mTLS ─► endpoint
 *
 * A proxy like any other, with a certificate of that very workload; the broker asks for one, and
 * whoever puts the processes together has it run (this package does not know the proxy).
 */
import type { ResourceSet, SocketAddress, Workload } from '@weft/model'
import type { ServiceQuestion } from '@weft/xds'

/** A workload's name in the mesh. */
export interface OfferedName {
  readonly name: string
  /** Under which callers know it. */
  readonly port: number
}

export interface SidecarOrder {
  readonly workload: Workload
  /** The SPIFFE ID that all of the kind have proved; absent: it gets no certificate. */
  readonly principal: string | undefined
  /** None: it only calls. */
  readonly services: readonly OfferedName[]
  /** Unix socket to which it gives what the mesh asks of the services. */
  readonly bridge: string
  /** Unix socket that it opens for what the workload asks. */
  readonly outbound: string
  /** Sees each configuration before it is in force; what it gives back is. */
  onConfiguration(set: ResourceSet): ResourceSet
}

export interface Sidecar {
  /** Where the mesh reaches the services, in their order. */
  readonly addresses: readonly SocketAddress[]
  /** Whether somebody is there who can be called. */
  reportHealth(healthy: boolean): void
  /**
   * Asks a gRPC service over a cluster of its configuration, as it does for its own filters.
   *
   * @returns Cancels; undefined: there is no such cluster. `done` gets `undefined` when nobody answered.
   */
  ask?(
    cluster: string,
    question: ServiceQuestion,
    done: (message: Uint8Array | undefined) => void,
  ): (() => void) | undefined
  close(): Promise<void>
}

/** @throws The system's error when an address cannot be bound. */
export type OpenSidecar = (order: SidecarOrder) => Promise<Sidecar>
