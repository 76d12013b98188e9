/**
 * Each in turn, in proportion to weight and well mixed: with weights 3 and 1 the
 * order is a a b a, not a a a b.
 *
 * Every entry has a deadline that moves by 1/weight when its turn comes; the
 * earliest deadline is next (Envoy's EDF schedule). A binary heap makes a turn
 * O(log n); walking all entries, as the usual smooth algorithm does, is O(n).
 * Equal weights need neither: a counter goes round.
 */

const GOLDEN = 0.618_033_988_749_894_9

export class WeightedRotation {
  readonly #size: number
  #turn: number
  readonly #strides: Float64Array | undefined
  readonly #deadlines: Float64Array
  /** Heap of entries, earliest deadline first; ties go to the smaller number. */
  readonly #heap: Int32Array

  /**
   * @param weights All > 0.
   * @param start Uniform in [0, 1): where the round begins, so that a thousand
   * proxies that start together do not all begin with the same endpoint.
   */
  constructor(weights: readonly number[], start: number) {
    this.#size = weights.length
    this.#turn = Math.floor(start * weights.length)
    const even = weights.every((weight) => weight === weights[0])
    this.#strides = even ? undefined : Float64Array.from(weights, (weight) => 1 / weight)
    this.#deadlines = new Float64Array(even ? 0 : weights.length)
    this.#heap = new Int32Array(even ? 0 : weights.length)
    if (this.#strides === undefined) return
    this.#fillHeap(this.#strides, start)
  }

  /** The number of the entry whose turn it is. The rotation must not be empty. */
  next(): number {
    const strides = this.#strides
    if (strides === undefined) {
      const turn = this.#turn
      this.#turn = turn + 1 === this.#size ? 0 : turn + 1
      return turn
    }
    const top = this.#heap[0] ?? 0
    this.#deadlines[top] = (this.#deadlines[top] ?? 0) + (strides[top] ?? 1)
    this.#sink(0)
    return top
  }

  /**
   * Every entry begins anywhere in its stride, so that shares hold on average however soon
   * the rotation is thrown away and made anew. Multiples of the golden ratio spread evenly.
   */
  #fillHeap(strides: Float64Array, start: number): void {
    for (let i = 0; i < this.#size; i++) {
      const phase = (start + i * GOLDEN) % 1
      this.#deadlines[i] = phase * (strides[i] ?? 1)
      this.#heap[i] = i
    }
    for (let i = (this.#size >> 1) - 1; i >= 0; i--) this.#sink(i)
  }

  #sink(from: number): void {
    const heap = this.#heap
    const entry = heap[from] ?? 0
    let at = from
    for (;;) {
      let child = 2 * at + 1
      if (child >= this.#size) break
      if (child + 1 < this.#size && this.#isBefore(heap[child + 1] ?? 0, heap[child] ?? 0)) child++
      if (!this.#isBefore(heap[child] ?? 0, entry)) break
      heap[at] = heap[child] ?? 0
      at = child
    }
    heap[at] = entry
  }

  #isBefore(a: number, b: number): boolean {
    const deadlineA = this.#deadlines[a] ?? 0
    const deadlineB = this.#deadlines[b] ?? 0
    return deadlineA === deadlineB ? a < b : deadlineA < deadlineB
  }
}
