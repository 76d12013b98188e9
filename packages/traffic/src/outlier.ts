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
import {
  countOutcome,
  ejected,
  forgiven,
  type OutlierEvent,
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
  /** To be called every `intervalMs`. Returns whether a host came back; then as above. */
  sweep(nowMs: number): boolean
}

/** @param hosts The cluster's hosts at the moment. */
export function createOutlierDetector(
  policy: OutlierDetection,
  hosts: () => readonly Host[],
): OutlierDetector {
  let current = policy
  return {
    configure(next) {
      current = next
    },

    onResult(host, event, nowMs) {
      host.outlier = countOutcome(host.outlier, event, current)
      if (event === 'success' || host.ejected) return false
      if (outlierReason(host.outlier, current) === undefined) return false
      if (!mayEject(hosts(), current)) return false
      host.ejected = true
      host.outlier = ejected(host.outlier, nowMs)
      return true
    },

    forgive(host) {
      host.ejected = false
      host.outlier = returned(host.outlier)
    },

    sweep(nowMs) {
      let changed = false
      for (const host of hosts()) {
        const { ejectedAtMs, ejections } = host.outlier
        if (ejectedAtMs === undefined) {
          host.outlier = forgiven(host.outlier)
        } else if (nowMs - ejectedAtMs >= ejectionMs(ejections, current)) {
          host.ejected = false
          host.outlier = returned(host.outlier)
          changed = true
        }
      }
      return changed
    },
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
  const longest = Math.max(MAX_EJECTION_MS, policy.baseEjectionMs)
  return Math.min(policy.baseEjectionMs * Math.max(1, ejections), longest)
}
