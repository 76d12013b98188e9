import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { test } from 'node:test'
import { type Clock, sleep } from './clock.ts'

/** One timer by hand: `FakeClock` is above this package. */
function oneTimer() {
  let due: (() => void) | undefined
  const clock: Clock = {
    nowMs: () => 0,
    monotonicMs: () => 0,
    after(_delayMs, fire) {
      due = fire
      return () => {
        due = undefined
      }
    },
  }
  return { clock, fire: () => due?.(), isPending: () => due !== undefined }
}

test('sleep() resolves when the time is up and lets go of the signal', async () => {
  const { clock, fire } = oneTimer()
  const { signal } = new AbortController()
  const slept = sleep(clock, 1_000, signal)
  assert.equal(getEventListeners(signal, 'abort').length, 1)
  fire()
  await slept
  assert.equal(getEventListeners(signal, 'abort').length, 0)
})

test('sleep() rejects with the reason of the signal and cancels its timer', async () => {
  const { clock, isPending } = oneTimer()
  const stop = new AbortController()
  const slept = sleep(clock, 1_000, stop.signal)
  const reason = new Error('closing')
  stop.abort(reason)
  await assert.rejects(slept, reason)
  assert.equal(isPending(), false)
})

test('sleep() with a signal that was aborted before sets no timer', async () => {
  const { clock, isPending } = oneTimer()
  const reason = new Error('closed')
  await assert.rejects(sleep(clock, 1_000, AbortSignal.abort(reason)), reason)
  assert.equal(isPending(), false)
})
