import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AdaptiveConcurrency } from '@weft/model'
import { FakeClock, seededRandom } from '@weft/testkit'
import { GradientController } from './gradient-controller.ts'
import { LatencyHistogram } from './latency-histogram.ts'

const SETTINGS: AdaptiveConcurrency = {
  enabled: true,
  samplePercentile: 50,
  maxConcurrency: 1_000,
  minConcurrency: 3,
  updateIntervalMs: 100,
  minRttIntervalMs: 60_000,
  minRttJitterPercent: 0,
  minRttRequests: 50,
  minRttBufferPercent: 25,
  status: 503,
}

/** A server of `slots` that serves a request in about `serviceMs`; more than it has slots wait. */
class Simulation {
  readonly clock = new FakeClock()
  readonly controller: GradientController
  readonly slots: number
  serviceMs: number
  refused = 0
  served = 0
  #active = 0
  #most = 0
  readonly #waiting: number[] = []
  readonly #random = seededRandom(3)

  constructor(settings: AdaptiveConcurrency, slots: number, serviceMs: number) {
    this.slots = slots
    this.serviceMs = serviceMs
    this.controller = new GradientController(settings, 0, seededRandom(1))
  }

  get mostUnderWay(): number {
    const most = this.#most
    this.#most = this.controller.outstanding
    return most
  }

  /** @param perMs How many requests arrive each millisecond. */
  run(ms: number, perMs: number): void {
    for (let arrived = 0; arrived < ms * perMs; arrived++) {
      this.#arrive()
      this.clock.advance(1 / perMs)
    }
  }

  #arrive(): void {
    const nowMs = this.clock.monotonicMs()
    if (!this.controller.admit(nowMs)) {
      this.refused++
      return
    }
    this.#most = Math.max(this.#most, this.controller.outstanding)
    if (this.#active < this.slots) this.#serve(nowMs)
    else this.#waiting.push(nowMs)
  }

  #serve(startedMs: number): void {
    this.#active++
    this.clock.after(this.serviceMs * (0.8 + 0.4 * this.#random()), () => {
      this.#active--
      this.served++
      this.controller.done(startedMs, this.clock.monotonicMs())
      const next = this.#waiting.shift()
      if (next !== undefined) this.#serve(next)
    })
  }
}

test('under overload the limit settles a little above what the server does at once', () => {
  for (const slots of [10, 40, 100]) {
    const simulation = new Simulation(SETTINGS, slots, 10)
    simulation.run(5_000, 40)
    const limits: number[] = []
    for (let i = 0; i < 30; i++) {
      simulation.run(100, 40)
      limits.push(simulation.controller.reading.concurrencyLimit)
    }
    // Queueing of a quarter of the least latency is allowed, and a headroom of a square root.
    const highest = slots * 1.25 + 2 * Math.sqrt(slots * 1.25) + 2
    assert.ok(Math.min(...limits) >= slots * 0.9, `${slots} slots: at least ${Math.min(...limits)}`)
    assert.ok(Math.max(...limits) <= highest, `${slots} slots: at most ${Math.max(...limits)}`)
    assert.ok(simulation.mostUnderWay <= highest)
    assert.ok(simulation.refused > 0)
    assert.equal(Math.round(simulation.controller.reading.minRttMs), 10)
  }
})

test('while the server is busy it serves as much as it can, and what waits is short', () => {
  const simulation = new Simulation(SETTINGS, 20, 10)
  simulation.run(3_000, 40)
  const before = simulation.served
  simulation.run(1_000, 40)
  // 20 slots × 100 requests a second each.
  assert.ok(simulation.served - before >= 1_980, `${simulation.served - before}`)
  assert.ok(simulation.controller.reading.sampleRttMs < 20)
})

