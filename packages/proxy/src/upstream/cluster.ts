/**
 * A cluster at run time: limits, balancer, outlier detection and the connections
 * to its endpoints. Lives on across configuration changes as long as the cluster
 * keeps its name; `configure` and `updateEndpoints` change it in place.
 *
 *     pick ──► host ──► poolOf(host) ──► connection
 */
import type { Cluster, Endpoints, SocketAddress } from '@weft/model'
import { renderAddress } from '@weft/model'
import {
  type AttemptResult,
  ClusterHosts,
  type ClusterHostsDeps,
  ClusterLimits,
  Host,
  LatencyQuantiles,
  type PickRequest,
} from '@weft/traffic'
import type { EngineDeps } from '../exchange/contract.ts'
import {
  type ConnectionPurpose,
  connectUpstream,
  purposeKey,
  towards,
} from '../tls/connect-upstream.ts'
import { EjectionStats } from './ejection-stats.ts'
import { HealthChecker } from './health-check.ts'
import { HttpPool } from './pool.ts'

/** Addresses that requests name themselves (forward proxy, original destination) are remembered up to here. */
const MAX_NAMED_HOSTS = 1_024
/** With more pools for one client or name each, those that have no connection are forgotten. */
const MAX_EMPTY_POOLS = 64

export class UpstreamCluster {
  readonly limits: ClusterLimits
  /** Connections outside the pools: TCP proxying and tunnels. */
  rawConnections = 0
  #model: Cluster
  readonly #deps: EngineDeps
  readonly #hosts: ClusterHosts
  #checker: HealthChecker | undefined
  /** Whether anybody was ever sent here; checks of idle clusters may be rarer. */
  #used = false
  #latencies: LatencyQuantiles | undefined
  #closed = false
  readonly #pools = new Map<Host, HttpPool>()
  /** Of connections that are for one client, or one server name, only. */
  readonly #apart = new Map<Host, Map<string, HttpPool>>()
  readonly #named = new Map<string, Host>()

  /**
   * @param endpoints Their addresses are IP literals: names are resolved before.
   * @throws {ConfigError} When the balancing policy is not supported.
   */
  constructor(model: Cluster, endpoints: Endpoints | undefined, deps: EngineDeps) {
    this.#model = model
    this.#deps = deps
    const { clock, filterStats } = deps
    const ejections = new EjectionStats(filterStats, model.name)
    this.limits = new ClusterLimits(model.limits, model.retryBudget, () => clock.monotonicMs())
    this.#hosts = this.#createHosts((totals) => ejections.told(totals))
    if (endpoints !== undefined) this.updateEndpoints(endpoints)
    this.#configureChecks()
  }

  get model(): Cluster {
    return this.#model
  }

  get hosts(): readonly Host[] {
    return this.#named.size === 0 ? this.#hosts.all : [...this.#named.values()]
  }

  /** Newest settings of the same cluster. Connections and counts stay. */
  configure(model: Cluster): void {
    const before = this.#model
    this.#model = model
    this.limits.configure(model.limits, model.retryBudget)
    this.#hosts.configure(model)
    if (JSON.stringify(before.healthChecks) !== JSON.stringify(model.healthChecks)) {
      this.#configureChecks()
    }
  }

  #createHosts(onEjections: ClusterHostsDeps['onEjections']): ClusterHosts {
    const { random, clock, locality: place } = this.#deps
    const told = onEjections === undefined ? {} : { onEjections }
    return new ClusterHosts(this.#model, { random, clock, place, ...told })
  }

