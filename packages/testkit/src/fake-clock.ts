/** A clock that stands still until a test moves it. */
import type { Clock } from '@weft/base'

interface Timer {
  readonly atMs: number
  readonly fire: () => void
}

export class FakeClock implements Clock {
  #elapsedMs = 0
  #epochMs: number
  readonly #timers = new Set<Timer>()

  /** @param epochMs What `nowMs` says before the first `advance`. */
  constructor(epochMs = Date.UTC(2026, 0, 1)) {
    this.#epochMs = epochMs
  }

  nowMs(): number {
    return this.#epochMs + this.#elapsedMs
  }

  monotonicMs(): number {
    return this.#elapsedMs
  }

  after(delayMs: number, fire: () => void): () => void {
    const timer = { atMs: this.#elapsedMs + delayMs, fire }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  /** How many timers wait: 0 at the end of a test means that nothing leaked. */
  get pending(): number {
    return this.#timers.size
  }

  /** Somebody sets the wall clock: no timer notices. */
  jump(ms: number): void {
    this.#epochMs += ms
  }

  /** Moves time on and fires what is due, in order, including timers that firing sets. */
  advance(ms: number): void {
    const untilMs = this.#elapsedMs + ms
    for (;;) {
      const due = [...this.#timers].filter((timer) => timer.atMs <= untilMs)
      const next = due.sort((a, b) => a.atMs - b.atMs)[0]
      if (next === undefined) break
      this.#elapsedMs = Math.max(this.#elapsedMs, next.atMs)
      this.#timers.delete(next)
      next.fire()
    }
    this.#elapsedMs = untilMs
  }
}
