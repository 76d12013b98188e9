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

  /** All of them or none. */
  take(nowMs: number, tokens = 1): boolean {
    this.#fill(nowMs)
    if (this.#tokens < tokens) return false
    this.#tokens -= tokens
    return true
  }

  giveBack(nowMs: number, tokens: number): void {
    this.#fill(nowMs)
    this.#tokens = Math.min(this.#maxTokens, this.#tokens + tokens)
  }

  /** Whole tokens. */
  remaining(nowMs: number): number {
    this.#fill(nowMs)
    return Math.floor(this.#tokens)
  }

  /** Until there is a token again; 0 when there is one. */
  resetMs(nowMs: number): number {
    this.#fill(nowMs)
    return this.#tokens >= 1 ? 0 : (1 - this.#tokens) / this.#perMs
  }

  #fill(nowMs: number): void {
    const passedMs = nowMs - this.#atMs
    if (passedMs <= 0) return
    this.#tokens = Math.min(this.#maxTokens, this.#tokens + passedMs * this.#perMs)
    this.#atMs = nowMs
  }
}
