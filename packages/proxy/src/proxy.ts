/**
 * A running proxy: everything else in this package, put together and kept in step.
 *
 *     feed ──► builder ──► listeners (outbound.ts, inbound.ts, gateway.ts)
 *      ▲                      │
 *      └── health report ◄────┴──── application probe
 *
 * Sockets for the application and its offers open first and hold whoever
 * connects; then the feed starts; its first configuration releases them.
 */
import { type Logger, renderDuration, watchClockJumps } from '@weft/base'
import type { Listener, OfferedPort, SocketAddress } from '@weft/model'
import { openFileLimit, type PickedTransport } from '@weft/net'
import { loadCodec, type Rejection, type ResourceUpdate, type XdsNode } from '@weft/xds'
import { type AdminServer, openAdminServer } from './admin/admin-server.ts'
import type { DrainRequest, ProxyState, ProxyView } from './admin/endpoint.ts'
import { startAppProbe } from './app-probe.ts'
import { bindAddress } from './bind-address.ts'
import type { ClusterStore } from './build/cluster-store.ts'
import type { RuntimeBuilder } from './build/runtime-builder.ts'
import { resourceProblem } from './build/validate.ts'
import { chooseTransport } from './choose-transport.ts'
import { type ConfigFeed, openConfigFeed } from './config-feed.ts'
import { ConfigurationLog } from './configuration-log.ts'
import { type DrainOptions, drainInbound, drainListeners } from './drain.ts'
import { drainOnFatalError } from './fatal-errors.ts'
import { FreePorts } from './free-ports.ts'
import { HealthReport } from './health-report.ts'
import { withLocalSecrets } from './identity/local-secrets.ts'
import { openIdentity, openWorkloadSocket } from './identity/open-identity.ts'
import type { WorkloadIdentity } from './identity/workload-identity.ts'
import { holdOffers } from './inbound.ts'
import { type BoundPorts, nodeOf, renderProxy } from './node-identity.ts'
import { registerServerMetrics } from './observe/server-metrics.ts'
import type { OpenListeners } from './open-listeners.ts'
import { holdOutbound } from './outbound.ts'
import type { OverloadManager } from './overload/overload-manager.ts'
import type { ProxyDeps, SingleProxy } from './proxy-handle.ts'
import { DEFAULT_TIMINGS, type ProxyOptions, type ProxyTimings } from './proxy-options.ts'
import { buildProxyParts } from './proxy-parts.ts'
import type { ProxyTelemetry } from './proxy-telemetry.ts'
import { clusterStatus } from './proxy-view.ts'
import { ADMIN_SOCKET, type HandedSocket, socketKey } from './upgrade/handed-sockets.ts'
import { CONTROL_CLUSTER, type ControlQuestions } from './upstream/control-questions.ts'
import { callGrpc } from './upstream/grpc-call.ts'

const SWEEP_MS = 10_000

/**
 * Resolves when the sockets that must be open before the first configuration
 * are, and the admin port answers; `ready` waits for the configuration itself.
 *
 * @throws The system's error when one of them cannot be bound.
 */
export function startProxy(options: ProxyOptions, deps: ProxyDeps): Promise<SingleProxy> {
  return start(options, deps)
}

/** One of several processes, for the supervisor of them. */
export interface WorkerProxy extends SingleProxy {
  /** Accepts on the socket of a worker that is missing, too. */
  standIn(key: string, slot: number, handle: object): void
  standDown(key: string, slot: number): void
}

/** As `startProxy`. */
export function startWorkerProxy(options: ProxyOptions, deps: ProxyDeps): Promise<WorkerProxy> {
  return start(options, deps)
}

async function start(options: ProxyOptions, deps: ProxyDeps): Promise<RunningProxy> {
  const picked: PickedTransport =
    deps.transport === undefined
      ? await chooseTransport(options.transport)
      : { transport: deps.transport, fallbackReason: undefined }
  const proxy = new RunningProxy(options, picked, deps, await openFileLimit())
  try {
    await proxy.start()
  } catch (error) {
    await proxy.close()
    throw error
  }
  return proxy
}

