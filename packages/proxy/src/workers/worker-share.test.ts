import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LocalRateLimit } from '@weft/model'
import fc from 'fast-check'
import { shareOfCount, shareOfRateLimit } from './worker-share.ts'

const limit = (
  maxTokens: number,
  tokensPerFill: number,
  fillIntervalMs: number,
): LocalRateLimit => ({
  statPrefix: 'x',
  bucket: { maxTokens, tokensPerFill, fillIntervalMs },
  enabledPercent: 100,
  enforcedPercent: 100,
  status: 429,
  descriptors: [],
  actions: [],
  perConnection: false,
  headers: false,
  responseHeaders: [],
})

test('shares of a count add up to it, and nobody gets less than one', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 100_000 }),
      fc.integer({ min: 1, max: 64 }),
      (whole, count) => {
        const shares = Array.from({ length: count }, (_, index) =>
          shareOfCount(whole, { index, count }),
        )
        assert.ok(shares.every((share) => share >= 1))
        const sum = shares.reduce((a, b) => a + b, 0)
        assert.equal(sum, Math.max(whole, count))
        assert.ok(Math.max(...shares) - Math.min(...shares) <= 1)
      },
    ),
  )
})

test('the rate of all buckets together is the rate of the one', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 10_000 }),
      fc.integer({ min: 1, max: 1_000 }),
      fc.integer({ min: 1, max: 16 }),
      (perFill, intervalMs, count) => {
        const rate = Array.from({ length: count }, (_, index) => {
          const { bucket } = shareOfRateLimit(limit(perFill, perFill, intervalMs), { index, count })
          assert.ok(Number.isInteger(bucket.tokensPerFill) && bucket.tokensPerFill >= 1)
          return bucket.tokensPerFill / bucket.fillIntervalMs
        }).reduce((a, b) => a + b, 0)
        assert.ok(Math.abs(rate - perFill / intervalMs) < 1e-9 * rate)
      },
    ),
  )
})

test('a bucket per connection is not divided', () => {
  const own = { ...limit(10, 10, 1_000), perConnection: true }
  assert.equal(shareOfRateLimit(own, { index: 0, count: 4 }), own)
})
