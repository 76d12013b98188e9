import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeClock } from '@weft/testkit'
import { PushDebounce } from './debounce.ts'

function open() {
  const clock = new FakeClock()
  const firedAtMs: number[] = []
  const debounce = new PushDebounce(clock, () => firedAtMs.push(clock.monotonicMs()))
  return { clock, firedAtMs, debounce }
}

test('a burst of configuration is one push, 100 ms after its last change', () => {
  const { clock, firedAtMs, debounce } = open()
  for (let i = 0; i < 5; i++) {
    debounce.request('config')
    clock.advance(50)
  }
  clock.advance(1_000)
  assert.deepEqual(firedAtMs, [300])
})

test('changes that never cease are pushed once a second', () => {
  const { clock, firedAtMs, debounce } = open()
  for (let i = 0; i < 42; i++) {
    debounce.request('config')
    clock.advance(50)
  }
  assert.deepEqual(firedAtMs, [1_000, 2_000])
})

test('an endpoint waits 10 ms, at most 50, and takes what waits with it', () => {
  const { clock, firedAtMs, debounce } = open()
  debounce.request('config')
  for (let i = 0; i < 9; i++) {
    debounce.request('endpoints')
    clock.advance(8)
  }
  clock.advance(1_000)
  assert.deepEqual(firedAtMs, [50, 74])
  assert.equal(clock.pending, 0)
})
