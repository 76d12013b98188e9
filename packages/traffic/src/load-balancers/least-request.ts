/**
 * LEAST_REQUEST: of `choices` hosts drawn in proportion to weight, the one with
 * the fewest active requests per weight. The power of two choices: nearly as
 * even as looking at all hosts, without the herd that follows when every proxy
 * knows the same "least loaded" one.
 */
import type { Host } from './host.ts'
import {
  type BalancerDeps,
  type Candidate,
  isEvenlyWeighted,
  type LoadBalancerPolicy,
} from './load-balancer.ts'
import { WeightedSampler } from './weighted-sampler.ts'

/** @param choices 2 or more; 2 is Envoy's default and rarely worth changing. */
export function leastRequest(choices: number): LoadBalancerPolicy {
  return (candidates, deps) => {
    const draw = buildDraw(candidates, deps)
    return {
      pick({ tried }) {
        if (tried !== undefined) return leastOfAll(candidates, tried, draw(-1))
        let last = draw(-1)
        let best = candidates[last]
        for (let i = 1; i < choices && best !== undefined; i++) {
          last = draw(last)
          const other = candidates[last]
          if (other !== undefined && load(other) < load(best)) best = other
        }
        return best?.host
      },
    }
  }
}

function load({ host, weight }: Candidate): number {
  return host.activeRequests / weight
}

/** Draws a number other than `before`, so that two choices are two hosts. */
function buildDraw(
  candidates: readonly Candidate[],
  deps: BalancerDeps,
): (before: number) => number {
  const { length } = candidates
  if (isEvenlyWeighted(candidates)) {
    return (before) => {
      if (before < 0 || length < 2) return Math.floor(deps.random() * length)
      const at = Math.floor(deps.random() * (length - 1))
      return at >= before ? at + 1 : at
    }
  }
  const sampler = new WeightedSampler(candidates.map(({ weight }) => weight))
  return (before) => {
    const at = sampler.draw(deps.random())
    // A tie goes to the first draw, so the neighbour's turn does not bend the shares.
    return at === before ? (at + 1) % length : at
  }
}

/** Retries are rare: looking at every host costs less than drawing past those that were tried. */
function leastOfAll(
  candidates: readonly Candidate[],
  tried: ReadonlySet<Host>,
  start: number,
): Host | undefined {
  let best: Candidate | undefined
  for (let i = 0; i < candidates.length; i++) {
    const candidate = candidates[(start + i) % candidates.length]
    if (candidate === undefined || tried.has(candidate.host)) continue
    if (best === undefined || load(candidate) < load(best)) best = candidate
  }
  return best?.host
}
