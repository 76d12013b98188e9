/** RANDOM: any, in proportion to weight. */
import { firstUntried, isEvenlyWeighted, type LoadBalancerPolicy } from './load-balancer.ts'
import { WeightedSampler } from './weighted-sampler.ts'

/** Draws before the search for an untried host becomes a walk. */
const MAX_DRAWS = 8

export const random: LoadBalancerPolicy = (candidates, deps) => {
  const { length } = candidates
  const sampler = isEvenlyWeighted(candidates)
    ? undefined
    : new WeightedSampler(candidates.map(({ weight }) => weight))
  return {
    pick({ tried }) {
      for (let i = 0; i < MAX_DRAWS; i++) {
        const at = sampler?.draw(deps.random()) ?? Math.floor(deps.random() * length)
        const host = candidates[at]?.host
        if (host !== undefined && tried?.has(host) !== true) return host
      }
      return firstUntried(candidates, tried)
    },
  }
}
