/**
 * Latencies of one window: two significant digits each, whatever their number. What a percentile
 * costs does not depend on the traffic.
 */

/** Of each power of ten: 10 to 99. */
const PER_DECADE = 90
const DECADES = 11
const FIRST = 10

export class LatencyHistogram {
  readonly #buckets = new Uint32Array(PER_DECADE * DECADES)
  #count = 0

  get count(): number {
    return this.#count
  }

  /** @param ms At least 0. */
  record(ms: number): void {
    const index = bucketOf(ms * 1_000)
    this.#buckets[index] = (this.#buckets[index] as number) + 1
    this.#count++
  }

  /** In milliseconds, at least a microsecond; 0 without values. */
  percentile(percent: number): number {
    if (this.#count === 0) return 0
    const rank = Math.max(1, Math.ceil((percent / 100) * this.#count))
    let seen = 0
    for (let i = 0; i < this.#buckets.length; i++) {
      const inBucket = this.#buckets[i] as number
      if (inBucket === 0 || seen + inBucket < rank) {
        seen += inBucket
        continue
      }
      const { from, width } = boundsOf(i)
      // The middle of its share of the bucket: a lone value reads as the bucket's middle.
      const micros = from + (width * (rank - seen - 0.5)) / inBucket
      return Math.max(1, micros) / 1_000
    }
    return 0
  }

  clear(): void {
    if (this.#count === 0) return
    this.#buckets.fill(0)
    this.#count = 0
  }
}

function bucketOf(micros: number): number {
  let scaled = Math.max(FIRST, micros * FIRST)
  let decade = 0
  while (scaled >= FIRST * 10 && decade < DECADES - 1) {
    scaled /= 10
    decade++
  }
  return decade * PER_DECADE + Math.min(PER_DECADE - 1, Math.floor(scaled) - FIRST)
}

/** In microseconds. */
function boundsOf(index: number): { readonly from: number; readonly width: number } {
  const width = 10 ** (Math.floor(index / PER_DECADE) - 1)
  return { from: (FIRST + (index % PER_DECADE)) * width, width }
}
