import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '@weft/testkit'
import { compileTime, ISO_PATTERN } from './log-time.ts'

test('a time is the same whatever was written before it: nothing of another second stays', () => {
  const write = compileTime(ISO_PATTERN)
  assert.ok(typeof write === 'function')
  const random = seededRandom(7)
  for (let i = 0; i < 2_000; i++) {
    const ms = Math.floor(random() * 4_102_444_800_000)
    assert.equal(write(ms), new Date(ms).toISOString())
    // Often the same second, sometimes the one before or behind.
    const next = ms + Math.floor(random() * 3_000) - 1_500
    assert.equal(write(next), new Date(next).toISOString())
  }
})

test('fractions of a millisecond are cut off, not rounded into the next second', () => {
  const write = compileTime('%S.%3f|%6f')
  assert.ok(typeof write === 'function')
  assert.equal(write(1_999.9999), '01.999|999999')
  assert.equal(write(2_000.25), '02.000|000250')
})
