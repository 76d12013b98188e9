import assert from 'node:assert/strict'
import { test } from 'node:test'
import { backoffMs } from './backoff.ts'

const policy = { baseMs: 100, maxMs: 1000 }
const almostOne = () => 0.999999

test('doubles up to the maximum', () => {
  assert.deepEqual(
    [0, 1, 2, 3, 4, 50].map((attempt) => backoffMs(policy, attempt, almostOne)),
    [100, 200, 400, 800, 1000, 1000],
  )
})

test('full jitter reaches down to zero', () => {
  assert.equal(
    backoffMs(policy, 9, () => 0),
    0,
  )
})

test('refuses a policy or an attempt out of range', () => {
  assert.throws(() => backoffMs({ baseMs: 0, maxMs: 1 }, 0, almostOne), RangeError)
  assert.throws(() => backoffMs({ baseMs: 2, maxMs: 1 }, 0, almostOne), RangeError)
  assert.throws(() => backoffMs(policy, -1, almostOne), RangeError)
  assert.throws(() => backoffMs(policy, 0.5, almostOne), RangeError)
})
