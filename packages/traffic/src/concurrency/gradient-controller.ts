/**
 * How many requests may be under way at once, found by what latency does (Envoy's gradient
 * controller). Latency well above the least that was ever measured means that requests queue
 * somewhere: the limit falls; otherwise it rises.
 *
 *     least measured ──requests──► limit follows the latency, window by window
 *          ▲  (limit is the minimum)              │
 *          └──────── interval with jitter ────────┘  or five windows at the minimum
 *
 * No timers: windows end with the first call after their time, so a controller that nobody
 * asks costs nothing and leaves nothing behind.
 */
import type { AdaptiveConcurrency } from '@weft/model'
import { LatencyHistogram } from './latency-histogram.ts'

/** So many windows in a row at the minimum say that the least latency is not what it was. */
const STUCK_WINDOWS = 5
const MIN_GRADIENT = 0.5
const MAX_GRADIENT = 2

/** Under the names that Envoy's gauges have. */
export interface GradientReading {
  readonly concurrencyLimit: number
  readonly gradient: number
  readonly burstQueueSize: number
  readonly minRttMs: number
  readonly sampleRttMs: number
  readonly minRttCalculationActive: boolean
}

export class GradientController {
  readonly #settings: AdaptiveConcurrency
  readonly #random: () => number
  readonly #samples = new LatencyHistogram()
  #outstanding = 0
  #limit: number
  /** While the least latency is measured: the limit that comes back afterwards. */
  #deferredLimit: number
  #measuring = true
  /** Requests from before the measurement ran beside too many others to say anything. */
  #measuredSinceMs: number
  #minRttMs = 0
  #sampleRttMs = 0
  #gradient = 0
  #headroom = 0
  #windowEndsMs: number
  #measureAtMs = Number.POSITIVE_INFINITY
  #windowsAtMinimum = 0

  constructor(settings: AdaptiveConcurrency, nowMs: number, random: () => number) {
    this.#settings = settings
    this.#random = random
    this.#limit = settings.minConcurrency
    this.#deferredLimit = settings.minConcurrency
    this.#measuredSinceMs = nowMs
    this.#windowEndsMs = nowMs + settings.updateIntervalMs
  }

  get reading(): GradientReading {
    return {
      concurrencyLimit: this.#limit,
      gradient: this.#gradient,
      burstQueueSize: this.#headroom,
      minRttMs: this.#minRttMs,
      sampleRttMs: this.#sampleRttMs,
      minRttCalculationActive: this.#measuring,
    }
  }

  get outstanding(): number {
    return this.#outstanding
  }

  /** Each `true` is followed by exactly one `done` or `cancel`. */
  admit(nowMs: number): boolean {
    this.#passTime(nowMs)
    if (this.#outstanding >= this.#limit) return false
    this.#outstanding++
    return true
  }

  /** The answer is complete. */
  done(startedMs: number, nowMs: number): void {
    this.#outstanding--
    this.#passTime(nowMs)
    if (startedMs < this.#measuredSinceMs) return
    this.#samples.record(Math.max(0, nowMs - startedMs))
    if (this.#measuring && this.#samples.count >= this.#settings.minRttRequests) {
      this.#endMeasurement(nowMs)
    }
  }

  /** It came to no answer: its time says nothing. */
  cancel(): void {
    this.#outstanding--
  }

  #passTime(nowMs: number): void {
    if (this.#measuring) return
    if (nowMs >= this.#measureAtMs) this.#beginMeasurement(nowMs)
    else if (nowMs >= this.#windowEndsMs) {
      this.#endWindow(nowMs)
      this.#windowEndsMs = nowMs + this.#settings.updateIntervalMs
    }
  }

  #beginMeasurement(nowMs: number): void {
    this.#measuring = true
    this.#measuredSinceMs = nowMs
    this.#deferredLimit = this.#limit
    this.#limit = this.#settings.minConcurrency
    this.#windowsAtMinimum = 0
    this.#samples.clear()
  }

  #endMeasurement(nowMs: number): void {
    const { minRttIntervalMs, minRttJitterPercent, samplePercentile, updateIntervalMs } =
      this.#settings
    this.#minRttMs = this.#samples.percentile(samplePercentile)
    this.#samples.clear()
    this.#measuring = false
    this.#limit = this.#deferredLimit
    const jitterMs = minRttIntervalMs * (minRttJitterPercent / 100) * this.#random()
    this.#measureAtMs = nowMs + minRttIntervalMs + jitterMs
    this.#windowEndsMs = nowMs + updateIntervalMs
  }

  #endWindow(nowMs: number): void {
    const { samplePercentile, minConcurrency } = this.#settings
    if (this.#samples.count === 0) return
    this.#sampleRttMs = this.#samples.percentile(samplePercentile)
    this.#samples.clear()
    const before = this.#limit
    this.#limit = this.#nextLimit()
    const stuck = before === minConcurrency && this.#limit === minConcurrency
    this.#windowsAtMinimum = stuck ? this.#windowsAtMinimum + 1 : 0
    if (this.#windowsAtMinimum >= STUCK_WINDOWS) this.#beginMeasurement(nowMs)
  }

  #nextLimit(): number {
    const { minRttBufferPercent, minConcurrency, maxConcurrency } = this.#settings
    const allowedMs = this.#minRttMs * (1 + minRttBufferPercent / 100)
    const raw = allowedMs / this.#sampleRttMs
    this.#gradient = Math.max(MIN_GRADIENT, Math.min(MAX_GRADIENT, raw))
    const limit = this.#limit * this.#gradient
    // Room for a short queue, without which the limit could never rise.
    this.#headroom = Math.sqrt(limit)
    return Math.max(minConcurrency, Math.min(maxConcurrency, Math.floor(limit + this.#headroom)))
  }
}
