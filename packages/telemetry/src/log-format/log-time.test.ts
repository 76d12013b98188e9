import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compileTime, ISO_PATTERN } from './log-time.ts'

test('a time is the same whatever was written before it: nothing of another second stays', () => {
  const write = compileTime(ISO_PATTERN)
  assert.ok(typeof write === 'function')
  const times = fc.array(fc.integer({ min: 0, max: 4_102_444_800_000 }), { maxLength: 8 })
  fc.assert(
    fc.property(times, fc.integer({ min: -1_500, max: 1_500 }), (before, step) => {
      for (const ms of before) {
        assert.equal(write(ms), new Date(ms).toISOString())
        const next = Math.max(0, ms + step)
        assert.equal(write(next), new Date(next).toISOString())
      }
    }),
  )
})

test('fractions of a millisecond are cut off, not rounded into the next second', () => {
  const write = compileTime('%S.%3f|%6f')
  assert.ok(typeof write === 'function')
  assert.equal(write(1_999.9999), '01.999|999999')
  assert.equal(write(2_000.25), '02.000|000250')
})
