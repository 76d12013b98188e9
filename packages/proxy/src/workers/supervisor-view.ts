/** What the admin port of a supervisor shows: its workers' numbers added up, its own configuration. */

import type { Clock, LogLevel, LogScopes } from '@weft/base'
import type { MetricsRegistry } from '@weft/telemetry'
import type { AdsClientState, Rejection, ResourceCodec, XdsNode } from '@weft/xds'
import type {
  ClusterStatus,
  Configuration,
  DrainRequest,
  ProxyState,
  ProxyView,
  WorkersView,
} from '../admin/endpoint.ts'
import type { IdentityStatus } from '../identity/workload-identity.ts'
import { registerServerMetrics } from '../observe/server-metrics.ts'
import type { ProxyOptions } from '../proxy-options.ts'
import { mergeClusters, mergeListeners, mergeRejections } from './merged-status.ts'
import type { TransportStatus, WorkerStatus } from './messages.ts'
import { type MetricSnapshot, mergeSnapshots, registryOf, retire } from './metrics-snapshot.ts'
import type { Worker, WorkerPool } from './worker-pool.ts'

export interface SupervisorViewDeps {
  readonly options: ProxyOptions
  readonly node: XdsNode
  readonly clock: Clock
  readonly logs: LogScopes
  readonly codec: ResourceCodec
  readonly startedAtMs: number
  transport(): TransportStatus
  state(): ProxyState
  configuration(): Configuration | undefined
  feedRejections(): readonly Rejection[]
  control(): AdsClientState | undefined
  identity(): IdentityStatus | undefined
  readonly upgrade: ((concurrency: number | undefined) => boolean) | undefined
  upgradeFailure(): string | undefined
  quit(): void
}

/** A worker that is busy for longer is shown as it last said. */
const ANSWER_MS = 1_000

export class SupervisorView implements ProxyView {
  readonly options: ProxyOptions
  readonly node: XdsNode
  readonly clock: Clock
  readonly logs: LogScopes
  readonly codec: ResourceCodec
  readonly startedAtMs: number
  readonly upgrade: ((concurrency: number | undefined) => boolean) | undefined
  readonly workers: WorkersView
  readonly #pool: WorkerPool
  readonly #deps: SupervisorViewDeps
  #retired: readonly MetricSnapshot[] = []
  #registry: MetricsRegistry
  #asked = 0
  readonly #waiting = new Map<number, { readonly left: Set<Worker>; done(): void }>()

  constructor(pool: WorkerPool, deps: SupervisorViewDeps) {
    this.#pool = pool
    this.#deps = deps
    this.options = deps.options
    this.node = deps.node
    this.clock = deps.clock
    this.logs = deps.logs
    this.codec = deps.codec
    this.startedAtMs = deps.startedAtMs
    this.upgrade = deps.upgrade
    this.workers = {
      concurrency: pool.count,
      refresh: () => this.#refresh(),
      setLogLevel: (level, component) => this.#setLogLevel(level, component),
      memoryBytes: () =>
        this.#statuses().reduce(
          (sum, { memoryBytes }) => sum + memoryBytes,
          process.memoryUsage.rss(),
        ),
      list: () =>
        pool.current.map(({ index, process: { pid }, phase, status }) => ({
          ...{ pid, state: phase, restarts: pool.restarts[index] ?? 0 },
          memoryBytes: status?.memoryBytes ?? 0,
          connections: (status?.listeners ?? []).reduce((sum, one) => sum + one.connections, 0),
        })),
    }
    this.#registry = this.#merge()
  }

  get registry(): MetricsRegistry {
    return this.#registry
  }

  get transport(): TransportStatus {
    return this.#deps.transport()
  }

  state(): ProxyState {
    return this.#deps.state()
  }

  configuration(): Configuration | undefined {
    return this.#deps.configuration()
  }

  rejections(): readonly Rejection[] {
    return [...mergeRejections(this.#statuses()), ...this.#deps.feedRejections()]
  }

  control(): AdsClientState | undefined {
    return this.#deps.control()
  }

  identity(): IdentityStatus | undefined {
    return this.#deps.identity()
  }

  listeners() {
    return mergeListeners(this.#statuses())
  }

  clusters(): readonly ClusterStatus[] {
    const models = this.configuration()?.update.set.cluster ?? new Map()
    return mergeClusters(this.#statuses(), models)
  }

  drainListeners(request: DrainRequest): void {
    this.#pool.send({ kind: 'drain listeners', request })
  }

  upgradeFailure(): string | undefined {
    return this.#deps.upgradeFailure()
  }

  quit(): void {
    this.#deps.quit()
  }

  /** A worker told what its numbers are. */
  answered(worker: Worker, id: number | undefined): void {
    for (const component of worker.status?.levels.keys() ?? []) this.logs.logger(component)
    if (id !== undefined) this.#answeredOne(id, worker)
  }

  /** It is gone; what it counted stays counted. */
  gone(worker: Worker): void {
    if (worker.status !== undefined) this.#retired = retire(this.#retired, worker.status.metrics)
    for (const id of [...this.#waiting.keys()]) this.#answeredOne(id, worker)
  }

  #answeredOne(id: number, worker: Worker): void {
    const waiting = this.#waiting.get(id)
    if (waiting === undefined) return
    waiting.left.delete(worker)
    if (waiting.left.size === 0) waiting.done()
  }

  async #refresh(): Promise<void> {
    const id = ++this.#asked
    const left = new Set(this.#pool.all.filter(({ phase }) => phase !== 'starting'))
    await new Promise<void>((resolve) => {
      const cancel = this.clock.after(ANSWER_MS, () => done())
      const done = () => {
        cancel()
        this.#waiting.delete(id)
        resolve()
      }
      this.#waiting.set(id, { left, done })
      for (const worker of [...left]) {
        if (!worker.process.send({ kind: 'ask', id })) this.#answeredOne(id, worker)
      }
      if (left.size === 0) done()
    })
    this.#registry = this.#merge()
  }

  #merge(): MetricsRegistry {
    const snapshots = this.#statuses().map(({ metrics }) => metrics)
    const registry = registryOf(mergeSnapshots([...snapshots, this.#retired]))
    registerServerMetrics(registry, this, this.clock)
    return registry
  }

  #setLogLevel(level: LogLevel, component: string | undefined): void {
    const named = component === undefined ? {} : { component }
    this.#pool.send({ kind: 'log level', level, ...named })
  }

  #statuses(): readonly WorkerStatus[] {
    return this.#pool.all.flatMap(({ status }) => (status === undefined ? [] : [status]))
  }
}
