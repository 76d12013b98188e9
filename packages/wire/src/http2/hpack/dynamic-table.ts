/** The fields that one direction of a connection has indexed, newest first (RFC 7541, section 2.3.2). */
import type { HpackEntry } from './entry.ts'

export class DynamicTable {
  /** A ring: the newest entry lies at `#next - 1`. */
  #entries: (HpackEntry | undefined)[] = new Array(16).fill(undefined)
  #next = 0
  /** Entries ever inserted; the n-th insertion keeps its number as long as it lives. */
  inserted = 0
  count = 0
  size = 0
  #maxSize: number

  constructor(maxSize: number) {
    this.#maxSize = maxSize
  }

  get maxSize(): number {
    return this.#maxSize
  }

  resize(maxSize: number): void {
    this.#maxSize = maxSize
    this.#evict(0)
  }

  clear(): void {
    this.#evict(Number.MAX_SAFE_INTEGER)
  }

  /** `nth` counts from 0, the newest. */
  get(nth: number): HpackEntry | undefined {
    if (nth >= this.count) return undefined
    return this.#entries[(this.#next - 1 - nth) & (this.#entries.length - 1)]
  }

  insert(entry: HpackEntry): void {
    this.#evict(entry.size)
    // What is larger than the whole table empties it (section 4.4).
    if (entry.size > this.#maxSize) return
    if (this.count === this.#entries.length) this.#grow()
    this.#entries[this.#next & (this.#entries.length - 1)] = entry
    this.#next = (this.#next + 1) & (this.#entries.length - 1)
    this.inserted++
    this.count++
    this.size += entry.size
  }

  #evict(room: number): void {
    const mask = this.#entries.length - 1
    while (this.count > 0 && this.size + room > this.#maxSize) {
      const at = (this.#next - this.count) & mask
      this.size -= (this.#entries[at] as HpackEntry).size
      this.#entries[at] = undefined
      this.count--
    }
  }

  #grow(): void {
    const grown: (HpackEntry | undefined)[] = new Array(this.#entries.length * 2).fill(undefined)
    for (let i = 0; i < this.count; i++) grown[this.count - 1 - i] = this.get(i)
    this.#next = this.count
    this.#entries = grown
  }
}
