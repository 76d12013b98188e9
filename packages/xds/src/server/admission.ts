/**
 * Who may get an initial push now. When thousands of proxies connect at once, a few get everything
 * quickly instead of all getting it slowly (istio#35263); the others wait their turn, and
 * beyond a limit they are told to come back.
 */

export class Admission<T> {
  readonly #places: number
  readonly #maxWaiting: number
  readonly #holders = new Set<T>()
  readonly #waiting = new Set<T>()

  constructor(places: number, maxWaiting: number) {
    this.#places = places
    this.#maxWaiting = maxWaiting
  }

  /** `admitted` now, `waiting` for `release` to hand on a place, or `refused`. */
  ask(who: T): 'admitted' | 'waiting' | 'refused' {
    if (this.#holders.size < this.#places) {
      this.#holders.add(who)
      return 'admitted'
    }
    if (this.#waiting.size >= this.#maxWaiting) return 'refused'
    this.#waiting.add(who)
    return 'waiting'
  }

  /** Gives a place or a turn back, and returns who is admitted instead; harmless without one. */
  release(who: T): T | undefined {
    this.#waiting.delete(who)
    if (!this.#holders.delete(who)) return undefined
    for (const next of this.#waiting) {
      this.#waiting.delete(next)
      this.#holders.add(next)
      return next
    }
    return undefined
  }
}
