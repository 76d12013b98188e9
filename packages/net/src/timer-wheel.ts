/**
 * Timeouts for things that almost never time out. Arming is one integer store:
 * an entry stays in its slot while its deadline moves away, and is looked at
 * again only when the slot comes round.
 *
 *     slot   0   1   2  …  255           one slot = tickMs
 *            │       └ Timed ┐
 *            └ visited: due → fires; later → moves on; disarmed → leaves
 *
 * Entries never rest for more than one round, so what was disarmed and closed is
 * let go within `tickMs * 256` however long its timeout was.
 */
import type { Clock } from '@weft/base'

const SLOTS = 256

/** Something with one deadline. Subclass-free: implementers carry the two fields. */
export interface Timed {
  /** In wheel ticks; 0 while disarmed. Owned by the wheel. */
  deadlineTick: number
  /** The slot's tick this sits in; 0 when in none. Owned by the wheel. */
  slotTick: number
  onDeadline(): void
}

export class TimerWheel {
  readonly #clock: Clock
  readonly #tickMs: number
  readonly #slots: Timed[][] = Array.from({ length: SLOTS }, () => [])
  #count = 0
  /** Every slot up to this tick has been visited. */
  #visitedTick: number
  #wakeTick = 0
  #cancelWake: (() => void) | undefined

  constructor(clock: Clock, tickMs = 25) {
    this.#clock = clock
    this.#tickMs = tickMs
    this.#visitedTick = Math.floor(clock.monotonicMs() / tickMs) + 1
  }

  /**
   * Sets `timed`'s deadline to `delayMs` after `nowMs`, replacing the one it had.
   * It fires at most one tick late.
   *
   * @param nowMs The clock's monotonic time, which callers on the hot path have at hand.
   */
  arm(timed: Timed, delayMs: number, nowMs: number): void {
    const deadlineTick = Math.floor((nowMs + delayMs) / this.#tickMs) + 1
    timed.deadlineTick = deadlineTick
    if (timed.slotTick !== 0 && timed.slotTick <= deadlineTick) return
    this.#insert(timed)
  }

  disarm(timed: Timed): void {
    timed.deadlineTick = 0
  }

  #insert(timed: Timed): void {
    const first = this.#visitedTick + 1
    const slotTick = Math.min(Math.max(timed.deadlineTick, first), this.#visitedTick + SLOTS - 1)
    timed.slotTick = slotTick
    this.#slots[slotTick % SLOTS]?.push(timed)
    this.#count++
    if (this.#cancelWake === undefined || slotTick < this.#wakeTick) this.#wakeAt(slotTick)
  }

  #wakeAt(tick: number): void {
    this.#cancelWake?.()
    this.#wakeTick = tick
    const delayMs = Math.max(0, tick * this.#tickMs - this.#clock.monotonicMs())
    this.#cancelWake = this.#clock.after(Math.ceil(delayMs), () => {
      this.#cancelWake = undefined
      this.#turn()
    })
  }

  /** Visits every slot that time has passed. */
  #turn(): void {
    const nowTick = Math.floor(this.#clock.monotonicMs() / this.#tickMs)
    // After a long stop every slot is visited once; more rounds would find nothing new.
    const rounds = Math.min(nowTick - this.#visitedTick, SLOTS)
    const from = this.#visitedTick + 1
    this.#visitedTick = Math.max(this.#visitedTick, nowTick)
    for (let i = 0; i < rounds; i++) this.#visit((from + i) % SLOTS, nowTick)
    if (this.#count === 0) return
    for (let tick = this.#visitedTick + 1; ; tick++) {
      if ((this.#slots[tick % SLOTS]?.length ?? 0) === 0) continue
      if (this.#cancelWake === undefined || tick < this.#wakeTick) this.#wakeAt(tick)
      return
    }
  }

  #visit(slot: number, nowTick: number): void {
    const entries = this.#slots[slot]
    if (entries === undefined || entries.length === 0) return
    this.#slots[slot] = []
    this.#count -= entries.length
    for (const timed of entries) {
      // An entry that was armed earlier than its slot lies in two slots; only the newer one counts.
      if (timed.slotTick === 0 || timed.slotTick % SLOTS !== slot) continue
      timed.slotTick = 0
      if (timed.deadlineTick === 0) continue
      if (timed.deadlineTick > nowTick) this.#insert(timed)
      else {
        timed.deadlineTick = 0
        timed.onDeadline()
      }
    }
  }
}