  updateEndpoints(endpoints: Endpoints): void {
    const hosts = this.#model.autoTls === true ? this.#hosts.all : []
    const before = new Map(hosts.map((host) => [host, host.endpoint.tlsMode]))
    const gone = this.#hosts.update(endpoints)
    for (const host of gone) this.#dropPool(host)
    // Connections that are open are not what this endpoint is to be called by any more.
    for (const [host, mode] of before) if (mode !== host.endpoint.tlsMode) this.#dropPool(host)
    if (this.#checker === undefined) return
    this.#checker.update(this.#hosts.all)
    this.#hosts.healthChanged()
  }

  #dropPool(host: Host): void {
    this.#pools.get(host)?.close()
    this.#pools.delete(host)
    for (const pool of this.#apart.get(host)?.values() ?? []) pool.close()
    this.#apart.delete(host)
  }

  /** `undefined`: no endpoint may be used now. */
  pick(request: PickRequest): Host | undefined {
    return this.#hosts.pick(request)
  }

  /** The host for an address that a request names itself. */
  named(address: SocketAddress, hostname: string): Host | undefined {
    const key = `${hostname} ${renderAddress(address)}`
    const known = this.#named.get(key)
    if (known !== undefined) return known
    if (this.#named.size >= MAX_NAMED_HOSTS) this.#forgetNamed()
    const endpoint = { address, weight: 1, health: 'healthy' } as const
    const host = new Host(renderAddress(address), endpoint)
    host.startedAtMs = this.#deps.clock.monotonicMs()
    this.#named.set(key, host)
    return host
  }

  /** Makes room: the oldest half that nobody uses goes. */
  #forgetNamed(): void {
    let left = MAX_NAMED_HOSTS / 2
    for (const [key, host] of this.#named) {
      if (left-- === 0) return
      if (host.activeRequests > 0) continue
      this.#named.delete(key)
      this.#dropPool(host)
    }
  }

  /** Of its answers; counted from the first call on, for those who hedge by it. */
  latencies(): LatencyQuantiles {
    this.#latencies ??= new LatencyQuantiles()
    return this.#latencies
  }

  poolOf(host: Host): HttpPool {
    const known = this.#pools.get(host)
    if (known !== undefined) return known
    this.#used = true
    const pool = new HttpPool(this, host, this.#deps)
    this.#pools.set(host, pool)
    return pool
  }

  /** Connections are not for anybody: they say who the client is, or which host is meant. */
  get separates(): boolean {
    const { proxyProtocol, tls } = this.#model
    return proxyProtocol !== undefined || tls?.autoSni === true || tls?.autoSanValidation === true
  }

  /** The pool of connections that may carry this request: where they differ, it is one of its own. */
  poolFor(host: Host, purpose: ConnectionPurpose): HttpPool {
    const key = purposeKey(this.#model, purpose)
    if (key === '') return this.poolOf(host)
    const apart = this.#apart.get(host) ?? new Map<string, HttpPool>()
    const known = apart.get(key)
    if (known !== undefined) return known
    if (apart.size >= MAX_EMPTY_POOLS) {
      for (const [other, pool] of apart) if (pool.allConnections === 0) apart.delete(other)
    }
    this.#used = true
    const pool = new HttpPool(this, host, this.#deps, purpose)
    apart.set(key, pool)
    this.#apart.set(host, apart)
    return pool
  }

  connectionsOf(host: Host): number {
    let connections = this.#pools.get(host)?.allConnections ?? 0
    for (const pool of this.#apart.get(host)?.values() ?? []) connections += pool.allConnections
    return connections
  }

  /** An attempt ended: what that says of the host, for outlier detection and for the balancer. */
  noteDone(host: Host, result: AttemptResult, nowMs: number): void {
    const { status, latencyMs } = result
    if (status === undefined) {
      this.noteFailure(host, nowMs, latencyMs)
      return
    }
    this.#hosts.noteDone(host, result, nowMs)
    this.#latencies?.record(latencyMs)
  }

  /** A response came: what its status says of the host. */
  noteStatus(host: Host, status: number, nowMs: number): void {
    this.#hosts.noteStatus(host, status, nowMs)
  }

  /** No response came: refused, reset or timed out. */
  noteFailure(host: Host, nowMs: number, latencyMs = 0): void {
    this.#hosts.noteFailure(host, nowMs, latencyMs)
  }

  #configureChecks(): void {
    const { healthChecks } = this.#model
    const hosts = this.#hosts.all
    this.#checker?.stop()
    this.#checker = undefined
    for (const host of hosts) host.failedCheck = false
    if (healthChecks !== undefined && healthChecks.length > 0 && !this.#closed) {
      const { clock, random } = this.#deps
      this.#checker = new HealthChecker(healthChecks, hosts, {
        clock,
        random,
        connect: (host, address, handler) =>
          connectUpstream(towards(this.#model, host.endpoint), address, handler, this.#deps),
        cluster: this.#model.name,
        hasTraffic: () => this.#used,
        onChange: (host) => this.#noteCheck(host),
      })
    }
    this.#hosts.healthChanged()
  }

  /** A host that passes a check may come back at once, whatever it did before (as in Envoy). */
  #noteCheck(host: Host): void {
    if (host.ejected && !host.failedCheck) this.#hosts.forgive(host)
    this.#hosts.healthChanged()
  }

  /** No new requests will come; what runs goes on and its connections close when it ends. */
  close(): void {
    this.#closed = true
    this.#hosts.close()
    this.#checker?.stop()
    for (const pool of this.#pools.values()) pool.close()
    for (const apart of this.#apart.values()) for (const pool of apart.values()) pool.close()
  }
}
