/**
 * Counts for all proxies together: what stands behind `mode: Global` of a RateLimit. Tokens leave
 * their bucket before the requests that they are for, so proxies together never get more than the
 * limit, however many there are. State is in memory: a restarted control plane begins with full buckets.
 *
 *     domain      weft.io/<namespace>/<name>
 *     descriptor  limit=<namespace>/<name>/<index>, then what counts
 */
import type { DocumentOf } from '@weft/config'
import type { DescriptorEntry, TokenBucket } from '@weft/model'
import type { RateLimitQuestion, RateLimitVerdict } from '@weft/xds'
import { globalLimit } from '../translate/features/rate-limit.ts'
import { HitBucket } from './hit-bucket.ts'

type Policy = DocumentOf<'RateLimit'>
type Descriptor = RateLimitQuestion['descriptors'][number]
type Status = RateLimitVerdict['statuses'][number]

/** Values come from clients: they must not fill memory. The least recently used goes first. */
const MAX_BUCKETS = 200_000
const SECOND_MS = 1_000

interface Limit {
  readonly entries: readonly DescriptorEntry[]
  readonly bucket: TokenBucket
  /** Counts what no other limit of the policy counts. */
  readonly isRest: boolean
}

interface Known {
  readonly limits: readonly Limit[]
  /** Limits that say the same keep their counts when something else is changed. */
  readonly key: string
}

export class GlobalLimits {
  #policies: readonly Policy[] = []
  #domains = new Map<string, Known>()
  readonly #buckets = new Map<string, HitBucket>()

  /** What the mesh says now. */
  configure(policies: readonly Policy[]): void {
    if (policies === this.#policies) return
    this.#policies = policies
    const global = policies.filter(({ spec }) => spec.mode === 'Global')
    this.#domains = new Map(
      global.map((policy) => {
        const { domain, limits } = globalLimit(policy)
        return [domain, { limits, key: JSON.stringify([domain, policy.spec.limits]) }] as const
      }),
    )
  }

  /** All hits or none: when one descriptor is over its limit, no other pays. */
  decide({ domain, descriptors, hits }: RateLimitQuestion, nowMs: number): RateLimitVerdict {
    const found = this.#find(domain, descriptors, nowMs)
    const isOver = found.some((one) => one !== undefined && one.bucket.remaining(nowMs) < hits)
    return {
      statuses: found.map((one) => {
        if (one === undefined) return { overLimit: false }
        const { bucket, limit } = one
        const overLimit = bucket.remaining(nowMs) < hits
        if (!isOver) bucket.take(hits)
        return { overLimit, limit: numbersOf(limit, bucket, nowMs) }
      }),
    }
  }

  giveBack({ domain, descriptors, hits }: RateLimitQuestion, nowMs: number): void {
    for (const one of this.#find(domain, descriptors, nowMs)) one?.bucket.giveBack(hits, nowMs)
  }

  #find(domain: string, descriptors: readonly Descriptor[], nowMs: number) {
    const known = this.#domains.get(domain)
    const fitting = descriptors.map((descriptor) =>
      known?.limits.find(({ entries }) => covers(entries, descriptor)),
    )
    const isChosen = fitting.some((limit) => limit?.isRest === false)
    return fitting.map((limit, index) => {
      if (limit === undefined || known === undefined || (limit.isRest && isChosen)) return undefined
      return {
        limit,
        bucket: this.#bucketOf(`${known.key}${JSON.stringify(descriptors[index])}`, limit, nowMs),
      }
    })
  }

  #bucketOf(key: string, { bucket }: Limit, nowMs: number): HitBucket {
    const found = this.#buckets.get(key) ?? new HitBucket(bucket, nowMs)
    this.#buckets.delete(key)
    this.#buckets.set(key, found)
    if (this.#buckets.size > MAX_BUCKETS) {
      const [oldest] = this.#buckets.keys()
      if (oldest !== undefined) this.#buckets.delete(oldest)
    }
    return found
  }
}

function numbersOf(
  { bucket: settings }: Limit,
  bucket: HitBucket,
  nowMs: number,
): NonNullable<Status['limit']> {
  const remaining = bucket.remaining(nowMs)
  const { tokensPerFill, fillIntervalMs } = settings
  // A limit with a small burst is filled more often than it is written: told per second then.
  const isWhole = fillIntervalMs % SECOND_MS === 0
  return {
    requestsPerUnit: isWhole
      ? tokensPerFill
      : Math.round((tokensPerFill * SECOND_MS) / fillIntervalMs),
    unitSeconds: isWhole ? fillIntervalMs / SECOND_MS : 1,
    remaining: Math.max(0, remaining),
    resetMs: bucket.resetMs(),
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
