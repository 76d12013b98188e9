/**
 * Chooses among legs that may take a request: two at random, the better one (power of two
 * choices). Better is who has more of its lease left for what it has under way; without leases,
 * who has less under way and answers sooner. Where some are farther away than others – behind
 * another broker – the best of the nearest is held to one of those, whose load weighs as often as it is far.
 */
import type { Leg } from './leg.ts'

export interface PickDeps {
  /** Uniform in [0, 1). */
  random(): number
  /** Monotonic, in milliseconds. */
  nowMs(): number
}

export function pickLeg(
  legs: readonly Leg[],
  tried: readonly Leg[],
  deps: PickDeps,
): Leg | undefined {
  const nowMs = deps.nowMs()
  if (legs.length === 1 && tried.length === 0) {
    const only = legs[0]
    return only !== undefined && isEligible(only, nowMs) ? only : undefined
  }
  if (tried.length === 0 && legs.length > 1) {
    // Mostly two at random will do, and nothing needs to be allocated.
    const first = legs[Math.floor(deps.random() * legs.length)] as Leg
    const second = legs[Math.floor(deps.random() * legs.length)] as Leg
    const isNear = first.farness + second.farness === 2
    const isFair = isNear && weightOf(first) === 1 && weightOf(second) === 1
    if (isFair && isEligible(first, nowMs) && isEligible(second, nowMs)) {
      return loadOf(second) < loadOf(first) ? second : first
    }
  }
  const able = legs.filter((leg) => isEligible(leg, nowMs) && !tried.includes(leg))
  if (able.length <= 1) return able[0]
  const near = nearestOf(able)
  const first = takeWeighted(near, deps)
  const second = takeWeighted(near, deps)
  const best = loadOf(second) < loadOf(first) ? second : first
  if (near.length === able.length) return best
  const far = takeWeighted(
    able.filter(({ farness }) => farness > best.farness),
    deps,
  )
  return farLoadOf(far, best) < farLoadOf(best, far) ? far : best
}

function nearestOf(legs: readonly Leg[]): readonly Leg[] {
  let nearest = Number.POSITIVE_INFINITY
  for (const { farness } of legs) nearest = Math.min(nearest, farness)
  return legs.filter(({ farness }) => farness === nearest)
}

/** Who was never asked is taken to answer as the other one does. */
function farLoadOf(leg: Leg, other: Leg): number {
  const isKnown = leg.latencyMs > 0 && other.latencyMs > 0
  return leg.farness * (isKnown ? loadOf(leg) : leg.activeRequests + 1)
}

/** May get new requests: it is there, stays, and leases what it was asked to lease. */
function isEligible(leg: Leg, nowMs: number): boolean {
  if (!leg.isOpen || leg.draining || !leg.isServing || leg.isFull) return false
  if (!leg.facts.setup.lease) return true
  const { lease } = leg
  return lease !== undefined && lease.requests > 0 && nowMs < lease.untilMs
}

function loadOf(leg: Leg): number {
  const underWay = leg.activeRequests + 1
  if (leg.facts.setup.lease && leg.lease !== undefined) return underWay / leg.lease.requests
  return underWay * (leg.latencyMs + 1)
}

function takeWeighted(legs: readonly Leg[], deps: PickDeps): Leg {
  let total = 0
  for (const leg of legs) total += weightOf(leg)
  let at = deps.random() * total
  for (const leg of legs) {
    at -= weightOf(leg)
    if (at < 0) return leg
  }
  return legs[legs.length - 1] as Leg
}

function weightOf(leg: Leg): number {
  return leg.facts.instance?.weight ?? 1
}
