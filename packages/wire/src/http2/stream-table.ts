/**
 * The open streams of a session by their number. A `Map` would do, but one that fills
 * and empties all the time makes its memory anew all the time, and every call of HTTP/2
 * passes through here four times.
 *
 * Open addressing with linear probing; what is taken out leaves no mark behind, because
 * those behind it move up.
 */

const FIRST_SLOTS = 16
/** Numbers that follow each other, as those of streams do, lie far apart (Knuth's multiplicative hash). */
const SPREAD = 0x9e3779b1

export class StreamTable<Stream extends { readonly id: number }> {
  size = 0
  #slots: (Stream | undefined)[] = new Array(FIRST_SLOTS).fill(undefined)
  #mask = FIRST_SLOTS - 1

  get(id: number): Stream | undefined {
    const slots = this.#slots
    for (let at = this.#home(id); ; at = (at + 1) & this.#mask) {
      const stream = slots[at]
      if (stream === undefined || stream.id === id) return stream
    }
  }

  /** There must be none with this number. */
  add(stream: Stream): void {
    // At most half full: a search ends soon.
    if (++this.size * 2 > this.#slots.length) this.#grow()
    this.#place(stream)
  }

  #home(id: number): number {
    const hash = Math.imul(id, SPREAD)
    return (hash ^ (hash >>> 15)) & this.#mask
  }

  #place(stream: Stream): void {
    let at = this.#home(stream.id)
    while (this.#slots[at] !== undefined) at = (at + 1) & this.#mask
    this.#slots[at] = stream
  }

  #grow(): void {
    const old = this.#slots
    this.#slots = new Array(old.length * 2).fill(undefined)
    this.#mask = this.#slots.length - 1
    for (const stream of old) if (stream !== undefined) this.#place(stream)
  }

  /** @returns Whether it was there. */
  delete(id: number): boolean {
    const slots = this.#slots
    const mask = this.#mask
    let hole = this.#home(id)
    while (slots[hole]?.id !== id) {
      if (slots[hole] === undefined) return false
      hole = (hole + 1) & mask
    }
    this.size--
    for (let at = (hole + 1) & mask; ; at = (at + 1) & mask) {
      const next = slots[at]
      if (next === undefined) break
      // It may move up unless its home lies between the hole and its place.
      if (((at - this.#home(next.id)) & mask) < ((at - hole) & mask)) continue
      slots[hole] = next
      hole = at
    }
    slots[hole] = undefined
    return true
  }

  /** As they are now, the oldest first. */
  values(): Stream[] {
    return this.#slots.filter((stream) => stream !== undefined).sort((a, b) => a.id - b.id)
  }
}
