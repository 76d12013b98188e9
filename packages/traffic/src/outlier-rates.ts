/**
 * Who fails more than the others over an interval (Envoy, "Success rate", "Failure percentage").
 * With the split, answers and the way to get them are judged apart.
 */
import type { OutlierDetection } from '@weft/model'
import type { Host } from './load-balancers/host.ts'
import type { OutlierEvent } from './outlier-state.ts'

/** Of one interval. Mutable on purpose: counted on every request. */
export interface OutlierCounts {
  total: number
  failed: number
}

export interface HostCounts {
  /** What endpoints answered; without the split also where they did not. */
  readonly answers: OutlierCounts
  /** With the split: whether there was an answer. */
  readonly local: OutlierCounts
}

export function newHostCounts(): HostCounts {
  return { answers: { total: 0, failed: 0 }, local: { total: 0, failed: 0 } }
}

export function countForRates(
  { answers, local }: HostCounts,
  event: OutlierEvent,
  { splitLocalOriginErrors }: OutlierDetection,
): void {
  if (splitLocalOriginErrors) {
    local.total++
    if (event === 'localFailure') {
      local.failed++
      return
    }
  }
  answers.total++
  if (event !== 'success') answers.failed++
}

export type RateReason = 'successRate' | 'failurePercentage'

/** Those that stand out, each once. Hosts with too few requests neither count nor stand out. */
export function findOutliers(
  hosts: readonly (readonly [Host, OutlierCounts])[],
  { successRate, failurePercentage }: OutlierDetection,
): ReadonlyMap<Host, RateReason> {
  const found = new Map<Host, RateReason>()
  addByFailures(found, hosts, failurePercentage)
  addBySuccess(found, hosts, successRate)
  return found
}

function withVolume(hosts: readonly (readonly [Host, OutlierCounts])[], minRequests: number) {
  return hosts.filter(([, { total }]) => total > 0 && total >= minRequests)
}

function ratePercent({ total, failed }: OutlierCounts): number {
  return (100 * (total - failed)) / total
}

/** Mean less so many thousandths of the standard deviation. */
export function successThreshold(rates: readonly number[], stdevFactor: number): number {
  const mean = rates.reduce((sum, rate) => sum + rate, 0) / rates.length
  const variance = rates.reduce((sum, rate) => sum + (rate - mean) ** 2, 0) / rates.length
  return mean - (stdevFactor / 1_000) * Math.sqrt(variance)
}

function addByFailures(
  found: Map<Host, RateReason>,
  hosts: readonly (readonly [Host, OutlierCounts])[],
  failurePercentage: OutlierDetection['failurePercentage'],
): void {
  if (failurePercentage === undefined) return
  const { minHosts, minRequests, percent } = failurePercentage
  const judged = withVolume(hosts, minRequests)
  if (judged.length >= minHosts) {
    for (const [host, counts] of judged) {
      if (100 - ratePercent(counts) >= percent) found.set(host, 'failurePercentage')
    }
  }
}

function addBySuccess(
  found: Map<Host, RateReason>,
  hosts: readonly (readonly [Host, OutlierCounts])[],
  successRate: OutlierDetection['successRate'],
): void {
  if (successRate === undefined) return
  const { minHosts, minRequests, stdevFactor } = successRate
  const judged = withVolume(hosts, minRequests)
  if (judged.length >= Math.max(1, minHosts)) {
    const threshold = successThreshold(
      judged.map(([, counts]) => ratePercent(counts)),
      stdevFactor,
    )
    for (const [host, counts] of judged) {
      if (ratePercent(counts) < threshold) found.set(host, 'successRate')
    }
  }
}
