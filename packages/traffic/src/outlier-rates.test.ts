import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { OutlierDetection } from '@weft/model'
import { endpoint } from './fixtures.ts'
import { Host } from './load-balancers/host.ts'
import { createOutlierDetector } from './outlier.ts'
import { successThreshold } from './outlier-rates.ts'

const POLICY: OutlierDetection = {
  consecutive5xx: 0,
  consecutiveGatewayErrors: 0,
  consecutiveLocalOriginFailures: 0,
  splitLocalOriginErrors: false,
  intervalMs: 10_000,
  baseEjectionMs: 30_000,
  maxEjectionPercent: 100,
  minHealthPercent: 0,
}

/** Hosts that fail so many of 100 requests each, swept once; the indexes of those ejected. */
function ejectedOf(failures: readonly number[], more: Partial<OutlierDetection>, requests = 100) {
  const hosts = failures.map((_, i) => new Host(`h${i}`, endpoint(`10.0.0.${i}`)))
  const detector = createOutlierDetector({ ...POLICY, ...more }, () => hosts)
  for (const [i, host] of hosts.entries()) {
    for (let n = 0; n < requests; n++) {
      detector.onResult(host, n < (failures[i] ?? 0) ? 'serverError' : 'success', 0)
    }
  }
  const changed = detector.sweep(10_000)
  const out = hosts.flatMap((host, i) => (host.ejected ? [i] : []))
  assert.equal(changed, out.length > 0)
  return { out, hosts, detector }
}

const SUCCESS_RATE = { successRate: { minHosts: 5, minRequests: 100, stdevFactor: 1_900 } }
const FAILURES = { failurePercentage: { percent: 85, minHosts: 5, minRequests: 50 } }

describe('success rate', () => {
  test('has the threshold of Envoy: mean - factor x deviation', () => {
    // Mean 96, variance 64.
    const threshold = successThreshold([100, 100, 100, 100, 80], 1_900)
    assert.ok(Math.abs(threshold - (96 - 1.9 * 8)) < 1e-9, `${threshold}`)
  })

  test('ejects who stands out, and says why', () => {
    const { out, detector } = ejectedOf([0, 1, 0, 50, 0, 1], SUCCESS_RATE)
    assert.deepEqual(out, [3])
    assert.deepEqual([...detector.counts.byReason], [['successRate', 1]])
  })

  test('ejects nobody when all are equally bad', () => {
    assert.deepEqual(ejectedOf([50, 50, 50, 50, 50], SUCCESS_RATE).out, [])
  })

  test('needs enough hosts with enough requests', () => {
    assert.deepEqual(ejectedOf([0, 0, 0, 90], SUCCESS_RATE).out, [])
    assert.deepEqual(ejectedOf([0, 0, 0, 0, 0, 90], SUCCESS_RATE, 99).out, [])
  })
})

describe('failure percentage', () => {
  test('ejects from the threshold on', () => {
    assert.deepEqual(ejectedOf([84, 85, 100, 0, 0], FAILURES).out, [1, 2])
  })

  test('needs enough hosts with enough requests', () => {
    assert.deepEqual(ejectedOf([100, 100, 100, 100], FAILURES).out, [])
    assert.deepEqual(ejectedOf([49, 0, 0, 0, 0], FAILURES, 49).out, [])
  })

  test('what was too many to eject is counted', () => {
    const { out, detector } = ejectedOf([100, 100, 0, 0, 0], {
      ...FAILURES,
      maxEjectionPercent: 20,
    })
    assert.equal(out.length, 1)
    assert.equal(detector.counts.enforced, 1)
    assert.equal(detector.counts.overflow, 1)
  })
})

test('counts begin anew with every interval', () => {
  const { detector, hosts } = ejectedOf([80, 0, 0, 0, 0], FAILURES)
  for (const host of hosts) for (let n = 0; n < 40; n++) detector.onResult(host, 'serverError', 0)
  assert.equal(detector.sweep(20_000), false)
})

test('with the split the way to a host is judged apart from its answers', () => {
  const play = (splitLocalOriginErrors: boolean) => {
    const hosts = Array.from({ length: 5 }, (_, i) => new Host(`h${i}`, endpoint(`10.0.0.${i}`)))
    const detector = createOutlierDetector(
      { ...POLICY, ...FAILURES, splitLocalOriginErrors },
      () => hosts,
    )
    for (const [i, host] of hosts.entries()) {
      // The first: 90 times no answer, 60 times a good one.
      for (let n = 0; n < 60; n++) detector.onResult(host, 'success', 0)
      if (i === 0) for (let n = 0; n < 90; n++) detector.onResult(host, 'localFailure', 0)
      // The second answers badly, whenever it does.
      if (i === 1) for (let n = 0; n < 400; n++) detector.onResult(host, 'serverError', 0)
    }
    detector.sweep(10_000)
    return hosts.map(({ ejected }) => ejected)
  }
  assert.deepEqual(play(false), [false, true, false, false, false])
  assert.deepEqual(play(true), [false, true, false, false, false])
})

test('ejections last as long as the policy caps them, plus jitter', () => {
  const host = new Host('h', endpoint('10.0.0.1'))
  const other = new Host('o', endpoint('10.0.0.2'))
  const policy = {
    ...POLICY,
    consecutive5xx: 1,
    maxEjectionMs: 40_000,
    maxEjectionJitterMs: 10_000,
  }
  const detector = createOutlierDetector(
    policy,
    () => [host, other],
    () => 0.5,
  )
  detector.onResult(host, 'serverError', 0)
  assert.equal(detector.sweep(34_999), false)
  assert.equal(detector.sweep(35_000), true)
  // The second time would be 60 s.
  detector.onResult(host, 'serverError', 35_000)
  assert.equal(detector.sweep(79_999), false)
  assert.equal(detector.sweep(80_000), true)
  detector.onResult(host, 'serverError', 80_000)
  detector.forgive(host)
  assert.equal(host.available, true)
})
