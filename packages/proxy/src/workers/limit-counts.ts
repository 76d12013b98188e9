/**
 * The supervisor's side of local rate limits: the buckets that its workers pay from.
 *
 * Who asks because requests wait gets what there is. What it would like to have ahead it gets
 * while there is plenty, and never more than one part in `AHEAD_PARTS` of the rest over all
 * workers: near the limit each token is at the worker that needs it, so a small bucket is exact.
 */
import { type LimitGrant, LocalLimiter } from '@weft/traffic'
import type { LimitQuestion } from '../filters/rate-limit/shared-limiter.ts'

const AHEAD_PARTS = 8
/** The least recently used goes first. */
const MAX_LIMITS = 10_000

export class LimitCounts {
  readonly #workers: number
  readonly #limiters = new Map<string, LocalLimiter>()

  constructor(workers: number) {
    this.#workers = workers
  }

  grant(question: LimitQuestion, needed: number, nowMs: number): LimitGrant {
    const limiter = this.#limiterOf(question, nowMs)
    if (question.hits !== undefined) return whole(limiter, question, nowMs)
    return limiter.grant(question.descriptors, nowMs, (available) => {
      const paid = Math.min(needed, available)
      const ahead = Math.floor((available - paid) / (AHEAD_PARTS * this.#workers))
      return paid + Math.min(Math.max(0, question.tokens - needed), ahead)
    })
  }

  giveBack(question: LimitQuestion, nowMs: number): void {
    // Nobody knows any more what it cost: such tokens are lost.
    if (question.hits !== undefined) return
    this.#limiterOf(question, nowMs).giveBack(question.descriptors, nowMs, question.tokens)
  }

  #limiterOf({ key, limit }: LimitQuestion, nowMs: number): LocalLimiter {
    const limiter = this.#limiters.get(key) ?? new LocalLimiter(limit, nowMs)
    this.#limiters.delete(key)
    this.#limiters.set(key, limiter)
    if (this.#limiters.size > MAX_LIMITS) {
      const [oldest] = this.#limiters.keys()
      if (oldest !== undefined) this.#limiters.delete(oldest)
    }
    return limiter
  }
}

/** One request that costs more, or less, than one. */
function whole(
  limiter: LocalLimiter,
  { descriptors, hits }: LimitQuestion,
  nowMs: number,
): LimitGrant {
  const { allowed, bucket } = limiter.check(descriptors, nowMs, hits)
  return {
    tokens: allowed ? 1 : 0,
    maxTokens: bucket.maxTokens,
    remaining: bucket.remaining(nowMs),
    resetMs: bucket.resetMs(nowMs),
  }
}
