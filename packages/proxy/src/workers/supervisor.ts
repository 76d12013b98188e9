/**
 * One proxy in several processes. This one carries no traffic: it has the one connection
 * to the control plane, the listening sockets, the admin port, and the workers.
 *
 *     control plane ──► feed ──► what changed ──► each worker
 *                         ▲                          │ health, numbers, sockets
 *     admin port ──► merged view ◄───────────────────┘
 *
 * Towards the control plane and whoever scrapes it is one proxy.
 */
import { type Logger, renderDuration, watchClockJumps } from '@weft/base'
import type { Listener, OfferedPort, SocketAddress } from '@weft/model'
import { createNodeTransport } from '@weft/net'
import { loadCodec, type ResourceUpdate, type XdsNode } from '@weft/xds'
import { type AdminServer, openAdminServer } from '../admin/admin-server.ts'
import type { ProxyState, ProxyView } from '../admin/endpoint.ts'
import { bindAddress } from '../bind-address.ts'
import { resourceProblem } from '../build/validate.ts'
import { type ConfigFeed, openConfigFeed } from '../config-feed.ts'
import { ConfigurationLog } from '../configuration-log.ts'
import { drainOnFatalError } from '../fatal-errors.ts'
import { FreePorts } from '../free-ports.ts'
import { withLocalSecrets } from '../identity/local-secrets.ts'
import { openIdentity } from '../identity/open-identity.ts'
import type { WorkloadIdentity } from '../identity/workload-identity.ts'
import { type BoundPorts, nodeOf, renderProxy } from '../node-identity.ts'
import type { ProxyDeps, ProxyHandle } from '../proxy-handle.ts'
import type { ProxyOptions } from '../proxy-options.ts'
import {
  ADMIN_SOCKET,
  type HandedSocket,
  type HandedSockets,
  socketKey,
} from '../upgrade/handed-sockets.ts'
import { LimitCounts } from './limit-counts.ts'
import type {
  FromWorker,
  ToWorker,
  TransportStatus,
  WorkerEvents,
  WorkerProcess,
} from './messages.ts'
import { resourceDelta } from './resource-delta.ts'
import { SocketBroker } from './socket-broker.ts'
import { SupervisorView } from './supervisor-view.ts'
import { type Worker, WorkerPool } from './worker-pool.ts'

export interface SupervisorDeps extends Omit<ProxyDeps, 'handed' | 'transport' | 'worker'> {
  readonly handed?: HandedSockets
  spawn(index: number, events: WorkerEvents): WorkerProcess
}

/** What a worker that ignores its orders gets after they should be done. */
const CLOSE_MS = 2_000

/**
 * Resolves when every worker has opened the sockets that must be open before the first
 * configuration, and the admin port answers.
 *
 * @throws The system's error when one of them cannot be bound.
 */
export async function startSupervisor(
  options: ProxyOptions,
  concurrency: number,
  deps: SupervisorDeps,
): Promise<ProxyHandle> {
  const supervisor = new Supervisor(options, concurrency, deps)
  try {
    await supervisor.start()
  } catch (error) {
    await supervisor.close()
    throw error
  }
  return supervisor
}

class Supervisor implements ProxyHandle {
  readonly ready: Promise<void>
  readonly #options: ProxyOptions
  readonly #concurrency: number
  readonly #deps: SupervisorDeps
  readonly #log: Logger
  readonly #pool: WorkerPool
  readonly #broker: SocketBroker
  readonly #limits: LimitCounts
  readonly #ports: FreePorts
  readonly #configuration = new ConfigurationLog()
  readonly #startedAtMs: number
  /** The set that each worker was last told of. */
  readonly #told = new Map<Worker, ResourceUpdate>()
  /** Configurations that some worker has not in force yet. */
  #taking: { readonly id: number; readonly left: Set<Worker>; readonly resolve: () => void }[] = []
  #lastId = 0
  readonly #health = new Map<Worker, { readonly healthy: boolean; readonly message: string }>()
  #view: SupervisorView | undefined
  #bound: BoundPorts = { outbound: undefined, offers: [] }
  #transport: TransportStatus = { name: '', fallbackReason: '' }
  #state: ProxyState = 'PRE_INITIALIZING'
  #reported: string | undefined
  #becomeReady: () => void = () => undefined
  #allUp: { resolve(): void; reject(error: Error): void } | undefined
  #admin: AdminServer | undefined
  #feed: ConfigFeed | undefined
  #identity: WorkloadIdentity | undefined
  #forgetErrors: (() => void) | undefined
  #stopJumps: (() => void) | undefined
  #ending: Promise<void> | undefined
  #closing: Promise<void> | undefined

