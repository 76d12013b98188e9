/**
 * One worker's share of what a limit allows the whole proxy. Shares add up to the limit,
 * but nobody's is less than one: a limit below the number of workers allows that many.
 */
import type { CircuitLimits, Cluster, LocalRateLimit, TokenBucket } from '@weft/model'
import { NO_LIMITS } from '@weft/model'
import type { WorkerPlace } from './worker-place.ts'

export function shareOfCount(limit: number, { index, count }: WorkerPlace): number {
  const rest = limit % count
  return Math.max(1, Math.floor(limit / count) + (index < rest ? 1 : 0))
}

/** Remembers what it made: an unchanged cluster stays the same object. */
export class ClusterShares {
  readonly #place: WorkerPlace
  readonly #known = new WeakMap<Cluster, Cluster>()

  constructor(place: WorkerPlace) {
    this.#place = place
  }

  of(cluster: Cluster): Cluster {
    const known = this.#known.get(cluster)
    if (known !== undefined) return known
    const limits = this.#limits(cluster.limits)
    const share = { ...cluster, limits }
    this.#known.set(cluster, share)
    return share
  }

  #limits(limits: CircuitLimits): CircuitLimits {
    const share = (name: keyof CircuitLimits) => {
      // A limit of nothing stays one: it says that nobody may.
      const limit = limits[name]
      return limit === 0 || limit >= NO_LIMITS[name] ? limit : shareOfCount(limit, this.#place)
    }
    return {
      ...limits,
      maxConnections: share('maxConnections'),
      maxPendingRequests: share('maxPendingRequests'),
      maxRequests: share('maxRequests'),
      maxRetries: share('maxRetries'),
    }
  }
}

/** Each connection belongs to one worker: buckets per connection are nobody else's. */
export function shareOfRateLimit(limit: LocalRateLimit, place: WorkerPlace): LocalRateLimit {
  if (limit.perConnection || place.count === 1) return limit
  return {
    ...limit,
    bucket: shareOfBucket(limit.bucket, place),
    descriptors: limit.descriptors.map((one) => ({
      ...one,
      bucket: shareOfBucket(one.bucket, place),
    })),
  }
}

/** Tokens are whole: a worker that cannot get its part of each filling is filled less often. */
function shareOfBucket(bucket: TokenBucket, place: WorkerPlace): TokenBucket {
  const tokensPerFill = Math.ceil(bucket.tokensPerFill / place.count)
  const stretch = (tokensPerFill * place.count) / bucket.tokensPerFill
  return {
    maxTokens: shareOfCount(bucket.maxTokens, place),
    tokensPerFill,
    fillIntervalMs: bucket.fillIntervalMs * stretch,
  }
}
