/**
 * A host that just came gets its share bit by bit (Envoy, "Slow start mode"):
 *
 *     share = max(minPercent, (age / window) ^ (1 / aggression))
 */
import type { SlowStart } from '@weft/model'
import type { Host } from './host.ts'

/** In (0, 1]: what a host's weight is multiplied with. */
export function slowStartShare(host: Host, nowMs: number, slowStart: SlowStart): number {
  const { windowMs, aggression, minPercent } = slowStart
  // As in Envoy, a host is at least a millisecond old, and never quite without weight.
  const age = Math.max(1, nowMs - host.startedAtMs)
  if (age >= windowMs) return 1
  return Math.max(minPercent / 100, (age / windowMs) ** (1 / aggression), 1e-6)
}

/** How often the shares are computed anew while somebody starts. */
export function slowStartStepMs({ windowMs }: SlowStart): number {
  return Math.max(10, windowMs / 50)
}