class RunningProxy implements WorkerProxy {
  readonly ready: Promise<void>
  readonly #options: ProxyOptions
  readonly #timings: ProxyTimings
  readonly #deps: ProxyDeps
  readonly #picked: PickedTransport
  readonly #log: Logger
  readonly #telemetry: ProxyTelemetry
  readonly #clusters: ClusterStore
  readonly #builder: RuntimeBuilder
  readonly #listeners: OpenListeners
  readonly #overload: OverloadManager | undefined
  readonly #configuration = new ConfigurationLog()
  readonly #control: ControlQuestions | undefined
  readonly #health: HealthReport
  readonly #ports: FreePorts
  /** Listeners in force that do not open, and that the control plane was asked for again. */
  #askedAgain: ReadonlySet<string> = new Set()
  readonly #startedAtMs: number
  #bound: BoundPorts = { outbound: undefined, offers: [] }
  #state: ProxyState = 'PRE_INITIALIZING'
  #becomeReady: () => void = () => undefined
  #admin: AdminServer | undefined
  #feed: ConfigFeed | undefined
  #identity: WorkloadIdentity | undefined
  #closeSocket: (() => Promise<void>) | undefined
  #stopProbe: (() => void) | undefined
  #cancelSweep: (() => void) | undefined
  #stopJumps: (() => void) | undefined
  #forgetErrors: (() => void) | undefined
  #closing: Promise<void> | undefined
  #draining: Promise<void> | undefined

  constructor(
    options: ProxyOptions,
    picked: PickedTransport,
    deps: ProxyDeps,
    fileLimit: number | undefined,
  ) {
    this.#options = options
    this.#timings = { ...DEFAULT_TIMINGS, ...options.timings }
    this.#deps = deps
    this.#picked = picked
    this.#log = deps.logs.logger('proxy')
    this.#startedAtMs = deps.clock.monotonicMs()
    this.ready = new Promise((resolve) => {
      this.#becomeReady = resolve
    })
    const secretOf = (name: string) => this.#configuration.newest?.update.set.secret.get(name)
    const own = { ...deps, ...deps.worker, fileLimit, secretOf }
    const parts = buildProxyParts(options, picked.transport, own, () => this.#applied())
    this.#telemetry = parts.telemetry
    this.#clusters = parts.clusters
    this.#builder = parts.builder
    this.#listeners = parts.listeners
    this.#overload = parts.overload
    this.#control = parts.control
    this.#health = new HealthReport({
      configured: false,
      listenerProblem: undefined,
      appProblem: this.#probes() ? 'the application was not asked yet' : undefined,
      draining: false,
    })
    this.#ports = new FreePorts({
      clock: deps.clock,
      log: this.#log,
      transport: picked.transport,
      isOurs: ({ name, address }) =>
        this.#listeners.hasPort(address) || deps.handed?.has?.(socketKey(name, address)) === true,
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
    return new Map(this.#listeners.list().map(({ name, address }) => [name, address]))
  }

  standIn(key: string, slot: number, handle: object): void {
    this.#listeners.standIn(key, slot, handle)
  }

  standDown(key: string, slot: number): void {
    this.#listeners.standDown(key, slot)
  }

  reopenLogs(): Promise<void> {
    return this.#telemetry.logs.reopen()
  }

