/**
 * What every admin endpoint is. One file beside this one per endpoint; the list
 * of them is `catalog.ts`; `server.ts` does HTTP.
 *
 *     method   GET never changes anything; what changes something is POST
 *     answer   reads the proxy through `ProxyView`, or acts through its verbs
 *
 * Paths, parameters and shapes are Envoy's where Envoy has them, so that tools
 * built for Envoy read a Weft proxy.
 */

import type { Clock, LogLevel, LogScopes } from '@weft/base'
import type { Cluster, SocketAddress } from '@weft/model'
import type { MetricsRegistry } from '@weft/telemetry'
import type { AdsClientState, Rejection, ResourceCodec, ResourceUpdate, XdsNode } from '@weft/xds'
import type { IdentityStatus } from '../identity/workload-identity.ts'
import type { ProxyOptions } from '../proxy-options.ts'

export interface AdminEndpoint {
  readonly path: `/${string}`
  readonly method: 'GET' | 'POST'
  /** One line, for `/help`. */
  readonly summary: string
  /** Query parameters it knows, with what they do. */
  readonly parameters: Readonly<Record<string, string>>
  answer(request: AdminRequest, proxy: ProxyView): AdminAnswer
}

interface AdminRequest {
  readonly query: URLSearchParams
  /** A header by its lower-case name. */
  header(name: string): string | undefined
}

export interface AdminAnswer {
  readonly status: number
  readonly contentType: string
  /** Pieces are rendered while the client reads: a large dump is never one string. */
  readonly body: string | Iterable<string>
}

/** A proxy as the admin port sees it: what it is, and the few things one may ask of it. */
export interface ProxyView {
  readonly options: ProxyOptions
  readonly node: XdsNode
  readonly clock: Clock
  readonly logs: LogScopes
  readonly registry: MetricsRegistry
  readonly codec: ResourceCodec
  /** Monotonic. */
  readonly startedAtMs: number
  /** Which transport carries the traffic, and why not the fastest; empty when it is. */
  readonly transport: { readonly name: string; readonly fallbackReason: string }
  state(): ProxyState
  /** The newest configuration in force; absent before the first. */
  configuration(): Configuration | undefined
  /** Refused resources, newest first. */
  rejections(): readonly Rejection[]
  /** Absent when configuration comes from files. */
  control(): AdsClientState | undefined
  /** Absent: no certificate of the mesh is wanted. */
  identity(): IdentityStatus | undefined
  listeners(): readonly ListenerStatus[]
  clusters(): readonly ClusterStatus[]
  /** Stops accepting. Graceful: tells the clients first and lets what runs end. */
  drainListeners(options: DrainRequest): void
  /**
   * Starts a successor, with so many workers if that is to change; absent where nobody can.
   * False: there is one already.
   */
  readonly upgrade: ((concurrency: number | undefined) => boolean) | undefined
  /** Why the last try at a successor failed. */
  upgradeFailure?(): string | undefined
  quit(): void
  /** Absent: this process carries the traffic itself. */
  readonly workers?: WorkersView
}

/** What a supervisor adds: others do the work, and have to be asked and told. */
export interface WorkersView {
  /** Resolves when the others' numbers are new, or have been waited for long enough. */
  refresh(): Promise<void>
  setLogLevel(level: LogLevel, component: string | undefined): void
  memoryBytes(): number
  /** How many there are to be. */
  readonly concurrency: number
  list(): readonly WorkerRow[]
}

export interface WorkerRow {
  readonly pid: number
  readonly state: string
  readonly restarts: number
  readonly memoryBytes: number
  readonly connections: number
}

/** Envoy's server states. */
export type ProxyState = 'PRE_INITIALIZING' | 'LIVE' | 'DRAINING'

export interface Configuration {
  readonly update: ResourceUpdate
  /** Wall clock: when each resource last changed, by `type/name`. */
  readonly changedAtMs: ReadonlyMap<string, number>
}

export interface DrainRequest {
  readonly graceful: boolean
  readonly inboundOnly: boolean
}

interface ListenerStatus {
  readonly name: string
  /** As bound. */
  readonly address: SocketAddress
  readonly connections: number
}

export interface ClusterStatus {
  readonly cluster: Cluster
  readonly inUse: {
    readonly connections: number
    readonly pending: number
    readonly requests: number
    readonly retries: number
  }
  readonly hosts: readonly HostStatus[]
}

export interface HostStatus {
  readonly address: SocketAddress
  /** Empty for endpoints outside the mesh. */
  readonly workload: string
  readonly weight: number
  readonly health: 'healthy' | 'unhealthy' | 'draining'
  readonly ejected: boolean
  /** By active health checks. */
  readonly failedCheck?: boolean
  readonly activeRequests: number
  readonly activeConnections: number
}

const TEXT = 'text/plain; charset=UTF-8'
export const JSON_TYPE = 'application/json'

export function textAnswer(body: string | Iterable<string>, status = 200): AdminAnswer {
  return { status, contentType: TEXT, body }
}

export function jsonAnswer(value: unknown): AdminAnswer {
  return { status: 200, contentType: JSON_TYPE, body: `${JSON.stringify(value, undefined, 1)}\n` }
}

/** As Envoy's proto3 JSON writes an address. */
export function addressJson(address: SocketAddress): {
  readonly socket_address: { readonly address: string; readonly port_value: number }
} {
  return { socket_address: { address: address.host, port_value: address.port } }
}
