/** ROUND_ROBIN: each in turn, in proportion to weight. */
import { firstUntried, type LoadBalancerPolicy } from './load-balancer.ts'
import { WeightedRotation } from './weighted-rotation.ts'

export const roundRobin: LoadBalancerPolicy = (candidates, deps) => {
  const rotation = new WeightedRotation(
    candidates.map(({ weight }) => weight),
    deps.random(),
  )
  return {
    pick({ tried }) {
      const { length } = candidates
      for (let i = 0; i < length; i++) {
        const host = candidates[rotation.next()]?.host
        if (host !== undefined && tried?.has(host) !== true) return host
      }
      // Heavy hosts that were tried may have taken every turn.
      return firstUntried(candidates, tried)
    },
  }
}
