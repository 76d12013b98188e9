/**
 * How a filter does: what it was asked, what went wrong, and whether it is asked at all. One that fails
 * again and again is left alone for a while, and its fail strategy decides what that means.
 */

/** Counted over so long, in milliseconds. */
const WINDOW_MS = 10_000
/** So many calls tell something. */
const MIN_CALLS = 20
/** Share of failures from which on it is left alone. */
const MAX_FAILURES = 0.5
/** For so long, in milliseconds; then one call tries. */
const REST_MS = 5_000

export class FilterHealth {
  calls = 0
  failures = 0
  timeouts = 0
  /** Calls that were not made because it rests. */
  bypassed = 0
  refusals = 0
  answers = 0
  changes = 0
  drops = 0
  streams = 0
  /** Why the last call failed. */
  lastFailure: string | undefined
  #windowFromMs = 0
  #windowCalls = 0
  #windowFailures = 0
  #restsUntilMs = 0
  #isTrying = false

  /** Whether it is asked now; what is asked is reported by `onGood` or `onBad`. */
  admits(nowMs: number): boolean {
    if (this.#restsUntilMs !== 0) {
      if (nowMs < this.#restsUntilMs || this.#isTrying) {
        this.bypassed++
        return false
      }
      this.#isTrying = true
    }
    if (nowMs - this.#windowFromMs > WINDOW_MS) {
      this.#windowFromMs = nowMs
      this.#windowCalls = 0
      this.#windowFailures = 0
    }
    this.calls++
    this.#windowCalls++
    return true
  }

  onGood(): void {
    if (!this.#isTrying) return
    this.#isTrying = false
    this.#restsUntilMs = 0
    this.#windowCalls = 0
    this.#windowFailures = 0
  }

  onBad(nowMs: number, why: string, isTimeout: boolean): void {
    this.lastFailure = why
    this.failures++
    if (isTimeout) this.timeouts++
    this.#windowFailures++
    const isBroken =
      this.#windowCalls >= MIN_CALLS && this.#windowFailures >= this.#windowCalls * MAX_FAILURES
    if (this.#isTrying || isBroken) this.#restsUntilMs = nowMs + REST_MS
    this.#isTrying = false
  }

  get isResting(): boolean {
    return this.#restsUntilMs !== 0
  }
}
