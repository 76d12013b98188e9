/** Calls again and again while a long connection lasts; at most a tick of the wheel late. */
import type { Timed } from '@weft/net'
import type { EngineDeps } from '../exchange/contract.ts'

export class LogInterval implements Timed {
  deadlineTick = 0
  slotTick = 0
  readonly #intervalMs: number
  readonly #due: () => void
  readonly #deps: Pick<EngineDeps, 'wheel' | 'clock'>

  /** @param intervalMs > 0. */
  constructor(intervalMs: number, due: () => void, deps: Pick<EngineDeps, 'wheel' | 'clock'>) {
    this.#intervalMs = intervalMs
    this.#due = due
    this.#deps = deps
    this.#arm()
  }

  #arm(): void {
    this.#deps.wheel.arm(this, this.#intervalMs, this.#deps.clock.monotonicMs())
  }

  onDeadline(): void {
    this.#due()
    this.#arm()
  }

  stop(): void {
    this.#deps.wheel.disarm(this)
  }
}
