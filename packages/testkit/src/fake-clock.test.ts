import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeClock } from './fake-clock.ts'

test('timers fire in the order of their time, also those that firing sets', () => {
  const clock = new FakeClock()
  const fired: [string, number][] = []
  const note = (name: string) => fired.push([name, clock.monotonicMs()])
  clock.after(30, () => note('late'))
  clock.after(10, () => {
    note('early')
    clock.after(5, () => note('between'))
  })
  clock.advance(30)
  assert.deepEqual(fired, [
    ['early', 10],
    ['between', 15],
    ['late', 30],
  ])
  assert.equal(clock.pending, 0)
})

test('timers of one moment fire in the order in which they were set', () => {
  const clock = new FakeClock()
  const fired: number[] = []
  for (const name of [1, 2, 3]) clock.after(10, () => fired.push(name))
  clock.advance(10)
  assert.deepEqual(fired, [1, 2, 3])
})

test('a cancelled timer does not fire, and cancelling again is harmless', () => {
  const clock = new FakeClock()
  const cancel = clock.after(10, () => assert.fail('fired'))
  cancel()
  cancel()
  clock.advance(100)
  assert.equal(clock.pending, 0)
})

test('both clocks move by what was advanced', () => {
  const clock = new FakeClock(5_000)
  clock.advance(250)
  assert.equal(clock.monotonicMs(), 250)
  assert.equal(clock.nowMs(), 5_250)
})
