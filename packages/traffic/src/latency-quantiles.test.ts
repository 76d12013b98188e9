import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LatencyQuantiles } from './latency-quantiles.ts'

test('says nothing before it has seen enough', () => {
  const latencies = new LatencyQuantiles()
  for (let i = 0; i < 49; i++) latencies.record(5)
  assert.equal(latencies.at(95), undefined)
  latencies.record(5)
  assert.notEqual(latencies.at(95), undefined)
})

test('a quantile is never too low and at most an eighth too high', () => {
  const latencies = new LatencyQuantiles()
  for (let ms = 1; ms <= 1_000; ms++) latencies.record(ms)
  for (const percentile of [1, 50, 90, 99, 100]) {
    const found = latencies.at(percentile) ?? 0
    const exact = percentile * 10
    assert.ok(found >= exact && found <= exact * 1.13 + 0.1, `${percentile}: ${found}`)
  }
})

test('old times fade', () => {
  const latencies = new LatencyQuantiles()
  for (let i = 0; i < 8_000; i++) latencies.record(1_000)
  for (let i = 0; i < 60_000; i++) latencies.record(1)
  assert.ok((latencies.at(95) ?? 0) < 2)
})

test('takes whatever time it is told', () => {
  const latencies = new LatencyQuantiles()
  for (const ms of [0, -1, 1e12, 0.01]) for (let i = 0; i < 20; i++) latencies.record(ms)
  assert.ok((latencies.at(1) ?? 0) > 0)
  assert.ok((latencies.at(100) ?? 0) > 1_000_000)
})
