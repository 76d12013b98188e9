/**
 * The worker's side: a proxy whose configuration, listening sockets and orders come from
 * its supervisor, and whose numbers go there.
 */
import type { Clock, LogScopes } from '@weft/base'
import type { ResourceSinkDeps, ResourceUpdate } from '@weft/xds'
import type { ProxyView } from '../admin/endpoint.ts'
import { drainOnFatalError, type FatalErrorSource } from '../fatal-errors.ts'
import { startWorkerProxy, type WorkerProxy } from '../proxy.ts'
import type { ProxyHandle } from '../proxy-handle.ts'
import type { ConfigSource } from '../proxy-options.ts'
import type { SupervisorChannel, ToWorker, WorkerStatus } from './messages.ts'
import { snapshotMetrics } from './metrics-snapshot.ts'
import { applyDelta, type ResourceDelta } from './resource-delta.ts'
import { WorkerLimits } from './worker-limits.ts'
import { ClusterShares } from './worker-share.ts'
import { WorkerSockets } from './worker-sockets.ts'

/** A supervisor that hears nothing for a few of these ends the worker. */
const ALIVE_EVERY_MS = 1_000
/** What a worker that dies has counted since it last told is lost. */
const STATUS_EVERY_MS = 5_000

export interface WorkerDeps {
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly logs: LogScopes
  readonly errors: FatalErrorSource
  /** Of this process. */
  memoryBytes(): number
  exit(code: number): void
}

type Start = Extract<ToWorker, { kind: 'start' }>

/** Resolves never: the process ends when its supervisor says so, or ends. */
export function runWorker(channel: SupervisorChannel, deps: WorkerDeps): void {
  const sockets = new WorkerSockets((message, handle) => channel.send(message, handle))
  let worker: Worker | undefined
  channel.onMessage((message, handle) => {
    if (message.kind === 'socket') {
      sockets.given(message.key, message.order, handle)
    } else if (message.kind === 'start') {
      worker = new Worker(message, channel, sockets, deps)
      void worker.start()
    } else {
      worker?.obey(message, handle)
    }
  })
  channel.onEnd(() => {
    if (worker === undefined) deps.exit(1)
    else worker.end()
  })
  channel.send({ kind: 'hello' })
}

class Worker {
  readonly #start: Start
  readonly #channel: SupervisorChannel
  readonly #sockets: WorkerSockets
  readonly #deps: WorkerDeps
  readonly #shares: ClusterShares
  readonly #limits: WorkerLimits
  #proxy: WorkerProxy | undefined
  #view: ProxyView | undefined
  #sink: ResourceSinkDeps | undefined
  #update: ResourceUpdate | undefined

  constructor(start: Start, channel: SupervisorChannel, sockets: WorkerSockets, deps: WorkerDeps) {
    this.#start = start
    this.#channel = channel
    this.#sockets = sockets
    this.#deps = deps
    this.#shares = new ClusterShares(start.place)
    this.#limits = new WorkerLimits(start.place, deps.clock, (message) => channel.send(message))
  }

