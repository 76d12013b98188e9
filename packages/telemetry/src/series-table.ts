/**
 * Label sets as integers. Whoever measures resolves a set of label values to a
 * slot once and afterwards adds to arrays at that index; the strings are only
 * read again when somebody scrapes.
 *
 * Labels come from requests, so their number is bounded: series that nobody
 * touched for `expiryMs` go; a full table gives up the least recently used one
 * if it was idle long enough to have been scraped; otherwise the newcomer is
 * counted in the `overflow` series. A slot may therefore be given to another
 * label set: holders compare `epoch` and resolve again after it moved.
 */

/** One metric's values, one per slot. */
export interface Column {
  /** Makes room for `capacity` slots, keeping what is there. */
  grow(capacity: number): void
  /** The slot is about to stand for another label set. */
  clear(slot: number): void
}

export interface SeriesTableOptions {
  /** In the order in which values are given and rendered. */
  readonly labels: readonly string[]
  /** Hard bound of live series, overflow series not counted; >= 1. */
  readonly maxSeries: number
  /** A series untouched for longer goes, in milliseconds; 0 means never. */
  readonly expiryMs: number
  /**
   * Labels whose value the overflow series keep, because code bounds them (e.g.
   * `reporter`). There is one overflow series per combination of these.
   */
  readonly keptOnOverflow?: readonly string[]
}

/** What every label of an overflow series says, except the kept ones. */
export const OVERFLOW = 'overflow'

/** A series younger than two usual scrapes may not have been seen yet: it is not pushed out. */
const PROTECTED_TICKS = 60

const FIRST_CAPACITY = 16

/** Ticks are whole seconds of the monotonic clock: fine enough for expiry, and one store per use. */
const TICK_MS = 1_000

export class SeriesTable {
  readonly labels: readonly string[]
  /** Moves whenever a slot loses its label set: slots resolved before may be stale. */
  epoch = 0

  readonly #maxSeries: number
  readonly #expiryTicks: number
  readonly #keptIndexes: ReadonlySet<number>
  readonly #slotOf = new Map<string, number>()
  readonly #overflowSlotOf = new Map<string, number>()
  readonly #keyOf: (string | undefined)[] = []
  readonly #valuesOf: (readonly string[] | undefined)[] = []
  readonly #free: number[] = []
  readonly #columns: Column[] = []
  #usedAtTick = new Uint32Array(FIRST_CAPACITY)
  #tick = 0
  /** Until this tick a full table has no victim, so nobody needs to look for one. */
  #noVictimUntilTick = 0
  #overflowed = 0

  constructor(options: SeriesTableOptions) {
    if (!(options.maxSeries >= 1)) {
      throw new RangeError(`Cannot make a table: maxSeries must be >= 1, got ${options.maxSeries}`)
    }
    this.labels = options.labels
    this.#maxSeries = options.maxSeries
    this.#expiryTicks = Math.ceil(options.expiryMs / TICK_MS)
    this.#keptIndexes = new Set(
      (options.keptOnOverflow ?? []).map((label) => options.labels.indexOf(label)),
    )
  }

  /** Live series, overflow series included. */
  get size(): number {
    return this.#slotOf.size + this.#overflowSlotOf.size
  }

  /** How often a label set found no room. */
  get overflowed(): number {
    return this.#overflowed
  }

  attach(column: Column): void {
    column.grow(this.#usedAtTick.length)
    this.#columns.push(column)
  }

  /**
   * The slot of a label set, made when it is new. Values are in the order of
   * `labels`. Good until `epoch` moves.
   */
  slot(values: readonly string[]): number {
    const key = values.join('\0')
    const known = this.#slotOf.get(key)
    if (known !== undefined) {
      this.#usedAtTick[known] = this.#tick
      return known
    }
    if (this.#slotOf.size >= this.#maxSeries && !this.#evictOne()) return this.#overflow(values)
    return this.#claim(this.#slotOf, key, values)
  }

  /** Says that a slot was used now; call it once per batch of adds, so that it is not expired. */
  touch(slot: number): void {
    this.#usedAtTick[slot] = this.#tick
  }

  /** Moves time on and drops what expired. Call it every few seconds, off the request path. */
  sweep(monotonicMs: number): void {
    this.#tick = Math.floor(monotonicMs / TICK_MS)
    if (this.#expiryTicks === 0) return
    const horizon = this.#tick - this.#expiryTicks
    for (const slot of [...this.#slotOf.values(), ...this.#overflowSlotOf.values()]) {
      if (this.#usedAt(slot) < horizon) this.#release(slot)
    }
  }

  /** Every live series, overflow included, in the order of their birth. */
  *series(): Generator<{ readonly slot: number; readonly values: readonly string[] }> {
    for (const slots of [this.#slotOf, this.#overflowSlotOf]) {
      for (const slot of slots.values()) yield { slot, values: this.#valuesOf[slot] ?? [] }
    }
  }

  #usedAt(slot: number): number {
    return this.#usedAtTick[slot] ?? 0
  }

  #overflow(values: readonly string[]): number {
    this.#overflowed++
    const folded = values.map((value, i) => (this.#keptIndexes.has(i) ? value : OVERFLOW))
    const key = folded.join('\0')
    const known = this.#overflowSlotOf.get(key)
    if (known === undefined) return this.#claim(this.#overflowSlotOf, key, folded)
    this.#usedAtTick[known] = this.#tick
    return known
  }

  #claim(slots: Map<string, number>, key: string, values: readonly string[]): number {
    const slot = this.#free.pop() ?? this.#valuesOf.length
    if (slot >= this.#usedAtTick.length) this.#grow(this.#usedAtTick.length * 2)
    this.#valuesOf[slot] = [...values]
    this.#keyOf[slot] = key
    this.#usedAtTick[slot] = this.#tick
    slots.set(key, slot)
    return slot
  }

  #grow(capacity: number): void {
    const wider = new Uint32Array(capacity)
    wider.set(this.#usedAtTick)
    this.#usedAtTick = wider
    for (const column of this.#columns) column.grow(capacity)
  }

  /**
   * Makes room by giving up the least recently used series. Looks at every
   * series, which a flood of new labels would turn into a cost per request: so
   * when nothing is old enough, it remembers from when on something can be.
   */
  #evictOne(): boolean {
    if (this.#tick < this.#noVictimUntilTick) return false
    let victim = -1
    let oldest = Number.POSITIVE_INFINITY
    for (const slot of this.#slotOf.values()) {
      const usedAt = this.#usedAt(slot)
      if (usedAt < oldest) {
        oldest = usedAt
        victim = slot
      }
    }
    if (oldest + PROTECTED_TICKS > this.#tick) {
      this.#noVictimUntilTick = oldest + PROTECTED_TICKS
      return false
    }
    this.#release(victim)
    return true
  }

  #release(slot: number): void {
    const key = this.#keyOf[slot]
    if (key === undefined) return
    if (this.#slotOf.get(key) === slot) this.#slotOf.delete(key)
    else this.#overflowSlotOf.delete(key)
    this.#keyOf[slot] = undefined
    this.#valuesOf[slot] = undefined
    this.#free.push(slot)
    for (const column of this.#columns) column.clear(slot)
    this.epoch++
  }
}
