/**
 * MAGLEV: the same hash goes to the same host by one look into a table (Maglev,
 * NSDI 2016, section 3.4). Shares are more even than a ring's and building is
 * cheaper; a host that comes or goes moves slightly more than its own share.
 *
 * Requests without a hash go to any host.
 */

import { ConfigError } from '../config-error.ts'
import { mixedHash } from '../hash.ts'
import { type Candidate, firstUntried, type LoadBalancerPolicy } from './load-balancer.ts'

/** @param tableSize A prime larger than the number of hosts; Envoy's default is 65,537. */
export function maglev(tableSize: number): LoadBalancerPolicy {
  if (!isPrime(tableSize)) {
    throw new ConfigError('', `Cannot balance by maglev: need a prime table size, got ${tableSize}`)
  }
  return (candidates, deps) => {
    const table = buildTable(candidates, tableSize)
    return {
      pick({ hash, tried }) {
        if (candidates.length === 0) return undefined
        const from = hash ?? Math.floor(deps.random() * 4_294_967_296)
        const host = candidates[table[from % tableSize] ?? 0]?.host
        if (host !== undefined && tried?.has(host) !== true) return host
        return firstOf(candidates, table, from % tableSize, tried)
      },
    }
  }
}

/** The table goes on as a ring for requests that had the host of their slot already. */
function firstOf(
  candidates: readonly Candidate[],
  table: Int32Array,
  from: number,
  tried: Parameters<typeof firstUntried>[1],
) {
  const reach = Math.min(table.length, candidates.length * 16)
  for (let i = 1; i < reach; i++) {
    const host = candidates[table[(from + i) % table.length] ?? 0]?.host
    if (host !== undefined && tried?.has(host) !== true) return host
  }
  return firstUntried(candidates, tried)
}

/** Hosts take turns claiming the next free slot of their own permutation; light ones sit out turns. */
function buildTable(candidates: readonly Candidate[], size: number): Int32Array {
  const table = new Int32Array(size).fill(-1)
  const heaviest = candidates.reduce((most, { weight }) => Math.max(most, weight), 0)
  const drafts = candidates.map(({ host, weight }) => ({
    at: mixedHash(host.key) % size,
    step: (mixedHash(`${host.key}#`) % (size - 1)) + 1,
    share: weight / heaviest,
    credit: 0,
  }))
  for (let filled = 0; filled < size && drafts.length > 0; ) {
    for (const [owner, draft] of drafts.entries()) {
      draft.credit += draft.share
      if (draft.credit < 1 || filled === size) continue
      draft.credit -= 1
      while (table[draft.at] !== -1) draft.at = (draft.at + draft.step) % size
      table[draft.at] = owner
      filled++
    }
  }
  return table
}

function isPrime(value: number): boolean {
  if (!Number.isInteger(value) || value < 2) return false
  for (let divisor = 2; divisor * divisor <= value; divisor++) {
    if (value % divisor === 0) return false
  }
  return true
}
