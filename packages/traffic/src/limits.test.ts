import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { NO_LIMITS } from '@weft/model'
import { ClusterLimits } from './limits.ts'
import { DEFAULT_RETRY_BUDGET, retriesAllowed } from './retry-budget.ts'

describe('ClusterLimits', () => {
  test('admits as many as configured, and again after each release', () => {
    const limits = new ClusterLimits({
      maxConnections: 1,
      maxPendingRequests: 2,
      maxRequests: 3,
      maxRetries: 1,
    })
    const times = (admit: () => boolean) => Array.from({ length: 4 }, admit)
    assert.deepEqual(
      times(() => limits.admitConnection()),
      [true, false, false, false],
    )
    assert.deepEqual(
      times(() => limits.admitPending()),
      [true, true, false, false],
    )
    assert.deepEqual(
      times(() => limits.admitRequest()),
      [true, true, true, false],
    )
    assert.deepEqual(
      times(() => limits.admitRetry()),
      [true, false, false, false],
    )
    assert.deepEqual(limits.inUse(), { connections: 1, pending: 2, requests: 3, retries: 1 })
    for (const resource of ['connections', 'pending', 'requests', 'retries'] as const) {
      limits.release(resource)
    }
    assert.deepEqual(limits.inUse(), { connections: 0, pending: 1, requests: 2, retries: 0 })
    assert.equal(limits.admitConnection(), true)
  })

  test('a change of the limits keeps the counts', () => {
    const limits = new ClusterLimits(NO_LIMITS)
    for (let i = 0; i < 5; i++) limits.admitRequest()
    limits.configure({ ...NO_LIMITS, maxRequests: 5 })
    assert.equal(limits.admitRequest(), false)
    limits.release('requests')
    assert.equal(limits.admitRequest(), true)
  })

  test('a budget takes the place of maxRetries, as in Envoy', () => {
    const limits = new ClusterLimits(
      { ...NO_LIMITS, maxRetries: 1 },
      { percent: 20, minRetryConcurrency: 3 },
    )
    const admitted = [1, 2, 3, 4].map(() => limits.admitRetry())
    assert.deepEqual(admitted, [true, true, true, false])
  })

  test('without a budget and without maxRetries the default budget holds', () => {
    const limits = new ClusterLimits(NO_LIMITS)
    let count = 0
    while (limits.admitRetry()) count++
    assert.equal(count, DEFAULT_RETRY_BUDGET.minRetryConcurrency)
  })

  test('with an interval requests and retries that began in it count, though they ended', () => {
    let nowMs = 5_000
    const budget = { percent: 20, minRetryConcurrency: 2, intervalMs: 1_000 }
    const limits = new ClusterLimits(NO_LIMITS, budget, () => nowMs)
    const admitted = () => {
      let count = 0
      while (limits.admitRetry()) {
        count++
        limits.release('retries')
      }
      return count
    }
    for (let i = 0; i < 50; i++) {
      limits.admitRequest()
      limits.release('requests')
    }
    assert.equal(admitted(), 10)
    nowMs += 500
    assert.equal(admitted(), 0)
    nowMs += 600
    // All of that is over: what is always allowed is left.
    assert.equal(admitted(), 2)
    limits.configure(NO_LIMITS, { ...budget, percent: 50 })
    assert.equal(admitted(), 0)
  })

  test('retries stay within the budget: a share of what is under way, but some always', () => {
    const limits = new ClusterLimits(NO_LIMITS, { percent: 20, minRetryConcurrency: 3 })
    const admitted = () => {
      let count = 0
      while (limits.admitRetry()) count++
      return count
    }
    assert.equal(admitted(), 3)
    for (let i = 0; i < 100; i++) limits.admitRequest()
    assert.equal(admitted(), 17)
    assert.equal(limits.inUse().retries, 20)
  })
})

test('retriesAllowed() is the larger of share and minimum', () => {
  const budget = { percent: 20, minRetryConcurrency: 3 }
  assert.deepEqual(
    [0, 10, 15, 20, 99, 1_000].map((active) => retriesAllowed(budget, active)),
    [3, 3, 3, 4, 19, 200],
  )
})
