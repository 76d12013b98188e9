/** Picks one of a route's targets in proportion to weight. */
import type { CompiledForward, CompiledTarget } from './compiled.ts'

/** @param random Uniform in [0, 1); not called when there is no choice. */
export function pickTarget(action: CompiledForward, random: () => number): CompiledTarget {
  const { targets } = action
  let last = targets[0]
  if (targets.length === 1) return last
  let rest = random() * action.totalWeight
  for (const target of targets) {
    if (target.weight === 0) continue
    last = target
    rest -= target.weight
    if (rest < 0) return target
  }
  // Only rounding of fractional weights leads here; the last one with a share takes it.
  return last
}
