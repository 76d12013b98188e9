/**
 * Retries as a share of requests, so that they cannot become the outage: when
 * everything fails, the load grows by `percent` and not by `attempts`.
 *
 * Without an interval both are those under way. With one, both are those that began in it: what
 * fails fast is then not repeated more often than what fails slowly.
 */
import type { RetryBudget } from '@weft/model'

/** Holds where a cluster names none. */
export const DEFAULT_RETRY_BUDGET: RetryBudget = { percent: 20, minRetryConcurrency: 10 }

/** @param requests Under way or waiting, retries included; or what began within the interval. */
export function retriesAllowed(budget: RetryBudget, requests: number): number {
  return Math.max(budget.minRetryConcurrency, Math.floor((requests * budget.percent) / 100))
}

const SLICES = 10

/** How much began within the last interval, in slices of a tenth of it. */
export class RecentCount {
  readonly #sliceMs: number
  readonly #slices = new Float64Array(SLICES)
  #newest = Number.NEGATIVE_INFINITY
  #sum = 0

  constructor(intervalMs: number) {
    this.#sliceMs = intervalMs / SLICES
  }

  add(nowMs: number): void {
    const slice = this.#advance(nowMs)
    this.#slices[slice % SLICES] = (this.#slices[slice % SLICES] ?? 0) + 1
    this.#sum++
  }

  at(nowMs: number): number {
    this.#advance(nowMs)
    return this.#sum
  }

  /** Forgets what is too old. */
  #advance(nowMs: number): number {
    const slice = Math.max(0, Math.floor(nowMs / this.#sliceMs))
    if (slice - this.#newest >= SLICES) {
      this.#slices.fill(0)
      this.#sum = 0
    } else {
      for (let old = this.#newest + 1; old <= slice; old++) {
        this.#sum -= this.#slices[old % SLICES] ?? 0
        this.#slices[old % SLICES] = 0
      }
    }
    this.#newest = Math.max(this.#newest, slice)
    return this.#newest
  }
}
