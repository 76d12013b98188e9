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

  check(descriptors: readonly Descriptor[], nowMs: number): LimitVerdict {
    const buckets: TokenBucket[] = []
    for (const descriptor of descriptors) {
      const bucket = this.#bucketOf(descriptor, nowMs)
      if (bucket !== undefined) buckets.push(bucket)
    }
    buckets.sort((a, b) => a.rate - b.rate)
    if (buckets.length === 0 || this.#limit.alwaysConsumeDefault === true) {
      buckets.push(this.#default)
    }
    let nearest = this.#default
    let least = Number.POSITIVE_INFINITY
    for (const bucket of buckets) {
      if (!bucket.take(nowMs)) return { allowed: false, bucket }
      const left = bucket.remaining(nowMs)
      if (left >= least) continue
      least = left
      nearest = bucket
    }
    return { allowed: true, bucket: nearest }
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
