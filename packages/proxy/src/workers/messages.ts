/**
 * What a supervisor and its workers tell each other, over the channel that Node opens
 * between a process and its child (structured clone: maps and typed arrays arrive as such).
 *
 *     worker                         supervisor
 *      │ ◄──────────────────── start  │
 *      │ take ──────────────────────► │  before it listens anywhere
 *      │ ◄─────────────────── socket  │  with a handle, or: bind it yourself
 *      │ opened, with the handle ───► │
 *      │ up ────────────────────────► │
 *      │ ◄─────────────────── config  │  what changed, again and again
 *      │ applied ───────────────────► │
 *      │ ready, health, alive ──────► │
 *      │ ◄────────── ask, drain, …    │
 *      │ take tokens ───────────────► │  of local rate limits, ahead of their use
 *      │ ◄──────────────────── tokens │
 */
import type { LogLevel } from '@weft/base'
import type { OfferedPort, SocketAddress } from '@weft/model'
import type { LimitGrant } from '@weft/traffic'
import type { Rejection } from '@weft/xds'
import type { ClusterStatus, DrainRequest, ProxyState } from '../admin/endpoint.ts'
import type { LimitQuestion } from '../filters/rate-limit/shared-limiter.ts'
import type { ProxyOptions } from '../proxy-options.ts'
import type { MetricSnapshot } from './metrics-snapshot.ts'
import type { ResourceDelta } from './resource-delta.ts'
import type { WorkerPlace } from './worker-place.ts'

type WorkerOptions = Omit<ProxyOptions, 'source' | 'admin' | 'identity'>

export type ToWorker =
  | {
      readonly kind: 'start'
      readonly place: WorkerPlace
      readonly options: WorkerOptions
      readonly levels: ReadonlyMap<string, LogLevel>
    }
  /** `inherit` comes with a handle. */
  | { readonly kind: 'socket'; readonly key: string; readonly order: SocketOrder }
  /** Comes with the handle of a worker that is missing. */
  | { readonly kind: 'stand in' | 'stand down'; readonly key: string; readonly slot: number }
  | { readonly kind: 'config'; readonly id: number; readonly delta: ResourceDelta }
  | { readonly kind: 'ask'; readonly id: number }
  | { readonly kind: 'log level'; readonly level: LogLevel; readonly component?: string }
  | { readonly kind: 'drain listeners'; readonly request: DrainRequest }
  | { readonly kind: 'tokens'; readonly id: number; readonly grant: LimitGrant }
  | { readonly kind: 'reopen logs' | 'drain' | 'leave' | 'close' }

export type FromWorker =
  /** Its process listens to the channel. */
  | { readonly kind: 'hello' }
  | { readonly kind: 'take' | 'failed' | 'released'; readonly key: string }
  /** Comes with the handle if it bound it. */
  | {
      readonly kind: 'opened'
      readonly key: string
      readonly port: number
      readonly isShared: boolean
    }
  | {
      readonly kind: 'up'
      readonly outbound: SocketAddress | undefined
      readonly offers: readonly OfferedPort[]
      readonly transport: TransportStatus
    }
  | { readonly kind: 'ready' | 'alive' }
  /** The configuration with this id is in force, its listeners are open. */
  | { readonly kind: 'applied'; readonly id: number }
  /** An error that nobody caught: it drains and wants a replacement. */
  | { readonly kind: 'failing' }
  | { readonly kind: 'cannot start'; readonly message: string; readonly code: string | undefined }
  | { readonly kind: 'health'; readonly healthy: boolean; readonly message: string }
  /** Without an id nobody asked: what a worker counted must outlive it. */
  | { readonly kind: 'status'; readonly id: number | undefined; readonly status: WorkerStatus }

  /** Answered with `tokens`. */
  | {
      readonly kind: 'take tokens'
      readonly id: number
      readonly question: LimitQuestion
      readonly needed: number
    }
  | { readonly kind: 'give back tokens'; readonly question: LimitQuestion }

/** How a worker comes by a listening socket, see `SocketBroker`. */
export type SocketOrder =
  | { readonly kind: 'inherit' | 'first' }
  | { readonly kind: 'join'; readonly port: number }

export interface TransportStatus {
  readonly name: string
  readonly fallbackReason: string
}

/** A worker as its supervisor last heard of it. */
export interface WorkerStatus {
  readonly state: ProxyState
  readonly memoryBytes: number
  readonly metrics: readonly MetricSnapshot[]
  readonly listeners: readonly {
    readonly name: string
    readonly address: SocketAddress
    readonly connections: number
  }[]
  readonly clusters: readonly WorkerClusterStatus[]
  /** What it cannot open. */
  readonly rejections: readonly Rejection[]
  readonly levels: ReadonlyMap<string, LogLevel>
}

/** The supervisor has the cluster itself. */
type WorkerClusterStatus = Omit<ClusterStatus, 'cluster'> & { readonly name: string }

/** The process at the other end, as the supervisor needs it. */
export interface WorkerProcess {
  readonly pid: number
  /** False when it is gone already. */
  send(message: ToWorker, handle?: object): boolean
  kill(): void
}

export interface WorkerEvents {
  onMessage(message: FromWorker, handle: object | undefined): void
  /** @param how For the log: a code or a signal. */
  onExit(how: string): void
}

/** The supervisor at the other end, as a worker needs it. */
export interface SupervisorChannel {
  send(message: FromWorker, handle?: object): void
  onMessage(listener: (message: ToWorker, handle: object | undefined) => void): void
  /** The supervisor is gone. */
  onEnd(listener: () => void): void
}