  async start(): Promise<void> {
    const { options, levels } = this.#start
    const { clock, random, logs } = this.#deps
    for (const [component, level] of levels) logs.setLevel(level, component)
    try {
      const proxy = await startWorkerProxy(
        { ...options, source: this.#source() },
        {
          ...{ clock, random, logs, handed: this.#sockets },
          worker: {
            limits: this.#limits,
            onView: (view) => {
              this.#view = view
            },
          },
        },
      )
      this.#proxy = proxy
      this.#replaceOnFatalError(proxy)
    } catch (error) {
      const { message, code } = error as NodeJS.ErrnoException
      this.#channel.send({ kind: 'cannot start', message, code })
      this.#deps.exit(1)
      return
    }
    const { outbound, offers, ready } = this.#proxy
    const transport = this.#view?.transport ?? { name: '', fallbackReason: '' }
    this.#channel.send({ kind: 'up', outbound, offers, transport })
    void ready.then(() => this.#channel.send({ kind: 'ready' }))
    this.#repeat(ALIVE_EVERY_MS, () => this.#channel.send({ kind: 'alive' }))
    this.#repeat(STATUS_EVERY_MS, () => this.#tell(undefined))
  }

  obey(message: Exclude<ToWorker, { kind: 'start' | 'socket' }>, handle?: object): void {
    switch (message.kind) {
      case 'stand in':
        if (handle !== undefined) this.#proxy?.standIn(message.key, message.slot, handle)
        return
      case 'stand down':
        this.#proxy?.standDown(message.key, message.slot)
        return
      case 'config':
        this.#configure(message.delta, message.id)
        return
      case 'tokens':
        this.#limits.granted(message.id, message.grant)
        return
      case 'ask':
        this.#tell(message.id)
        return
      case 'log level':
        this.#deps.logs.setLevel(message.level, message.component)
        return
      case 'drain listeners':
        this.#view?.drainListeners(message.request)
        return
      case 'reopen logs':
        void this.#proxy?.reopenLogs()
        return
      case 'drain':
        this.end()
        return
      case 'leave':
        this.#exitAfter(this.#proxy?.leave())
        return
      case 'close':
        this.#exitAfter(this.#proxy?.close())
    }
  }

  /** Lets what runs end, then is gone. */
  end(): void {
    this.#exitAfter(this.#proxy?.drain())
  }

  #exitAfter(work: Promise<void> | undefined): void {
    const { exit } = this.#deps
    void Promise.resolve(work).then(
      () => {
        this.#tell(undefined)
        exit(0)
      },
      () => exit(1),
    )
  }

  /** An error that nobody caught: a replacement is asked for before this one drains. */
  #replaceOnFatalError(proxy: ProxyHandle): void {
    const { errors, exit, logs } = this.#deps
    const drain = () => {
      this.#channel.send({ kind: 'failing' })
      return proxy.drain()
    }
    drainOnFatalError({ drain }, errors, { log: logs.logger('worker'), exit })
  }

  #source(): ConfigSource {
    return {
      kind: 'feed',
      open: async (sink) => {
        this.#sink = sink
        return {
          rejections: () => [],
          control: () => undefined,
          reportHealth: (healthy, message) =>
            this.#channel.send({ kind: 'health', healthy, message }),
          close: async () => undefined,
        }
      },
    }
  }

  #configure(delta: ResourceDelta, id: number): void {
    const whole = applyDelta(this.#update, delta)
    this.#update = whole
    const cluster = new Map([...whole.set.cluster].map(([name, c]) => [name, this.#shares.of(c)]))
    const inForce = this.#sink?.onUpdate({ ...whole, set: { ...whole.set, cluster } })
    const applied = () => this.#channel.send({ kind: 'applied', id })
    Promise.resolve(inForce).then(applied, applied)
  }

  #tell(id: number | undefined): void {
    const view = this.#view
    if (view !== undefined) {
      this.#channel.send({ kind: 'status', id, status: statusOf(view, this.#deps.memoryBytes()) })
    }
  }

  #repeat(everyMs: number, act: () => void): void {
    this.#deps.clock.after(everyMs, () => {
      act()
      this.#repeat(everyMs, act)
    })
  }
}

function statusOf(view: ProxyView, memoryBytes: number): WorkerStatus {
  return {
    state: view.state(),
    memoryBytes,
    metrics: snapshotMetrics(view.registry),
    listeners: view.listeners().map(({ name, address, connections }) => ({
      ...{ name, address, connections },
    })),
    clusters: view.clusters().map(({ cluster, inUse, hosts }) => ({
      ...{ name: cluster.name, inUse, hosts },
    })),
    rejections: view.rejections(),
    levels: view.logs.levels(),
  }
}
