/**
 * RING_HASH: the same hash goes to the same host, and a host that comes or goes
 * moves only its own share. Hosts own points on a ring in proportion to weight;
 * a request goes to the first point at or after its hash.
 *
 * Requests without a hash go to any host.
 */
import { mixedHash } from '../hash.ts'
import type { LoadBalancerPolicy } from './load-balancer.ts'

/** Envoy's `maximum_ring_size`. */
const MAX_RING_SIZE = 8_388_608

/** @param minRingSize Points on the ring at least; more points, more even shares. */
export function ringHash(minRingSize: number): LoadBalancerPolicy {
  return (candidates, deps) => {
    const total = candidates.reduce((sum, { weight }) => sum + weight, 0)
    const lightest = candidates.reduce((least, { weight }) => Math.min(least, weight), total)
    // A power of two for the lightest host: a number that followed the count of hosts
    // closely would move everybody's points whenever one host comes or goes.
    const forLightest = 2 ** Math.ceil(Math.log2(Math.max(1, (lightest / total) * minRingSize)))
    const scale = Math.min((total / lightest) * forLightest, MAX_RING_SIZE)
    const points: { readonly hash: number; readonly at: number }[] = []
    for (const [at, { host, weight }] of candidates.entries()) {
      const count = Math.max(1, Math.round((weight / total) * scale))
      for (let i = 0; i < count; i++) points.push({ hash: mixedHash(`${host.key}_${i}`), at })
    }
    points.sort((a, b) => a.hash - b.hash || a.at - b.at)
    const hashes = Uint32Array.from(points, ({ hash }) => hash)
    const owners = Int32Array.from(points, ({ at }) => at)
    return {
      pick({ hash, tried }) {
        const size = owners.length
        const from = lowerBound(hashes, hash ?? Math.floor(deps.random() * 4_294_967_296))
        for (let i = 0; i < size; i++) {
          const host = candidates[owners[(from + i) % size] ?? 0]?.host
          if (host !== undefined && tried?.has(host) !== true) return host
        }
        return undefined
      },
    }
  }
}

/** Index of the first value >= `wanted`; the length when there is none. */
function lowerBound(sorted: Uint32Array, wanted: number): number {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((sorted[middle] ?? 0) < wanted) low = middle + 1
    else high = middle
  }
  return low
}
