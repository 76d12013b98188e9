import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeClock, seededRandom } from '@weft/testkit'
import { type Timed, TimerWheel } from './timer-wheel.ts'

class Entry implements Timed {
  deadlineTick = 0
  slotTick = 0
  firedAtMs: number[] = []
  readonly #clock: FakeClock

  constructor(clock: FakeClock) {
    this.#clock = clock
  }

  onDeadline() {
    this.firedAtMs.push(this.#clock.monotonicMs())
  }
}

test('fires once, never early, at most two ticks late, for any delay', () => {
  const random = seededRandom(1)
  const clock = new FakeClock()
  const wheel = new TimerWheel(clock, 25)
  const entries = Array.from({ length: 300 }, () => {
    const entry = new Entry(clock)
    const dueMs = clock.monotonicMs() + Math.floor(random() * 60_000)
    wheel.arm(entry, dueMs - clock.monotonicMs(), clock.monotonicMs())
    clock.advance(Math.floor(random() * 30))
    return { entry, dueMs }
  })
  clock.advance(120_000)
  for (const { entry, dueMs } of entries) {
    assert.equal(entry.firedAtMs.length, 1)
    const lateMs = (entry.firedAtMs[0] ?? 0) - dueMs
    assert.ok(lateMs >= 0 && lateMs <= 50, `late by ${lateMs}`)
  }
  assert.equal(clock.pending, 0)
})

test('a deadline that moves away does not fire at its old place', () => {
  const clock = new FakeClock()
  const wheel = new TimerWheel(clock, 25)
  const entry = new Entry(clock)
  for (let i = 0; i < 20; i++) {
    wheel.arm(entry, 1_000, clock.monotonicMs())
    clock.advance(900)
  }
  assert.deepEqual(entry.firedAtMs, [])
  clock.advance(200)
  assert.equal(entry.firedAtMs.length, 1)
})

test('a deadline that moves nearer fires at the nearer time only', () => {
  const clock = new FakeClock()
  const wheel = new TimerWheel(clock, 25)
  const entry = new Entry(clock)
  wheel.arm(entry, 5_000, clock.monotonicMs())
  wheel.arm(entry, 100, clock.monotonicMs())
  clock.advance(10_000)
  assert.equal(entry.firedAtMs.length, 1)
  assert.ok((entry.firedAtMs[0] ?? 0) <= 150)
})

test('what was disarmed does not fire and is let go', () => {
  const clock = new FakeClock()
  const wheel = new TimerWheel(clock, 25)
  const entry = new Entry(clock)
  wheel.arm(entry, 3_600_000, clock.monotonicMs())
  wheel.disarm(entry)
  clock.advance(10_000)
  assert.deepEqual(entry.firedAtMs, [])
  assert.equal(clock.pending, 0)
})
