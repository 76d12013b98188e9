/** Picks one of a route's targets in proportion to weight. */
import type { CompiledForward, CompiledTarget } from './compiled.ts'

/** @param random Uniform in [0, 1); not called when there is no choice. */
export function pickTarget(action: CompiledForward, random: () => number): CompiledTarget {
  const { targets } = action
  if (targets.length === 1) return targets[0]
  let rest = random() * action.totalWeight
  for (const target of targets) {
    rest -= target.weight
    if (rest < 0) return target
  }
  return targets[0]
}
