/**
 * Draws an entry with probability in proportion to its weight in constant time
 * (Walker's alias method, Vose's construction).
 */

export class WeightedSampler {
  readonly #size: number
  /** How much of each slot belongs to the entry of the same number, 0 to 1. */
  readonly #own: Float64Array
  /** To whom the rest belongs. */
  readonly #alias: Int32Array

  /** @param weights All > 0. */
  constructor(weights: readonly number[]) {
    const size = weights.length
    const total = weights.reduce((sum, weight) => sum + weight, 0)
    const scaled = weights.map((weight) => (weight * size) / total)
    const small: number[] = []
    const large: number[] = []
    for (const [i, share] of scaled.entries()) (share < 1 ? small : large).push(i)
    this.#size = size
    this.#own = new Float64Array(size).fill(1)
    this.#alias = Int32Array.from(weights, (_, i) => i)
    for (;;) {
      const poor = small.pop()
      const rich = large.pop()
      if (poor === undefined || rich === undefined) break
      const share = scaled[poor] ?? 1
      this.#own[poor] = share
      this.#alias[poor] = rich
      const left = (scaled[rich] ?? 1) - (1 - share)
      scaled[rich] = left
      if (left < 1) small.push(rich)
      else large.push(rich)
    }
  }

  /** @param random Uniform in [0, 1); used once. */
  draw(random: number): number {
    const point = random * this.#size
    const slot = Math.floor(point)
    return point - slot < (this.#own[slot] ?? 1) ? slot : (this.#alias[slot] ?? slot)
  }
}
