/**
 * PEAK_EWMA: of two hosts, the one whose next answer is expected sooner: its average
 * latency times the requests that would then be under way (Finagle's "Peak EWMA").
 *
 *     latency  ▲   ╭╮ a slow answer counts whole, at once
 *              │   │╰──╮
 *              │───╯   ╰───────  fast ones pull it down over `decayMs`
 *
 * What fails fast must not look fast: a failure counts as an answer that took longer than
 * any before, doubling up to `decayMs`. Forgetting goes on without answers too, so that a
 * host nobody asks gets another chance.
 */
import type { Host } from './host.ts'
import type { LoadBalancerPolicy } from './load-balancer.ts'
import { powerOfChoices } from './power-of-choices.ts'

const CHOICES = 2
/** What the first failure of a fast host costs. */
const FAILURE_FLOOR_MS = 100
/** Nothing is known of a host that already has a request: one at a time until it answers. */
const UNKNOWN_MS = 1_000_000
/** Less than this is "nothing known": the host was not asked for many decay times. */
const FORGOTTEN_MS = 1e-6

/** @param decayMs > 0; after this long without a word an old latency counts for 1/e. */
export function peakEwma(decayMs: number): LoadBalancerPolicy {
  return (candidates, deps) =>
    powerOfChoices(CHOICES, (host) => expectedMs(host, deps.nowMs(), decayMs), candidates, deps)
}

/** What an attempt came to, as latency-aware balancing sees it. */
export interface LatencySample {
  readonly latencyMs: number
  readonly failed: boolean
}

export function observeLatency(
  host: Host,
  { latencyMs, failed }: LatencySample,
  nowMs: number,
  decayMs: number,
): void {
  const { latency } = host
  const kept = decay(latency.atMs, nowMs, decayMs)
  const before = latency.ms * kept
  const penalty = Math.min(Math.max(2 * before, FAILURE_FLOOR_MS), Math.max(decayMs, latencyMs))
  const sample = failed ? Math.max(latencyMs, penalty) : Math.max(latencyMs, 0)
  // The average decays by the time since the last sample, not by the number of samples.
  latency.ms = sample > before ? sample : latency.ms * kept + sample * (1 - kept)
  latency.atMs = nowMs
}

function expectedMs(host: Host, nowMs: number, decayMs: number): number {
  const { latency, activeRequests } = host
  const ms = latency.ms * decay(latency.atMs, nowMs, decayMs)
  if (ms < FORGOTTEN_MS) return activeRequests === 0 ? 0 : UNKNOWN_MS + activeRequests
  return ms * (activeRequests + 1)
}

function decay(sinceMs: number, nowMs: number, decayMs: number): number {
  return Math.exp(-Math.max(0, nowMs - sinceMs) / decayMs)
}