  constructor(options: ProxyOptions, concurrency: number, deps: SupervisorDeps) {
    this.#options = options
    this.#concurrency = concurrency
    this.#limits = new LimitCounts(concurrency)
    this.#deps = deps
    this.#log = deps.logs.logger('supervisor')
    this.#startedAtMs = deps.clock.monotonicMs()
    this.ready = new Promise((resolve) => {
      this.#becomeReady = resolve
    })
    this.#pool = new WorkerPool(concurrency, {
      clock: deps.clock,
      log: this.#log,
      spawn: (index, events) => deps.spawn(index, events),
      onMessage: (worker, message, handle) => this.#hear(worker, message, handle),
      onGone: (worker) => this.#gone(worker),
    })
    this.#broker = new SocketBroker({
      ...(deps.handed === undefined ? {} : { handed: deps.handed }),
      give: (index, key, order, handle) =>
        this.#order(index, { kind: 'socket', key, order }, handle),
      standIn: (index, key, slot, handle) =>
        this.#order(index, { kind: 'stand in', key, slot }, handle),
      standDown: (index, key, slot) => this.#order(index, { kind: 'stand down', key, slot }),
    })
    this.#ports = new FreePorts({
      clock: deps.clock,
      log: this.#log,
      transport: createNodeTransport(),
      isOurs: ({ name, address }) =>
        this.#broker.has(socketKey(name, address)) || this.#broker.hasPort(address.port),
      onFree: (names) => this.#feed?.askAgain?.(names),
    })
  }

  get admin(): SocketAddress | undefined {
    return this.#admin?.address
  }

  get adminToken(): string | undefined {
    return this.#admin?.token
  }

  get outbound(): SocketAddress | undefined {
    return this.#bound.outbound
  }

  get offers(): readonly OfferedPort[] {
    return this.#bound.offers
  }

  listeners(): ReadonlyMap<string, SocketAddress> {
    const listeners = this.#view?.listeners() ?? []
    return new Map(listeners.map(({ name, address }) => [name, address]))
  }

  async reopenLogs(): Promise<void> {
    this.#pool.send({ kind: 'reopen logs' })
  }

  async start(): Promise<void> {
    const { admin, source } = this.#options
    const { clock, random, logs, handed, onQuit } = this.#deps
    const allUp = new Promise<void>((resolve, reject) => {
      this.#allUp = { resolve, reject }
    })
    this.#pool.start()
    await allUp
    this.#allUp = undefined
    const { id } = nodeOf(this.#options, this.#bound)
    this.#identity = await openIdentity(this.#options, id, this.#deps)
    const node = nodeOf(this.#options, this.#bound, this.#identity?.announced)
    const view = await this.#openView(node)
    if (admin !== undefined) {
      const inherited = handed?.take(ADMIN_SOCKET).inherited?.[0]
      this.#admin = await openAdminServer(admin, view, logs.logger('admin'), {
        ...(this.#deps.adminToken === undefined ? {} : { token: this.#deps.adminToken }),
        ...(inherited === undefined ? {} : { inherited }),
      })
    }
    const sink = {
      clock,
      log: logs.logger('xds'),
      random,
      validate: resourceProblem,
      unopenable: (came: readonly Listener[], gone: readonly string[]) =>
        this.#ports.check(
          came
            .filter(({ bindToPort }) => bindToPort)
            .map((one) => ({
              name: one.name,
              address: bindAddress(one, this.#options, this.#bound),
            })),
          gone,
        ),
      onUpdate: (update: ResourceUpdate) => this.#configure(update),
    }
    this.#feed = await openConfigFeed(source, node, withLocalSecrets(sink, this.#identity))
    this.#report()
    this.#stopJumps = watchClockJumps(clock, logs.logger('clock'))
    if (onQuit !== undefined) {
      this.#forgetErrors = drainOnFatalError(this, process, { log: this.#log, exit: onQuit })
    }
    const who = renderProxy(this.#options, this.#bound)
    this.#log.info('proxy is up', { who, workers: this.#concurrency })
  }

  /** Settles when every worker has it in force, or is gone. */
  #configure(update: ResourceUpdate): Promise<void> | undefined {
    if (this.#closing !== undefined) return undefined
    this.#configuration.record(update, this.#deps.clock.nowMs())
    const left = new Set(this.#pool.all.filter(({ phase }) => phase !== 'starting'))
    const id = ++this.#lastId
    for (const worker of left) this.#tell(worker, update)
    if (left.size === 0) return undefined
    return new Promise((resolve) => this.#taking.push({ id, left, resolve }))
  }

  #took(worker: Worker, id: number): void {
    for (const taking of this.#taking) if (taking.id <= id) taking.left.delete(worker)
    for (const { left, resolve } of this.#taking) if (left.size === 0) resolve()
    this.#taking = this.#taking.filter(({ left }) => left.size > 0)
  }

  #tell(worker: Worker, update: ResourceUpdate): void {
    const delta = resourceDelta(this.#told.get(worker), update)
    this.#told.set(worker, update)
    worker.process.send({ kind: 'config', id: this.#lastId, delta })
  }

  #hear(worker: Worker, message: FromWorker, handle: object | undefined): void {
    switch (message.kind) {
      case 'hello':
        this.#introduce(worker)
        return
      case 'take':
        this.#broker.take(worker.index, message.key)
        return
      case 'opened':
        this.#broker.opened(worker.index, message.key, message, handle)
        return
      case 'failed':
        this.#broker.failed(worker.index, message.key)
        return
      case 'released':
        // One that leaves gives back what the one in its place may have by now.
        if (worker.phase !== 'leaving' || this.#state === 'DRAINING') {
          this.#broker.released(worker.index, message.key)
        }
        return
      case 'up':
        this.#up(worker, message)
        return
      case 'applied':
        this.#took(worker, message.id)
        return
      case 'ready':
        if (worker.phase === 'up') worker.phase = 'ready'
        this.#settle()
        return
      case 'failing':
        this.#log.error('worker failed; it drains, another takes its place', {
          worker: worker.index,
          pid: worker.process.pid,
        })
        this.#pool.replace(worker)
        this.#broker.gone(worker.index)
        return
      case 'cannot start':
        this.#log.error('worker cannot start', { worker: worker.index, error: message.message })
        this.#allUp?.reject(Object.assign(new Error(message.message), { code: message.code }))
        return
      case 'health':
        this.#health.set(worker, message)
        this.#report()
        return
      case 'status':
        this.#view?.answered(worker, message.id)
        return
      case 'take tokens': {
        const grant = this.#limits.grant(message.question, message.needed, this.#nowMs())
        worker.process.send({ kind: 'tokens', id: message.id, grant })
        return
      }
      case 'give back tokens':
        this.#limits.giveBack(message.question, this.#nowMs())
    }
  }

  #nowMs(): number {
    return this.#deps.clock.monotonicMs()
  }

  #order(index: number, message: ToWorker, handle?: object): void {
    const worker = this.#pool.current.find((one) => one.index === index)
    worker?.process.send(message, handle)
  }

  #introduce(worker: Worker): void {
    const { source: _source, admin: _admin, identity: _identity, ...options } = this.#options
    worker.process.send({
      kind: 'start',
      place: { index: worker.index, count: this.#concurrency },
      options,
      levels: this.#deps.logs.levels(),
    })
  }

  #up(worker: Worker, up: Extract<FromWorker, { kind: 'up' }>): void {
    if (worker.phase === 'starting') worker.phase = 'up'
    this.#bound = { outbound: up.outbound, offers: up.offers }
    this.#transport = up.transport
    const newest = this.#configuration.newest
    if (newest !== undefined) this.#tell(worker, newest.update)
    const { current } = this.#pool
    const isAll =
      current.length === this.#concurrency && current.every((one) => one.phase !== 'starting')
    if (isAll) this.#allUp?.resolve()
  }

  /** The first time that every worker has its configuration the proxy is ready; it stays so while one is. */
  #settle(): void {
    this.#report()
    const { current } = this.#pool
    if (current.length < this.#concurrency || current.some(({ phase }) => phase !== 'ready')) return
    this.#broker.prune()
    if (this.#state !== 'PRE_INITIALIZING') return
    this.#state = 'LIVE'
    const tookMs = Math.round(this.#deps.clock.monotonicMs() - this.#startedAtMs)
    this.#log.info('first configuration is in force', {
      source: this.#configuration.newest?.update.source,
      workers: current.length,
      after: renderDuration(tookMs),
    })
    this.#becomeReady()
  }

  #gone(worker: Worker): void {
    this.#view?.gone(worker)
    this.#took(worker, this.#lastId)
    this.#told.delete(worker)
    this.#health.delete(worker)
    if (worker.phase !== 'leaving') this.#broker.gone(worker.index)
    this.#allUp?.reject(new Error('a worker ended before it was up; its log says why'))
    this.#report()
  }

  /** To the control plane, when it is news. */
  #report(): void {
    const feed = this.#feed
    if (feed === undefined) return
    const problem = this.#problem()
    if (this.#reported === (problem ?? '')) return
    this.#reported = problem ?? ''
    feed.reportHealth(problem === undefined, problem ?? '')
  }

  #problem(): string | undefined {
    if (this.#state === 'DRAINING') return 'draining'
    const ready = this.#pool.current.filter(({ phase }) => phase === 'ready')
    const isStarting = this.#state === 'PRE_INITIALIZING' && ready.length < this.#concurrency
    const told = isStarting ? this.#pool.current : ready
    if (told.length === 0) return 'no worker runs'
    for (const worker of told) {
      const health = this.#health.get(worker)
      if (health === undefined) return 'a worker has not said yet whether it is well'
      if (!health.healthy) return health.message
    }
    return undefined
  }

  drain(): Promise<void> {
    this.#ending ??= this.#drain()
    return this.#ending
  }

  async #drain(): Promise<void> {
    this.#state = 'DRAINING'
    this.#log.info('proxy drains')
    this.#report()
    await this.#pool.end({ kind: 'drain' })
    await this.close()
  }

  handOver(): readonly HandedSocket[] {
    const admin = this.#admin
    const own = admin === undefined ? [] : [{ key: ADMIN_SOCKET, handle: admin.server }]
    return [...own, ...this.#broker.handOver()]
  }

  leave(): Promise<void> {
    this.#ending ??= this.#leave()
    return this.#ending
  }

  async #leave(): Promise<void> {
    this.#state = 'DRAINING'
    this.#log.info('proxy leaves to its successor')
    this.#identity?.close()
    await this.#feed?.close()
    this.#feed = undefined
    await this.#admin?.close()
    this.#broker.close()
    await this.#pool.end({ kind: 'leave' })
    await this.close()
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#state = 'DRAINING'
    const cancel = this.#deps.clock.after(CLOSE_MS, () => this.#pool.kill())
    await this.#pool.end({ kind: 'close' })
    cancel()
    this.#broker.close()
    this.#identity?.close()
    await this.#feed?.close()
    await this.#admin?.close()
    this.#forgetErrors?.()
    this.#stopJumps?.()
    this.#ports.close()
    this.#log.info('proxy is closed')
  }

  async #openView(node: XdsNode): Promise<ProxyView> {
    const { clock, logs, onQuit, onUpgrade } = this.#deps
    const view = new SupervisorView(this.#pool, {
      ...{ options: this.#options, node, clock, logs },
      codec: await loadCodec(),
      startedAtMs: this.#startedAtMs,
      transport: () => this.#transport,
      state: () => this.#state,
      configuration: () => this.#configuration.newest,
      feedRejections: () => this.#feed?.rejections() ?? [],
      control: () => this.#feed?.control(),
      identity: () => this.#identity?.status(),
      upgrade: onUpgrade,
      upgradeFailure: () => this.#deps.upgradeFailure?.(),
      quit: () => void this.drain().then(() => onQuit?.(0)),
    })
    this.#view = view
    return view
  }
}
