/** Repeats of calls that may have been processed: a share of all calls, and a few at once. */

/** Repeats per call, in the long run. */
const SHARE = 0.2
const BURST = 10

export class RetryTokens {
  #tokens = BURST

  onRequest(): void {
    this.#tokens = Math.min(BURST, this.#tokens + SHARE)
  }

  admit(): boolean {
    if (this.#tokens < 1) return false
    this.#tokens--
    return true
  }
}
