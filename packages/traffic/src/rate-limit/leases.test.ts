import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeClock, seededRandom } from '@weft/testkit'
import { type Grant, LEASE_MS, type LeaseSource, Leases } from './leases.ts'

/** The service's side: `perSecond` tokens, at most `burst`; answers take `latencyMs`. */
class Service {
  readonly clock: FakeClock
  readonly burst: number
  readonly perSecond: number
  readonly latencyMs: number
  up = true
  questions = 0
  returned = 0
  #tokens: number
  #atMs = 0

  constructor(clock: FakeClock, burst: number, perSecond: number, latencyMs: number) {
    this.clock = clock
    this.burst = burst
    this.perSecond = perSecond
    this.latencyMs = latencyMs
    this.#tokens = burst
  }

  readonly source = (): LeaseSource => ({
    ask: (hits, done) => {
      this.questions++
      const grant = this.up ? this.#decide(hits) : undefined
      this.clock.after(this.latencyMs, () => done(grant))
    },
    giveBack: (hits) => {
      this.returned += hits
      this.#fill()
      this.#tokens = Math.min(this.burst, this.#tokens + hits)
    },
  })

  get tokens(): number {
    this.#fill()
    return this.#tokens
  }

  #decide(hits: number): Grant {
    this.#fill()
    const granted = this.#tokens >= hits
    if (granted) this.#tokens -= hits
    const missing = Math.max(0, 1 - this.#tokens)
    const resetMs = Math.ceil((missing / this.perSecond) * 1_000)
    return { granted, remaining: Math.floor(this.#tokens), resetMs }
  }

  #fill(): void {
    const nowMs = this.clock.monotonicMs()
    this.#tokens = Math.min(
      this.burst,
      this.#tokens + ((nowMs - this.#atMs) * this.perSecond) / 1_000,
    )
    this.#atMs = nowMs
  }
}

class Fleet {
  readonly clock = new FakeClock()
  readonly service: Service
  readonly proxies: readonly Leases[]
  /** When each allowed request was, by proxy. */
  readonly allowed: { readonly atMs: number; readonly proxy: number }[] = []
  readonly verdicts = { allowed: 0, refused: 0, unanswered: 0 }
  readonly #random = seededRandom(42)

  constructor(count: number, burst: number, perSecond: number, latencyMs = 1) {
    this.service = new Service(this.clock, burst, perSecond, latencyMs)
    this.proxies = Array.from({ length: count }, () => new Leases(this.clock))
  }

  request(proxy: number): void {
    const note = (verdict: 'allowed' | 'refused' | 'unanswered') => {
      this.verdicts[verdict]++
      if (verdict === 'allowed') this.allowed.push({ atMs: this.clock.monotonicMs(), proxy })
    }
    const took = this.proxies[proxy]?.take('k', this.service.source, note)
    if (typeof took === 'string') note(took)
  }

  /** @param rates Requests a second of each proxy. */
  run(ms: number, rates: readonly number[]): void {
    for (let passed = 0; passed < ms; passed++) {
      for (const [proxy, rate] of rates.entries()) {
        const expected = rate / 1_000
        const whole = Math.floor(expected) + (this.#random() < expected % 1 ? 1 : 0)
        for (let i = 0; i < whole; i++) this.request(proxy)
      }
      this.clock.advance(1)
    }
  }

  /** The most that any window of `ms` let through. */
  mostWithin(ms: number): number {
    let most = 0
    let from = 0
    for (let to = 0; to < this.allowed.length; to++) {
      while ((this.allowed[to]?.atMs ?? 0) - (this.allowed[from]?.atMs ?? 0) >= ms) from++
      most = Math.max(most, to - from + 1)
    }
    return most
  }
}

for (const [count, rate] of [
  [1, 500],
  [5, 100],
  [20, 50],
  [50, 1_000],
] as const) {
  test(`${count} proxies with ${rate} requests a second each share a limit of 200 a second`, () => {
    const fleet = new Fleet(count, 200, 200)
    const seconds = 10
    fleet.run(seconds * 1_000, Array<number>(count).fill(rate))
    const { allowed, refused, unanswered } = fleet.verdicts
    // Never more than the bucket gave out; and nearly all of it, since more was wanted.
    assert.ok(allowed <= 200 + 200 * seconds, `${allowed}`)
    assert.ok(allowed >= 0.95 * 200 * seconds, `${allowed}`)
    assert.ok(refused > 0)
    assert.equal(unanswered, 0)
    // Within one second: burst, rate, and what shares of a period hold beyond it.
    const bound = 200 + 200 * (1 + (2 * LEASE_MS) / 1_000)
    assert.ok(fleet.mostWithin(1_000) <= bound, `${fleet.mostWithin(1_000)} > ${bound}`)
  })
}

test('below the limit nobody is refused, and few questions are asked', () => {
  const fleet = new Fleet(4, 2_000, 2_000)
  fleet.run(10_000, [100, 200, 300, 400])
  assert.equal(fleet.verdicts.refused, 0)
  assert.ok(fleet.service.questions < 10_000 / 8, `${fleet.service.questions} questions`)
})

test('what a proxy has no use for any more goes back and is used by others', () => {
  const fleet = new Fleet(2, 100, 100)
  fleet.run(3_000, [400, 400])
  const before = fleet.allowed.length
  fleet.run(5_000, [0, 400])
  const later = fleet.allowed.slice(before)
  assert.ok(later.length >= 0.95 * 500, `${later.length}`)
  fleet.run(2_000, [0, 0])
  // At rest nothing is kept anywhere.
  assert.deepEqual(
    fleet.proxies.map(({ size }) => size),
    [0, 0],
  )
  assert.equal(fleet.clock.pending, 0)
  assert.equal(Math.round(fleet.service.tokens), 100)
})

test('when nobody answers, what was granted holds, and then it is said', () => {
  const fleet = new Fleet(1, 1_000, 1_000)
  fleet.run(2_000, [200])
  fleet.service.up = false
  const before = { ...fleet.verdicts }
  fleet.run(LEASE_MS, [200])
  assert.ok(fleet.verdicts.allowed > before.allowed)
  fleet.run(2_000, [200])
  assert.ok(fleet.verdicts.unanswered > 300)
  fleet.service.up = true
  fleet.run(300, [200])
  const unanswered = fleet.verdicts.unanswered
  fleet.run(1_000, [200])
  assert.equal(fleet.verdicts.unanswered, unanswered)
})

test('who left before the answer costs nothing more than a token that goes back', () => {
  const clock = new FakeClock()
  const service = new Service(clock, 10, 1, 5)
  const leases = new Leases(clock)
  const took = leases.take('k', service.source, () => assert.fail('was told'))
  assert.ok(typeof took === 'function')
  took()
  clock.advance(1_000)
  assert.equal(service.returned, 1)
  assert.equal(leases.size, 0)
})
