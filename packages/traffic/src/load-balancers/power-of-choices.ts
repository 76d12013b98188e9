/**
 * The power of two choices: of a few hosts drawn in proportion to weight, the one with
 * the least load. Nearly as even as looking at all hosts, without the herd that follows
 * when every proxy knows the same "least loaded" one.
 */
import type { Host } from './host.ts'
import {
  type Balancer,
  type BalancerDeps,
  type Candidate,
  isEvenlyWeighted,
} from './load-balancer.ts'
import { WeightedSampler } from './weighted-sampler.ts'

/**
 * @param choices 2 or more.
 * @param load What is compared, for one unit of weight; smaller is better.
 */
export function powerOfChoices(
  choices: number,
  load: (host: Host) => number,
  candidates: readonly Candidate[],
  deps: BalancerDeps,
): Balancer {
  const draw = buildDraw(candidates, deps)
  return {
    pick({ tried }) {
      if (tried !== undefined) return leastOfAll(candidates, load, tried, draw(-1))
      let last = draw(-1)
      let best = candidates[last]
      if (best === undefined || candidates.length === 1) return best?.host
      let bestLoad = load(best.host) / best.weight
      for (let i = 1; i < choices; i++) {
        last = draw(last)
        const other = candidates[last]
        if (other === undefined) continue
        const otherLoad = load(other.host) / other.weight
        if (otherLoad >= bestLoad) continue
        best = other
        bestLoad = otherLoad
      }
      return best.host
    },
  }
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
  load: (host: Host) => number,
  tried: ReadonlySet<Host>,
  start: number,
): Host | undefined {
  let best: Host | undefined
  let bestLoad = Number.POSITIVE_INFINITY
  for (let i = 0; i < candidates.length; i++) {
    const candidate = candidates[(start + i) % candidates.length]
    if (candidate === undefined || tried.has(candidate.host)) continue
    const its = load(candidate.host) / candidate.weight
    if (best !== undefined && its >= bestLoad) continue
    best = candidate.host
    bestLoad = its
  }
  return best
}