test('when the server gets slower the limit falls, and rises again with its speed', () => {
  const simulation = new Simulation(SETTINGS, 50, 10)
  simulation.run(4_000, 20)
  const fast = simulation.controller.reading.concurrencyLimit
  simulation.serviceMs = 15
  simulation.run(2_000, 20)
  const slow = simulation.controller.reading.concurrencyLimit
  assert.ok(slow < fast / 2, `${fast} fell to ${slow}`)
  simulation.serviceMs = 10
  simulation.run(4_000, 20)
  assert.ok(simulation.controller.reading.concurrencyLimit > fast * 0.8)
})

test('a lasting change of latency is measured anew after five windows at the minimum', () => {
  const simulation = new Simulation({ ...SETTINGS, minRttRequests: 20 }, 1_000, 5)
  simulation.run(1_000, 20)
  assert.equal(Math.round(simulation.controller.reading.minRttMs), 5)
  simulation.serviceMs = 50
  simulation.run(8_000, 20)
  assert.equal(Math.round(simulation.controller.reading.minRttMs), 50)
  assert.ok(simulation.controller.reading.concurrencyLimit > 100)
})

test('the least latency is measured anew after its interval, at the minimal limit', () => {
  const simulation = new Simulation({ ...SETTINGS, minRttIntervalMs: 2_000 }, 1_000, 100)
  simulation.run(3_000, 1)
  assert.equal(simulation.controller.reading.minRttCalculationActive, false)
  const before = simulation.controller.reading.concurrencyLimit
  assert.ok(before > 3)
  let seen = false
  for (let i = 0; i < 4_000 && !seen; i++) {
    simulation.run(1, 1)
    seen = simulation.controller.reading.minRttCalculationActive
  }
  assert.ok(seen)
  assert.equal(simulation.controller.reading.concurrencyLimit, 3)
  // What began before the measurement is no sample of it.
  simulation.run(90, 1)
  assert.equal(simulation.controller.reading.minRttCalculationActive, true)
  simulation.run(2_500, 1)
  assert.equal(simulation.controller.reading.minRttCalculationActive, false)
  assert.ok(simulation.controller.reading.concurrencyLimit >= before * 0.9)
})

test('jitter moves the next measurement by a share of the interval', () => {
  const settings = { ...SETTINGS, minRttIntervalMs: 1_000, minRttJitterPercent: 50 }
  const measured = (random: number): number => {
    const controller = new GradientController({ ...settings, minRttRequests: 1 }, 0, () => random)
    controller.admit(0)
    controller.done(0, 10)
    for (let nowMs = 11; ; nowMs++) {
      if (controller.admit(nowMs)) controller.cancel()
      if (controller.reading.minRttCalculationActive) return nowMs
    }
  }
  assert.equal(measured(0), 1_010)
  assert.equal(measured(0.5), 1_260)
})

test('requests that come to nothing give their place back and are no samples', () => {
  const controller = new GradientController({ ...SETTINGS, minRttRequests: 1 }, 0, () => 0)
  assert.deepEqual(
    [1, 2, 3, 4].map(() => controller.admit(0)),
    [true, true, true, false],
  )
  controller.cancel()
  assert.equal(controller.admit(1), true)
  assert.equal(controller.reading.minRttCalculationActive, true)
  controller.done(0, 8)
  assert.equal(controller.reading.minRttCalculationActive, false)
})

test('the histogram is right to two digits over its whole range', () => {
  const random = seededRandom(7)
  for (let round = 0; round < 200; round++) {
    const histogram = new LatencyHistogram()
    const values = Array.from({ length: 1 + Math.floor(random() * 300) }, () =>
      Math.max(0.001, 10 ** (random() * 7 - 3)),
    )
    for (const value of values) histogram.record(value)
    values.sort((a, b) => a - b)
    for (const percent of [0, 50, 90, 100]) {
      const exact = values[Math.max(0, Math.ceil((percent / 100) * values.length) - 1)] as number
      const read = histogram.percentile(percent)
      assert.ok(Math.abs(read - exact) <= exact * 0.11, `P${percent}: ${read}, not ${exact}`)
    }
    histogram.clear()
    assert.equal(histogram.percentile(50), 0)
  }
})
