/**
 * The hosts of a cluster in use: balancing, what attempts say of a host, and who is ejected for
 * how long. Lives on across configuration changes; every data plane has its own connections
 * beside it.
 *
 *     pick ──► host ──► attempt ──► noteDone | noteFailure ──► outlier detection ──► pick
 */
import type { Clock } from '@weft/base'
import type { Cluster, Endpoints, Locality } from '@weft/model'
import {
  type ClusterBalancer,
  type ClusterBalancerConfig,
  createClusterBalancer,
  DEFAULT_PANIC_PERCENT,
} from './load-balancers/cluster-balancer.ts'
import type { Host } from './load-balancers/host.ts'
import type { PickRequest } from './load-balancers/load-balancer.ts'
import { createOutlierDetector, type OutlierDetector, type OutlierTotals } from './outlier.ts'
import { type OutlierEvent, outlierEventOf } from './outlier-state.ts'

export interface ClusterHostsDeps {
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  /** Where the caller is; without it nothing is zone aware. */
  readonly place?: Locality | undefined
  /** Outlier detection counted something. */
  onEjections?(totals: OutlierTotals): void
}

/** Of one attempt. */
export interface AttemptResult {
  /** Absent: no response came, it was refused, reset or timed out. */
  readonly status?: number
  /** Until the response began, or the attempt was given up. */
  readonly latencyMs: number
}

export class ClusterHosts {
  #model: Cluster
  readonly #deps: ClusterHostsDeps
  readonly #balancer: ClusterBalancer
  #outlier: OutlierDetector | undefined
  #cancelSweep: (() => void) | undefined
  #closed = false

  /** @throws {ConfigError} When the balancing policy is not supported. */
  constructor(model: Cluster, deps: ClusterHostsDeps) {
    this.#model = model
    this.#deps = deps
    this.#balancer = createBalancer(model, deps)
    this.#configureOutlier()
  }

  /** All of the newest update. */
  get all(): readonly Host[] {
    return this.#balancer.hosts
  }

  /** Newest settings of the same cluster; counts stay. @throws {ConfigError} As the constructor. */
  configure(model: Cluster): void {
    const before = this.#model
    this.#model = model
    if (!isBalancedAlike(before, model)) {
      this.#balancer.configure(balancingOf(model, this.#deps.place))
    }
    this.#configureOutlier()
  }

  /** Newest endpoints; hosts whose address stays keep their counts. Returns those that went. */
  update(endpoints: Endpoints): readonly Host[] {
    return this.#balancer.update(endpoints)
  }

  /** `undefined`: no endpoint may be used now. */
  pick(request: PickRequest): Host | undefined {
    return this.#balancer.pick(request)
  }

  /** To be called after `failedCheck` of a host changed. */
  healthChanged(): void {
    this.#balancer.healthChanged()
  }

  /** The host proved to be well: it is back at once. */
  forgive(host: Host): void {
    this.#outlier?.forgive(host)
  }

  /** An attempt ended: what that says of the host. */
  noteDone(host: Host, { status, latencyMs }: AttemptResult, nowMs: number): void {
    if (status === undefined) {
      this.noteFailure(host, nowMs, latencyMs)
      return
    }
    this.noteStatus(host, status, nowMs)
    this.#balancer.observed(host, { latencyMs, failed: status >= 500 })
  }

  /** A response came: what its status says of the host. */
  noteStatus(host: Host, status: number, nowMs: number): void {
    if (this.#outlier === undefined) return
    const event = outlierEventOf(status, this.#model.outlierDetection?.errorCodes)
    this.#judge(host, event, nowMs)
  }

  /** No response came: refused, reset or timed out. */
  noteFailure(host: Host, nowMs: number, latencyMs = 0): void {
    this.#balancer.observed(host, { latencyMs, failed: true })
    this.#judge(host, 'localFailure', nowMs)
  }

  #judge(host: Host, event: OutlierEvent, nowMs: number): void {
    const detector = this.#outlier
    if (detector === undefined) return
    const { overflow } = detector.counts
    const changed = detector.onResult(host, event, nowMs)
    if (changed) this.#balancer.healthChanged()
    if (changed || detector.counts.overflow !== overflow) this.#deps.onEjections?.(detector.counts)
  }

  #configureOutlier(): void {
    const { outlierDetection } = this.#model
    this.#cancelSweep?.()
    this.#cancelSweep = undefined
    if (outlierDetection === undefined) {
      for (const host of this.#balancer.hosts) host.ejected = false
      if (this.#outlier !== undefined) this.#balancer.healthChanged()
      this.#outlier = undefined
      return
    }
    if (this.#outlier === undefined) {
      const hosts = () => this.#balancer.hosts
      this.#outlier = createOutlierDetector(outlierDetection, hosts, this.#deps.random)
    } else this.#outlier.configure(outlierDetection)
    this.#sweepLater(outlierDetection.intervalMs)
  }

  #sweepLater(intervalMs: number): void {
    const { clock } = this.#deps
    this.#cancelSweep = clock.after(intervalMs, () => {
      if (this.#closed || this.#outlier === undefined) return
      const swept = this.#outlier.sweep(clock.monotonicMs())
      this.#deps.onEjections?.(this.#outlier.counts)
      if (swept) this.#balancer.healthChanged()
      this.#sweepLater(intervalMs)
    })
  }

  close(): void {
    this.#closed = true
    this.#cancelSweep?.()
  }
}

function createBalancer(model: Cluster, { clock, random, place }: ClusterHostsDeps) {
  return createClusterBalancer(balancingOf(model, place), {
    random,
    nowMs: () => clock.monotonicMs(),
  })
}

function balancingOf(
  { loadBalancer, panicPercent, localities, slowStart }: Cluster,
  place: Locality | undefined,
): ClusterBalancerConfig {
  return {
    policy: loadBalancer,
    panicPercent: panicPercent ?? DEFAULT_PANIC_PERCENT,
    ...{ localities, slowStart, place },
  }
}

/** Whether the balancer can stay as it is. */
function isBalancedAlike(a: Cluster, b: Cluster): boolean {
  const balancing = ({ loadBalancer, panicPercent, localities, slowStart }: Cluster) =>
    JSON.stringify([loadBalancer, panicPercent, localities, slowStart])
  return balancing(a) === balancing(b)
}
