/** How late the event loop is: its mean over about a second, and stalls as Envoy's watchdog counts them. */
import { monitorEventLoopDelay } from 'node:perf_hooks'

export interface LoopDelay {
  /** Since the last call, in milliseconds; `undefined` when nothing was measured. */
  take(): { readonly meanMs: number; readonly maxMs: number } | undefined
  stop(): void
}

/** Fine enough for delays that matter; wakes an idle process 20 times a second. */
const RESOLUTION_MS = 50
const NS_PER_MS = 1e6

export function watchLoopDelay(): LoopDelay {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  histogram.enable()
  return {
    take() {
      if (histogram.count === 0) return undefined
      const meanMs = Math.max(0, histogram.mean / NS_PER_MS - RESOLUTION_MS)
      const maxMs = Math.max(0, histogram.max / NS_PER_MS - RESOLUTION_MS)
      histogram.reset()
      return { meanMs, maxMs }
    },
    stop: () => void histogram.disable(),
  }
}

/** Of the last looks: the newest is a fourth, so that one stall is not an overload. */
const NEWEST = 0.25
/** Envoy's `watchdog_miss_timeout` and `watchdog_megamiss_timeout`. */
const MISS_MS = 200
const MEGA_MISS_MS = 1_000

export class LoopPressure {
  readonly #delay: LoopDelay
  #meanMs = 0
  /** The longest since somebody last read it. */
  #maxMs = 0
  misses = 0
  megaMisses = 0

  constructor(delay: LoopDelay) {
    this.#delay = delay
  }

  /** The mean delay of late, in milliseconds. */
  refresh(): number {
    const now = this.#delay.take()
    if (now !== undefined) {
      this.#meanMs += (now.meanMs - this.#meanMs) * NEWEST
      this.#maxMs = Math.max(this.#maxMs, now.maxMs)
      if (now.maxMs >= MISS_MS) this.misses++
      if (now.maxMs >= MEGA_MISS_MS) this.megaMisses++
    }
    return this.#meanMs
  }

  takeMaxMs(): number {
    const maxMs = this.#maxMs
    this.#maxMs = 0
    return maxMs
  }

  stop(): void {
    this.#delay.stop()
  }
}
