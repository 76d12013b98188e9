/**
 * Ejects hosts that stand out by failing, never too many (Envoy, "Outlier
 * detection").
 *
 *                 limit reached, and not too many ejected
 *     +---------+ --------------------------------------> +---------+
 *     | in use  |                                         | ejected |
 *     +---------+ <-------------------------------------- +---------+
 *                 sweep after baseEjectionMs x ejections
 *
 * The time comes in as an argument. Counting is in `outlier-state.ts`.
 */
import type { OutlierDetection } from '@weft/model'
import type { Host } from './load-balancers/host.ts'
import { countForRates, findOutliers, type HostCounts, newHostCounts } from './outlier-rates.ts'
import {
  countOutcome,
  ejected,
  forgiven,
  type OutlierEvent,
  type OutlierReason,
  outlierReason,
  returned,
} from './outlier-state.ts'

/** Envoy's `max_ejection_time`: longer than this only where the base time is. */
const MAX_EJECTION_MS = 300_000

export interface OutlierDetector {
  configure(policy: OutlierDetection): void
  /** Returns whether the host was ejected by this result; then call the balancer's `healthChanged`. */
  onResult(host: Host, event: OutlierEvent, nowMs: number): boolean
  /** The host proved to be well: it is back at once. */
  forgive(host: Host): void
  /** To be called every `intervalMs`. Returns whether a host came back or went; then as above. */
  sweep(nowMs: number): boolean
  /** Since the detector exists; Envoy's `outlier_detection.ejections_…`. */
  readonly counts: OutlierTotals
}

export interface OutlierTotals {
  readonly enforced: number
  /** Hosts that would have been ejected had not too many been already. */
  readonly overflow: number
  readonly byReason: ReadonlyMap<OutlierReason, number>
}

/**
 * @param hosts The cluster's hosts at the moment.
 * @param random Uniform in [0, 1); for the jitter of ejections.
 */
export function createOutlierDetector(
  policy: OutlierDetection,
  hosts: () => readonly Host[],
  random: () => number = () => 0,
): OutlierDetector {
  return new Detector(policy, hosts, random)
}

class Detector implements OutlierDetector {
  readonly #hosts: () => readonly Host[]
  readonly #random: () => number
  #policy: OutlierDetection
  #rates = new Map<Host, HostCounts>()
  #enforced = 0
  #overflow = 0
  readonly #byReason = new Map<OutlierReason, number>()

  constructor(policy: OutlierDetection, hosts: () => readonly Host[], random: () => number) {
    this.#policy = policy
    this.#hosts = hosts
    this.#random = random
  }

  get counts(): OutlierTotals {
    return { enforced: this.#enforced, overflow: this.#overflow, byReason: this.#byReason }
  }

  configure(next: OutlierDetection): void {
    this.#policy = next
    if (!this.#hasRates()) this.#rates.clear()
  }

  onResult(host: Host, event: OutlierEvent, nowMs: number): boolean {
    const policy = this.#policy
    host.outlier = countOutcome(host.outlier, event, policy)
    if (this.#hasRates()) countForRates(this.#ratesOf(host), event, policy)
    if (event === 'success' || host.ejected) return false
    const reason = outlierReason(host.outlier, policy)
    return reason !== undefined && this.#eject(host, reason, nowMs)
  }

  forgive(host: Host): void {
    host.ejected = false
    host.outlier = returned(host.outlier)
  }

  sweep(nowMs: number): boolean {
    let changed = false
    for (const host of this.#hosts()) {
      const { ejectedAtMs, ejections, jitterMs } = host.outlier
      if (ejectedAtMs === undefined) host.outlier = forgiven(host.outlier)
      else if (nowMs - ejectedAtMs >= ejectionMs(ejections, this.#policy) + jitterMs) {
        this.forgive(host)
        changed = true
      }
    }
    return this.#sweepRates(nowMs) || changed
  }

  #sweepRates(nowMs: number): boolean {
    if (!this.#hasRates()) return false
    const before = this.#rates
    this.#rates = new Map()
    const judged = this.#hosts().flatMap((host) => {
      const counts = before.get(host)
      return counts === undefined ? [] : [[host, counts] as const]
    })
    const outliers = new Map([
      ...findOutliers(
        judged.map(([host, { answers }]) => [host, answers] as const),
        this.#policy,
      ),
      ...findOutliers(
        judged.map(([host, { local }]) => [host, local] as const),
        this.#policy,
      ),
    ])
    let changed = false
    for (const [host, reason] of outliers) {
      if (!host.ejected && this.#eject(host, reason, nowMs)) changed = true
    }
    return changed
  }

  #eject(host: Host, reason: OutlierReason, nowMs: number): boolean {
    if (!mayEject(this.#hosts(), this.#policy)) {
      this.#overflow++
      return false
    }
    this.#enforced++
    this.#byReason.set(reason, (this.#byReason.get(reason) ?? 0) + 1)
    const jitterMs = this.#random() * (this.#policy.maxEjectionJitterMs ?? 0)
    host.ejected = true
    host.outlier = ejected(host.outlier, nowMs, jitterMs)
    return true
  }

  #hasRates(): boolean {
    const { successRate, failurePercentage } = this.#policy
    return successRate !== undefined || failurePercentage !== undefined
  }

  #ratesOf(host: Host): HostCounts {
    const known = this.#rates.get(host)
    if (known !== undefined) return known
    const counts = newHostCounts()
    this.#rates.set(host, counts)
    return counts
  }
}

/**
 * One host may always go, unless it is the only one or the share is 0: the
 * default of 10 % would otherwise never eject anybody of fewer than ten.
 */
function mayEject(hosts: readonly Host[], policy: OutlierDetection): boolean {
  const total = hosts.length
  const out = hosts.filter((host) => host.ejected).length
  const healthy = hosts.filter((host) => host.available).length
  if ((100 * healthy) / total < policy.minHealthPercent) return false
  if (((out + 1) * 100) / total <= policy.maxEjectionPercent) return true
  return out === 0 && total > 1 && policy.maxEjectionPercent > 0
}

function ejectionMs(ejections: number, policy: OutlierDetection): number {
  const longest = Math.max(policy.maxEjectionMs ?? MAX_EJECTION_MS, policy.baseEjectionMs)
  return Math.min(policy.baseEjectionMs * Math.max(1, ejections), longest)
}