  async start(): Promise<void> {
    const { outbound, offers = [], admin, source } = this.#options
    const { clock, random, logs, worker } = this.#deps
    this.#bound = {
      outbound: outbound && (await holdOutbound(this.#listeners, outbound)),
      offers: await holdOffers(this.#listeners, offers),
    }
    const { id } = nodeOf(this.#options, this.#bound)
    const identity = await openIdentity(this.#options, id, this.#deps)
    this.#identity = identity
    this.#closeSocket = await openWorkloadSocket(this.#options, identity, id, this.#deps)
    const node = nodeOf(this.#options, this.#bound, this.#identity?.announced)
    const view = await this.#view(node)
    if (worker === undefined) registerServerMetrics(this.#telemetry.registry, view, clock)
    else worker.onView(view)
    if (admin !== undefined) {
      const inherited = (await this.#deps.handed?.take(ADMIN_SOCKET))?.inherited?.[0]
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
            .map((one) => ({ name: one.name, address: this.#addressOf(one) })),
          gone,
        ),
      onUpdate: (update: ResourceUpdate) => this.#apply(update),
    }
    const feed = await openConfigFeed(source, node, withLocalSecrets(sink, this.#identity))
    this.#feed = feed
    this.#askAgain()
    this.#health.connect((healthy, message) => feed.reportHealth(healthy, message))
    this.#startProbe()
    this.#sweep()
    this.#overload?.start()
    // A worker's supervisor sees the same clock.
    if (worker === undefined) this.#stopJumps = watchClockJumps(clock, logs.logger('clock'))
    const { onQuit } = this.#deps
    if (onQuit !== undefined) {
      this.#forgetErrors = drainOnFatalError(this, process, { log: this.#log, exit: onQuit })
    }
    this.#log.info('proxy is up', { who: renderProxy(this.#options, this.#bound) })
  }

  #apply(update: ResourceUpdate): Promise<void> | undefined {
    if (this.#closing !== undefined) return undefined
    const { clock, onConfiguration } = this.#deps
    const set = onConfiguration?.(update.set) ?? update.set
    const runtimes = this.#builder.build(set)
    const wanted = new Map(
      [...set.listener].flatMap(([name, listener]) => {
        const runtime = runtimes.get(name)
        return runtime === undefined || !listener.bindToPort
          ? []
          : [[name, { address: this.#addressOf(listener), runtime }] as const]
      }),
    )
    this.#configuration.record(update, clock.nowMs())
    // Who leaves opens nothing; endpoints and limits still matter to what runs.
    return this.#state === 'DRAINING' ? undefined : this.#listeners.apply(wanted)
  }

  #addressOf(listener: Listener): SocketAddress {
    return bindAddress(listener, this.#options, this.#bound)
  }

  /** The newest trees are published, as far as their ports were free. */
  #applied(): void {
    // Until now an older tree may have been asked for a cluster.
    this.#clusters.releaseGone()
    // One port that is taken is no reason to refuse what comes in by the others.
    const [first] = [...this.#listeners.problems.values(), ...this.#ports.problems.values()]
    this.#askAgain()
    const problem = this.#listeners.list().length === 0 ? first : undefined
    this.#health.update({ configured: true, listenerProblem: problem })
    if (this.#state !== 'PRE_INITIALIZING' || problem !== undefined) return
    this.#state = 'LIVE'
    const tookMs = Math.round(this.#deps.clock.monotonicMs() - this.#startedAtMs)
    this.#log.info('first configuration is in force', {
      source: this.#configuration.newest?.update.source,
      listeners: this.#listeners.list().length,
      after: renderDuration(tookMs),
    })
    this.#becomeReady()
  }

  /** What did not open was accepted, perhaps from disk: the control plane has to hear that. */
  #askAgain(): void {
    const closed = new Set(this.#listeners.problems.keys())
    const feed = this.#feed
    if (feed === undefined) return
    const news = [...closed].filter((name) => !this.#askedAgain.has(name))
    this.#askedAgain = closed
    if (news.length > 0) feed.askAgain?.(news)
  }

  drain(): Promise<void> {
    this.#draining ??= this.#drain()
    return this.#draining
  }

  async drainInbound(): Promise<void> {
    await drainInbound(this.#listeners, this.#beginDrain(), this.#deps.clock)
  }

  async #drain(): Promise<void> {
    await drainListeners(this.#listeners, this.#beginDrain(), this.#deps.clock)
    await this.close()
  }

  #beginDrain(): DrainOptions {
    const { drainNoticeMs, drainBusyMs: busyMs, drainMs } = this.#timings
    this.#state = 'DRAINING'
    this.#log.info('proxy drains', { connections: this.#listeners.connections })
    this.#health.update({ draining: true })
    // Nobody sends anything to a proxy that never had a configuration: nothing to wait for.
    const noticeMs = this.#configuration.newest === undefined ? 0 : drainNoticeMs
    return { role: this.#options.role, noticeMs, busyMs, drainMs }
  }

  handOver(): readonly HandedSocket[] {
    const admin = this.#admin
    const own = admin === undefined ? [] : [{ key: ADMIN_SOCKET, handle: admin.server }]
    return [...own, ...this.#listeners.handOver()]
  }

  leave(): Promise<void> {
    this.#draining ??= this.#leave()
    return this.#draining
  }

  /** The successor speaks for the workload already: nobody is told that it is unhealthy. */
  async #leave(): Promise<void> {
    const { upgradeIdleMs, upgradeDrainMs } = this.#timings
    this.#state = 'DRAINING'
    this.#log.info('proxy leaves to its successor', { connections: this.#listeners.connections })
    this.#stopProbe?.()
    await this.#feed?.close()
    this.#feed = undefined
    await this.#admin?.close()
    this.#listeners.announceDrain(() => true)
    await this.#listeners.stopAccepting(() => true)
    await this.#listeners.drain({ idleMs: upgradeIdleMs, deadlineMs: upgradeDrainMs })
    await this.close()
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#state = 'DRAINING'
    this.#stopProbe?.()
    this.#cancelSweep?.()
    this.#overload?.stop()
    this.#stopJumps?.()
    this.#ports.close()
    await this.#closeSocket?.()
    this.#identity?.close()
    await this.#listeners.close()
    this.#clusters.close()
    await this.#feed?.close()
    await this.#telemetry.logs.close()
    await this.#admin?.close()
    // Last, so that an error of the end itself is heard.
    this.#forgetErrors?.()
    this.#log.info('proxy is closed')
  }

  #probes(): boolean {
    return (this.#options.offers ?? []).length > 0
  }

  tellAppProblem(problem: string | undefined): void {
    this.#health.update({ appProblem: problem })
  }

  askCluster(
    ...[name, question, done]: Parameters<SingleProxy['askCluster']>
  ): ReturnType<SingleProxy['askCluster']> {
    const cluster = this.#clusters.clusters.get(name)
    if (cluster !== undefined) return callGrpc(cluster, question, this.#deps.clock, done)
    return name === CONTROL_CLUSTER ? this.#control?.ask(question, done) : undefined
  }

  #startProbe(): void {
    if (!this.#probes() || this.#options.appHealth === 'told') return
    const { probeIntervalMs, probeTimeoutMs } = this.#timings
    this.#stopProbe = startAppProbe(
      {
        targets: this.#bound.offers.map(({ appAddress, appPort }) => ({
          host: appAddress,
          port: appPort,
        })),
        intervalMs: probeIntervalMs,
        timeoutMs: probeTimeoutMs,
      },
      {
        transport: this.#picked.transport,
        clock: this.#deps.clock,
        onHealth: (healthy, message) => {
          this.#log.info('application probed', { healthy, because: message })
          this.#health.update({ appProblem: healthy ? undefined : message })
        },
      },
    )
  }

  /** Lets metrics of what nobody calls any more expire. */
  #sweep(): void {
    const { clock } = this.#deps
    this.#telemetry.registry.sweep(clock.monotonicMs())
    this.#cancelSweep = clock.after(SWEEP_MS, () => this.#sweep())
  }

  async #view(node: XdsNode): Promise<ProxyView> {
    const { clock, logs, onQuit } = this.#deps
    const { transport, fallbackReason = '' } = this.#picked
    return {
      options: this.#options,
      node,
      clock,
      logs,
      registry: this.#telemetry.registry,
      codec: await loadCodec(),
      startedAtMs: this.#startedAtMs,
      transport: { name: transport.name, fallbackReason },
      state: () => this.#state,
      configuration: () => this.#configuration.newest,
      rejections: () => [...this.#unopened(), ...(this.#feed?.rejections() ?? [])],
      control: () => this.#feed?.control(),
      identity: () => this.#identity?.status(),
      listeners: () => this.#listeners.list(),
      clusters: () => [...this.#clusters.clusters.values()].map(clusterStatus),
      drainListeners: (request) => this.#drainListeners(request),
      upgrade: this.#deps.onUpgrade,
      upgradeFailure: () => this.#deps.upgradeFailure?.(),
      quit: () => void this.drain().then(() => onQuit?.(0)),
    }
  }

  /** Listeners that were accepted but cannot be opened here. */
  #unopened(): Rejection[] {
    const atMs = this.#deps.clock.nowMs()
    return [...this.#listeners.problems].map(([name, problem]) => {
      const version = this.#configuration.newest?.update.versions.listener.get(name) ?? ''
      return { type: 'listener', name, version, problem, atMs }
    })
  }

  /** As Envoy's: the process stays. */
  #drainListeners({ graceful, inboundOnly }: DrainRequest): void {
    const includes = (direction: Listener['direction']) => !inboundOnly || direction === 'inbound'
    this.#listeners.announceDrain(includes)
    const stop = () => void this.#listeners.stopAccepting(includes)
    if (graceful) this.#deps.clock.after(this.#timings.drainNoticeMs, stop)
    else stop()
  }
}
