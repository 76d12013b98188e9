import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TokenBucket } from './token-bucket.ts'

const SETTINGS = { maxTokens: 3, tokensPerFill: 2, fillIntervalMs: 1_000 }

test('lets a burst through, then as much as is filled', () => {
  const bucket = new TokenBucket(SETTINGS, 0)
  assert.deepEqual(
    [0, 0, 0, 0].map((at) => bucket.take(at)),
    [true, true, true, false],
  )
  assert.equal(bucket.take(499), false)
  assert.equal(bucket.take(500), true)
  assert.equal(bucket.take(500), false)
})

test('never holds more than its limit', () => {
  const bucket = new TokenBucket(SETTINGS, 0)
  assert.equal(bucket.remaining(3_600_000), 3)
})

test('says when the next token comes', () => {
  const bucket = new TokenBucket({ maxTokens: 1, tokensPerFill: 1, fillIntervalMs: 10_000 }, 0)
  assert.equal(bucket.resetMs(0), 0)
  bucket.take(0)
  assert.equal(bucket.resetMs(0), 10_000)
  assert.equal(Math.round(bucket.resetMs(8_500)), 1_500)
})

test('a clock that goes back gives nothing', () => {
  const bucket = new TokenBucket({ maxTokens: 1, tokensPerFill: 1, fillIntervalMs: 1 }, 10)
  bucket.take(10)
  assert.equal(bucket.take(5), false)
})

test('tokens that come back never fill it above its maximum', () => {
  const bucket = new TokenBucket(SETTINGS, 0)
  assert.equal(bucket.take(0, 4), false)
  assert.equal(bucket.take(0, 2), true)
  bucket.giveBack(0, 1)
  assert.equal(bucket.remaining(0), 2)
  bucket.giveBack(0, 9)
  assert.equal(bucket.remaining(0), 3)
})
