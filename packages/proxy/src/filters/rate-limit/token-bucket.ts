/** Tokens that come back steadily, up to a limit; one request takes one. */
import type { TokenBucket as Settings } from '@weft/model'

export class TokenBucket {
  readonly #maxTokens: number
  readonly #perMs: number
  #tokens: number
  #atMs: number

  constructor({ maxTokens, tokensPerFill, fillIntervalMs }: Settings, nowMs: number) {
    this.#maxTokens = maxTokens
    this.#perMs = tokensPerFill / fillIntervalMs
    this.#tokens = maxTokens
    this.#atMs = nowMs
  }

  get maxTokens(): number {
    return this.#maxTokens
  }

  /** How many a minute it lets through for good: the smaller, the stricter. */
  get rate(): number {
    return this.#perMs
  }

  take(nowMs: number): boolean {
    this.#fill(nowMs)
    if (this.#tokens < 1) return false
    this.#tokens -= 1
    return true
  }

  /** Whole tokens. */
  remaining(nowMs: number): number {
    this.#fill(nowMs)
    return Math.floor(this.#tokens)
  }

  /** Whole seconds until there is a token again; 0 when there is one. */
  resetSeconds(nowMs: number): number {
    this.#fill(nowMs)
    if (this.#tokens >= 1) return 0
    return Math.ceil((1 - this.#tokens) / this.#perMs / 1_000)
  }

  #fill(nowMs: number): void {
    const passedMs = nowMs - this.#atMs
    if (passedMs <= 0) return
    this.#tokens = Math.min(this.#maxTokens, this.#tokens + passedMs * this.#perMs)
    this.#atMs = nowMs
  }
}
