/** Where the tokens of global limits are kept: in this process, or where several control planes share them. */
import type { TokenBucket } from '@weft/model'
import { HitBucket } from './hit-bucket.ts'

/** What one descriptor of a question wants of its bucket. */
export interface Draw {
  /** Equal keys share a bucket. */
  readonly key: string
  readonly bucket: TokenBucket
  /** >= 0. */
  readonly hits: number
}

/** How a bucket stands after a question. */
export interface Drawn {
  /** It had fewer tokens than were wanted. */
  readonly overLimit: boolean
  /** Whole tokens, >= 0. */
  readonly remaining: number
  /** Until there is a token; 0 when there is one. */
  readonly resetMs: number
}

export interface HitCounts {
  /** All or none: when one bucket has too few tokens, no other pays. In the order of `draws`. */
  draw(draws: readonly Draw[], nowMs: number): Promise<readonly Drawn[]>
  /** Tokens that were drawn and not used. */
  giveBack(draws: readonly Draw[], nowMs: number): Promise<void>
}

/** Values come from clients: they must not fill memory. The least recently used goes first. */
const MAX_BUCKETS = 200_000

/** In this process's memory. */
export class MemoryCounts implements HitCounts {
  readonly #buckets = new Map<string, HitBucket>()

  async draw(draws: readonly Draw[], nowMs: number): Promise<readonly Drawn[]> {
    const found = draws.map((one) => ({ ...one, bucket: this.#bucketOf(one, nowMs) }))
    const isOver = found.some(({ bucket, hits }) => bucket.remaining(nowMs) < hits)
    return found.map(({ bucket, hits }) => {
      const overLimit = bucket.remaining(nowMs) < hits
      if (!isOver) bucket.take(hits)
      return {
        overLimit,
        remaining: Math.max(0, bucket.remaining(nowMs)),
        resetMs: bucket.resetMs(),
      }
    })
  }

  async giveBack(draws: readonly Draw[], nowMs: number): Promise<void> {
    for (const one of draws) this.#bucketOf(one, nowMs).giveBack(one.hits, nowMs)
  }

  #bucketOf({ key, bucket }: Draw, nowMs: number): HitBucket {
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
