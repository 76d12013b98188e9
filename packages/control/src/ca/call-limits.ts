/** How often somebody may do something: a bucket of tokens per key, bounded in number. */

export interface LimitOptions {
  readonly burst: number
  readonly perSecond: number
}

interface Bucket {
  tokens: number
  atMs: number
}

const MAX_KEYS = 10_000

export class CallLimits {
  readonly #options: LimitOptions
  readonly #nowMs: () => number
  /** In the order of their last use. */
  readonly #buckets = new Map<string, Bucket>()

  /** @param nowMs Monotonic. */
  constructor(options: LimitOptions, nowMs: () => number) {
    this.#options = options
    this.#nowMs = nowMs
  }

  /** Whether there is something left. */
  has(key: string): boolean {
    return this.#filled(key).tokens >= 1
  }

  /** Takes one; false when there was none. */
  take(key: string): boolean {
    const bucket = this.#filled(key)
    this.#buckets.delete(key)
    this.#buckets.set(key, bucket)
    if (this.#buckets.size > MAX_KEYS) {
      const [oldest] = this.#buckets.keys()
      if (oldest !== undefined) this.#buckets.delete(oldest)
    }
    if (bucket.tokens < 1) return false
    bucket.tokens -= 1
    return true
  }

  #filled(key: string): Bucket {
    const { burst, perSecond } = this.#options
    const nowMs = this.#nowMs()
    const bucket = this.#buckets.get(key)
    if (bucket === undefined) return { tokens: burst, atMs: nowMs }
    bucket.tokens = Math.min(burst, bucket.tokens + ((nowMs - bucket.atMs) / 1_000) * perSecond)
    bucket.atMs = nowMs
    return bucket
  }
}
