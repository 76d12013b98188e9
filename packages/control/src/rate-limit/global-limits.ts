/**
 * Counts for all proxies together: what stands behind `mode: Global` of a RateLimit. Tokens leave
 * their bucket before the requests that they are for, so proxies together never get more than the
 * limit, however many there are. Where the tokens are is the counts' business (`hit-counts.ts`).
 *
 *     domain      weft.io/<namespace>/<name>
 *     descriptor  limit=<namespace>/<name>/<index>, then what counts
 */
import type { DocumentOf } from '@weft/config'
import type { DescriptorEntry, TokenBucket } from '@weft/model'
import type { RateLimitQuestion, RateLimitVerdict } from '@weft/xds'
import { globalLimit } from '../translate/features/rate-limit.ts'
import { type Draw, type Drawn, type HitCounts, MemoryCounts } from './hit-counts.ts'
import { redisKey } from './redis-counts.ts'

type Policy = DocumentOf<'RateLimit'>
type Entries = RateLimitQuestion['descriptors'][number]['entries']
type Status = RateLimitVerdict['statuses'][number]

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
  readonly #counts: HitCounts

  constructor(counts: HitCounts = new MemoryCounts()) {
    this.#counts = counts
  }

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
  async decide(question: RateLimitQuestion, nowMs: number): Promise<RateLimitVerdict> {
    const found = this.#find(question)
    const draws = found.filter((one) => one !== undefined)
    const drawn = await this.#counts.draw(draws, nowMs)
    let next = 0
    return {
      statuses: found.map((one) => {
        const counted = one === undefined ? undefined : drawn[next++]
        if (one === undefined || counted === undefined) return { overLimit: false }
        return { overLimit: counted.overLimit, limit: numbersOf(one, counted) }
      }),
    }
  }

  async giveBack(question: RateLimitQuestion, nowMs: number): Promise<void> {
    const draws = this.#find(question).filter((one) => one !== undefined)
    await this.#counts.giveBack(draws, nowMs)
  }

  #find({ domain, descriptors, hits }: RateLimitQuestion): readonly (Draw | undefined)[] {
    const known = this.#domains.get(domain)
    const fitting = descriptors.map(({ entries }) =>
      known?.limits.find((limit) => covers(limit.entries, entries)),
    )
    const isChosen = fitting.some((limit) => limit?.isRest === false)
    return fitting.map((limit, index) => {
      const descriptor = descriptors[index]
      if (limit === undefined || known === undefined || descriptor === undefined) return undefined
      if (limit.isRest && isChosen) return undefined
      return {
        key: redisKey(domain, `${known.key}${JSON.stringify(descriptor.entries)}`),
        bucket: limit.bucket,
        hits: descriptor.hits ?? hits,
      }
    })
  }
}

function numbersOf({ bucket }: Draw, drawn: Drawn): NonNullable<Status['limit']> {
  const { tokensPerFill, fillIntervalMs } = bucket
  // A limit with a small burst is filled more often than it is written: told per second then.
  const isWhole = fillIntervalMs % SECOND_MS === 0
  return {
    requestsPerUnit: isWhole
      ? tokensPerFill
      : Math.round((tokensPerFill * SECOND_MS) / fillIntervalMs),
    unitSeconds: isWhole ? fillIntervalMs / SECOND_MS : 1,
    remaining: drawn.remaining,
    resetMs: drawn.resetMs,
  }
}

function covers(entries: readonly DescriptorEntry[], descriptor: Entries): boolean {
  return (
    entries.length === descriptor.length &&
    entries.every(({ key, value }, index) => {
      const got = descriptor[index]
      return got !== undefined && got.key === key && (value === '' || got.value === value)
    })
  )
}
