/** Tokens that come back steadily, up to a limit; several are taken at once or none. */
import type { TokenBucket } from '@weft/model'

export class HitBucket {
  readonly #settings: TokenBucket
  readonly #perMs: number
  #tokens: number
  #atMs: number

  constructor(settings: TokenBucket, nowMs: number) {
    this.#settings = settings
    this.#perMs = settings.tokensPerFill / settings.fillIntervalMs
    this.#tokens = settings.maxTokens
    this.#atMs = nowMs
  }

  /** Whole tokens. */
  remaining(nowMs: number): number {
    this.#fill(nowMs)
    return Math.floor(this.#tokens)
  }

  take(hits: number): void {
    this.#tokens -= hits
  }

  giveBack(hits: number, nowMs: number): void {
    this.#fill(nowMs)
    this.#tokens = Math.min(this.#settings.maxTokens, this.#tokens + hits)
  }

  /** Until there is a token; 0 when there is one. */
  resetMs(): number {
    return this.#tokens >= 1 ? 0 : Math.ceil((1 - this.#tokens) / this.#perMs)
  }

  #fill(nowMs: number): void {
    const passedMs = Math.max(0, nowMs - this.#atMs)
    this.#tokens = Math.min(this.#settings.maxTokens, this.#tokens + passedMs * this.#perMs)
    this.#atMs = nowMs
  }
}
