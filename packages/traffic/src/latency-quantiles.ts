/**
 * How long answers take, as quantiles of the recent past: a histogram whose buckets grow with
 * the latency (8 a power of two, so within 13 %), halved when it is full so that old times fade.
 */
const SUB_BITS = 3
const SUB_BUCKETS = 1 << SUB_BITS
/** In units of 1/16 ms, up to about an hour. */
const UNITS_PER_MS = 16
const BUCKETS = 27 * SUB_BUCKETS
/** Fewer say nothing of a high quantile. */
const MIN_SAMPLES = 50
const FULL = 8_192

export class LatencyQuantiles {
  readonly #counts = new Uint32Array(BUCKETS)
  #total = 0

  record(latencyMs: number): void {
    const bucket = bucketOf(latencyMs)
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1
    if (++this.#total >= FULL) this.#halve()
  }

  /** In milliseconds, never too low; `undefined` while too little is known. `percentile`: 0 to 100. */
  at(percentile: number): number | undefined {
    if (this.#total < MIN_SAMPLES) return undefined
    let left = Math.max(1, Math.ceil((this.#total * percentile) / 100))
    for (let i = 0; i < BUCKETS; i++) {
      left -= this.#counts[i] as number
      if (left <= 0) return endOf(i)
    }
    return endOf(BUCKETS - 1)
  }

  #halve(): void {
    this.#total = 0
    for (let i = 0; i < BUCKETS; i++) {
      const half = (this.#counts[i] as number) >> 1
      this.#counts[i] = half
      this.#total += half
    }
  }
}

function bucketOf(latencyMs: number): number {
  const units = Math.min(0x7fff_ffff, Math.max(0, Math.floor(latencyMs * UNITS_PER_MS)))
  if (units < SUB_BUCKETS) return units
  const shift = 31 - Math.clz32(units) - SUB_BITS
  return Math.min(BUCKETS - 1, (shift << SUB_BITS) + (units >> shift))
}

/** The end of the bucket, in milliseconds. */
function endOf(bucket: number): number {
  if (bucket < 2 * SUB_BUCKETS) return (bucket + 1) / UNITS_PER_MS
  const shift = (bucket >> SUB_BITS) - 1
  return ((bucket - (shift << SUB_BITS) + 1) * 2 ** shift) / UNITS_PER_MS
}
