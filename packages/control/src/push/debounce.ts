/**
 * Many changes, one push. Two lanes, because they are worth different waits:
 * configuration comes in bursts (a folder, an apply of many files), an endpoint
 * that comes or goes is traffic won or lost.
 *
 *     config     100 ms without another change, at most 1 s
 *     endpoints   10 ms without another change, at most 50 ms
 *
 * A push takes everything there is, so the lane that fires first serves both.
 */
import type { Clock } from '@weft/base'

export type PushLane = 'config' | 'endpoints'

export interface LaneTiming {
  readonly quietMs: number
  readonly maxMs: number
}

const LANES: Readonly<Record<PushLane, LaneTiming>> = {
  config: { quietMs: 100, maxMs: 1_000 },
  endpoints: { quietMs: 10, maxMs: 50 },
}

interface Pending {
  readonly sinceMs: number
  cancel: () => void
}

export class PushDebounce {
  readonly #clock: Clock
  readonly #fire: () => void
  readonly #lanes: Readonly<Record<PushLane, LaneTiming>>
  readonly #pending = new Map<PushLane, Pending>()

  constructor(
    clock: Clock,
    fire: () => void,
    lanes: Readonly<Record<PushLane, LaneTiming>> = LANES,
  ) {
    this.#clock = clock
    this.#fire = fire
    this.#lanes = lanes
  }

  /** Something changed. */
  request(lane: PushLane): void {
    const { quietMs, maxMs } = this.#lanes[lane]
    const nowMs = this.#clock.monotonicMs()
    const pending = this.#pending.get(lane)
    pending?.cancel()
    const sinceMs = pending?.sinceMs ?? nowMs
    const delayMs = Math.max(0, Math.min(quietMs, sinceMs + maxMs - nowMs))
    const cancel = this.#clock.after(delayMs, () => {
      this.cancel()
      this.#fire()
    })
    this.#pending.set(lane, { sinceMs, cancel })
  }

  /** Forgets what waits. */
  cancel(): void {
    for (const { cancel } of this.#pending.values()) cancel()
    this.#pending.clear()
  }
}
