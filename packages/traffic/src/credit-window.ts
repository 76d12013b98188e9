/**
 * Credit interposition: how many items a broker lets a producer have under way, whatever its
 * consumer asked for. A consumer that asks for everything and reads nothing then costs a window
 * and not the producer's whole output.
 *
 *     consumer asked for   ─► debt         not passed on yet
 *     passed on            ─► outstanding  the producer may still send these
 *
 * Only arithmetic: who grants when, and what a full outbox means, is the broker's.
 */

/** "No bound": sums saturate here, and such a debt never shrinks. */
const UNBOUNDED = 0x7fff_ffff
/** The window before item sizes are known. */
const FIRST_WINDOW = 128
const MIN_WINDOW = 4
const MAX_WINDOW = 256
/** What a window of items should come to, in bytes. */
const WINDOW_BYTES = 262_144
/** Weight of the newest item in the average. */
const RECENT = 1 / 8

export class CreditWindow {
  /** Items that the producer may still send. */
  outstanding = 0
  /** Items that the consumer wants and the producer was not told of. */
  debt = 0
  #itemBytes = 0
  /** Largest number of items under way; falls as items grow. */
  window = FIRST_WINDOW

  /** The consumer asks for `n` items more (n > 0). */
  ask(n: number): void {
    this.debt = Math.min(UNBOUNDED, this.debt + n)
  }

  /** Items to grant the producer now; they count as granted. 0: none. */
  grant(): number {
    const n = Math.min(this.debt, this.window - this.outstanding)
    if (n <= 0) return 0
    this.outstanding += n
    if (this.debt !== UNBOUNDED) this.debt -= n
    return n
  }

  /**
   * The producer sent an item of so many bytes. False: it was not asked for.
   * Then `grant` is worth calling when `isHalfUsed`.
   */
  used(bytes: number): boolean {
    if (this.outstanding === 0) return false
    this.outstanding--
    this.#itemBytes =
      this.#itemBytes === 0 ? bytes : this.#itemBytes + (bytes - this.#itemBytes) * RECENT
    const fitting = Math.floor(WINDOW_BYTES / Math.max(1, this.#itemBytes))
    this.window = Math.max(MIN_WINDOW, Math.min(MAX_WINDOW, fitting))
    return true
  }

  /** Something is owed, and enough of the window is free to be worth a frame. */
  get isHalfUsed(): boolean {
    return this.debt > 0 && this.outstanding * 2 <= this.window
  }
}
