/**
 * The control plane as one value: folders in, xDS and an admin API out.
 *
 *     sources + registries → snapshot → translate → push
 */
import type { Clock, Logger } from '@weft/base'
import type { SocketAddress } from '@weft/model'
import type { MeshSnapshot } from './snapshot/mesh-snapshot.ts'
import type { ObjectStatus } from './status/object-status.ts'

export interface ControlPlaneOptions {
  /** Folders or files to watch. */
  readonly sources: readonly string[]
  /** Where proxies connect; default 127.0.0.1:15010. Port 0 takes a free one. */
  readonly xds?: SocketAddress
  /** A unix socket for xDS besides. */
  readonly xdsSocketPath?: string
  /** Default 127.0.0.1:15014. */
  readonly admin?: SocketAddress
  /**
   * Keeps what must survive a restart: self-registered endpoints and the last
   * good form of every file. Absent: nothing is kept.
   */
  readonly stateDir?: string
  /** How long a self-registered endpoint outlives its stream; default 5000. */
  readonly registrationGraceMs?: number
  readonly clock?: Clock
  readonly log?: Logger
}

export interface ControlPlane {
  readonly xds: SocketAddress
  readonly admin: SocketAddress
  snapshot(): MeshSnapshot
  statuses(): readonly ObjectStatus[]
  close(): Promise<void>
}

/** Resolves when both ports listen and the first synchronisation is done. */
export async function startControlPlane(_options: ControlPlaneOptions): Promise<ControlPlane> {
  throw new Error('Cannot start the control plane: not implemented')
}
