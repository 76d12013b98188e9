/**
 * The buckets of one local limit. A request is held against each of its descriptors' buckets,
 * the strictest first, then against the default one (Envoy's order).
 */
import type { DescriptorEntry, LocalRateLimit } from '@weft/model'
import type { Descriptor } from './descriptors.ts'
import { TokenBucket } from './token-bucket.ts'

/** Entries without a value make a bucket per value that comes: a client must not fill memory. */
const MAX_VALUE_BUCKETS = 10_000

export interface LimitVerdict {
  readonly allowed: boolean
  /** The one that refused, or that is nearest to it. */
  readonly bucket: TokenBucket
}

/** What somebody else may let pass, and the bucket that is nearest to refusing, afterwards. */
export interface LimitGrant {
  readonly tokens: number
  readonly maxTokens: number
  readonly remaining: number
  /** Until there is a token again; 0 when there is one. */
  readonly resetMs: number
}

/** Those that some bucket is for: others need not be told apart. */
export function counted(limit: LocalRateLimit, descriptors: readonly Descriptor[]): Descriptor[] {
  return descriptors.filter((descriptor) =>
    limit.descriptors.some(({ entries }) => covers(entries, descriptor)),
  )
}

export class LocalLimiter {
  readonly #limit: LocalRateLimit
  readonly #default: TokenBucket
  readonly #fixed = new Map<LocalRateLimit['descriptors'][number], TokenBucket>()
  /** In order of last use. */
  readonly #byValue = new Map<string, TokenBucket>()

  constructor(limit: LocalRateLimit, nowMs: number) {
    this.#limit = limit
    this.#default = new TokenBucket(limit.bucket, nowMs)
  }

  /**
   * @param hits What the request costs of each descriptor; absent: one. Of the default bucket it is
   *   one in any case, as in Envoy.
   */
  check(descriptors: readonly Descriptor[], nowMs: number, hits?: readonly number[]): LimitVerdict {
    const buckets = this.#bucketsOf(descriptors, nowMs)
    const costs = hits === undefined ? undefined : this.#costs(descriptors, nowMs, hits)
    let nearest = this.#default
    let least = Number.POSITIVE_INFINITY
    for (const bucket of buckets) {
      if (!bucket.take(nowMs, costs?.get(bucket))) return { allowed: false, bucket }
      const left = bucket.remaining(nowMs)
      if (left >= least) continue
      least = left
      nearest = bucket
    }
    return { allowed: true, bucket: nearest }
  }

  /**
   * For one who pays requests from what it gets, and gives back the rest.
   *
   * @param wanted How many it makes of what every bucket can give.
   */
  grant(
    descriptors: readonly Descriptor[],
    nowMs: number,
    wanted: (available: number) => number,
  ): LimitGrant {
    const buckets = this.#bucketsOf(descriptors, nowMs)
    const [first = this.#default] = buckets
    const nearest = buckets.reduce(
      (least, bucket) => (bucket.remaining(nowMs) < least.remaining(nowMs) ? bucket : least),
      first,
    )
    const tokens = wanted(nearest.remaining(nowMs))
    for (const bucket of buckets) bucket.take(nowMs, tokens)
    return {
      tokens,
      maxTokens: nearest.maxTokens,
      remaining: nearest.remaining(nowMs),
      resetMs: nearest.resetMs(nowMs),
    }
  }

  giveBack(descriptors: readonly Descriptor[], nowMs: number, tokens: number): void {
    for (const bucket of this.#bucketsOf(descriptors, nowMs)) bucket.giveBack(nowMs, tokens)
  }

  #costs(
    descriptors: readonly Descriptor[],
    nowMs: number,
    hits: readonly number[],
  ): ReadonlyMap<TokenBucket, number> {
    return new Map(
      descriptors.flatMap((descriptor, index) => {
        const bucket = this.#bucketOf(descriptor, nowMs)
        return bucket === undefined ? [] : [[bucket, hits[index] ?? 1] as const]
      }),
    )
  }

  #bucketsOf(descriptors: readonly Descriptor[], nowMs: number): TokenBucket[] {
    const buckets: TokenBucket[] = []
    for (const descriptor of descriptors) {
      const bucket = this.#bucketOf(descriptor, nowMs)
      if (bucket !== undefined) buckets.push(bucket)
    }
    buckets.sort((a, b) => a.rate - b.rate)
    if (buckets.length === 0 || this.#limit.alwaysConsumeDefault === true) {
      buckets.push(this.#default)
    }
    return buckets
  }

  #bucketOf(descriptor: Descriptor, nowMs: number): TokenBucket | undefined {
    const limit = this.#limit.descriptors.find(({ entries }) => covers(entries, descriptor))
    if (limit === undefined) return undefined
    if (limit.entries.some(({ value }) => value === '')) {
      const key = JSON.stringify([this.#limit.descriptors.indexOf(limit), descriptor])
      const bucket = this.#byValue.get(key) ?? new TokenBucket(limit.bucket, nowMs)
      this.#byValue.delete(key)
      this.#byValue.set(key, bucket)
      if (this.#byValue.size > MAX_VALUE_BUCKETS) {
        const [oldest] = this.#byValue.keys()
        if (oldest !== undefined) this.#byValue.delete(oldest)
      }
      return bucket
    }
    const known = this.#fixed.get(limit)
    if (known !== undefined) return known
    const bucket = new TokenBucket(limit.bucket, nowMs)
    this.#fixed.set(limit, bucket)
    return bucket
  }
}

function covers(entries: readonly DescriptorEntry[], descriptor: Descriptor): boolean {
  return (
    entries.length === descriptor.length &&
    entries.every(({ key, value }, index) => {
      const got = descriptor[index]
      return got !== undefined && got.key === key && (value === '' || got.value === value)
    })
  )
}
