import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Latest } from './latest.ts'

test('a reader that comes late gets the value of now', async () => {
  const latest = new Latest<number>()
  latest.set(1)
  latest.set(2)
  const reader = latest.watch(new AbortController().signal)
  assert.deepEqual(await reader.next(), { done: false, value: 2 })
  await reader.return()
})

test('a slow reader gets the newest value, not every value', async () => {
  const latest = new Latest<number>()
  latest.set(1)
  const seen: number[] = []
  const stop = new AbortController()
  for await (const value of latest.watch(stop.signal)) {
    seen.push(value)
    if (value === 1) for (const next of [2, 3, 4]) latest.set(next)
    else stop.abort()
  }
  assert.deepEqual(seen, [1, 4])
})

test('a waiting reader ends when its signal aborts', async () => {
  const stop = new AbortController()
  const next = new Latest<number>().watch(stop.signal).next()
  stop.abort()
  assert.deepEqual(await next, { done: true, value: undefined })
})
