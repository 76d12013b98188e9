import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { OutlierDetection } from '@weft/model'
import { endpoint } from './fixtures.ts'
import { Host } from './load-balancers/host.ts'
import { createOutlierDetector } from './outlier.ts'
import { type OutlierEvent, outlierEventOf } from './outlier-state.ts'

const POLICY: OutlierDetection = {
  consecutive5xx: 3,
  consecutiveGatewayErrors: 0,
  consecutiveLocalOriginFailures: 0,
  splitLocalOriginErrors: false,
  intervalMs: 10_000,
  baseEjectionMs: 30_000,
  maxEjectionPercent: 100,
  minHealthPercent: 0,
}

/** A cluster of `count` hosts; `play` feeds the first one at time 0 and says whether it was ejected. */
function cluster(count: number, more: Partial<OutlierDetection> = {}) {
  const hosts = Array.from({ length: count }, (_, i) => new Host(`h${i}`, endpoint(`10.0.0.${i}`)))
  const detector = createOutlierDetector({ ...POLICY, ...more }, () => hosts)
  const [first] = hosts
  assert.ok(first)
  const fail = (host: Host, nowMs = 0) => {
    for (let i = 0; i < 3; i++) detector.onResult(host, 'serverError', nowMs)
    return host.ejected
  }
  const play = (...events: OutlierEvent[]) =>
    events.map((event) => detector.onResult(first, event, 0)).includes(true)
  return { hosts, first, detector, play, fail }
}

describe('outlier detection', () => {
  test('ejects after so many failures in a row, and says so once', () => {
    const { detector, first } = cluster(2)
    assert.equal(detector.onResult(first, 'serverError', 0), false)
    assert.equal(detector.onResult(first, 'gatewayError', 0), false)
    assert.equal(detector.onResult(first, 'serverError', 0), true)
    assert.equal(first.ejected, true)
    assert.equal(first.available, false)
    assert.equal(detector.onResult(first, 'serverError', 0), false)
  })

  test('codes that are named take the place of 5xx', () => {
    const codes = [429, 503]
    const events = [200, 429, 500, 503, 504].map((status) => outlierEventOf(status, codes))
    const expected = ['success', 'serverError', 'success', 'gatewayError', 'success']
    assert.deepEqual(events, expected)
    assert.equal(outlierEventOf(500), 'serverError')
  })

  test('a success in between starts the count again', () => {
    assert.equal(
      cluster(2).play('serverError', 'serverError', 'success', 'serverError', 'serverError'),
      false,
    )
  })

  test('gateway errors in a row are counted on their own; other 5xx break their row', () => {
    const more = { consecutive5xx: 0, consecutiveGatewayErrors: 2 }
    assert.equal(cluster(2, more).play('gatewayError', 'gatewayError'), true)
    assert.equal(cluster(2, more).play('gatewayError', 'serverError', 'gatewayError'), false)
    assert.equal(cluster(2, more).play('gatewayError', 'localFailure'), true)
  })

  test('local failures count as 5xx unless they are split off', () => {
    assert.equal(cluster(2).play('localFailure', 'serverError', 'localFailure'), true)
    const split = { splitLocalOriginErrors: true, consecutiveLocalOriginFailures: 2 }
    assert.equal(cluster(2, split).play('localFailure', 'localFailure'), true)
    assert.equal(cluster(2, split).play('serverError', 'localFailure', 'serverError'), false)
    // An answer, even a bad one, shows that the way there is fine.
    assert.equal(cluster(2, split).play('localFailure', 'serverError', 'localFailure'), false)
  })

  test('a limit of 0 switches a detector off', () => {
    const events = Array.from({ length: 50 }, (): OutlierEvent => 'gatewayError')
    assert.equal(cluster(2, { consecutive5xx: 0 }).play(...events), false)
  })

  test('a host returns after the base time, and later each time it goes again', () => {
    const { detector, first, fail } = cluster(2)
    assert.equal(fail(first, 0), true)
    assert.equal(detector.sweep(29_999), false)
    assert.equal(detector.sweep(30_000), true)
    assert.equal(first.available, true)
    assert.equal(fail(first, 30_000), true)
    assert.equal(detector.sweep(80_000), false)
    assert.equal(detector.sweep(90_000), true)
  })

  test('intervals without ejection forgive, and nobody is out longer than 300 s', () => {
    const { detector, first, fail } = cluster(2)
    fail(first, 0)
    assert.equal(detector.sweep(30_000), true)
    detector.sweep(40_000)
    fail(first, 50_000)
    assert.equal(detector.sweep(80_000), true)
    let nowMs = 80_000
    for (let i = 0; i < 30; i++) {
      fail(first, nowMs)
      nowMs += 300_000
      assert.equal(detector.sweep(nowMs), true)
    }
  })

  test('failures before an ejection do not count after it', () => {
    const { detector, first, fail, play } = cluster(2)
    fail(first)
    detector.sweep(30_000)
    assert.equal(play('serverError', 'serverError'), false)
  })

  const shares: [count: number, percent: number, ejected: number][] = [
    [10, 10, 1],
    [10, 50, 5],
    [10, 55, 5],
    [3, 10, 1],
    [2, 10, 1],
    [1, 10, 0],
    [1, 100, 1],
    [5, 0, 0],
    [4, 100, 4],
  ]
  for (const [count, percent, ejected] of shares) {
    test(`of ${count} hosts at most ${ejected} go at ${percent} %`, () => {
      const { hosts, fail } = cluster(count, { maxEjectionPercent: percent })
      assert.equal(hosts.filter((host) => fail(host)).length, ejected)
    })
  }

  test('below the minimum of healthy hosts nobody is ejected', () => {
    const { hosts, fail } = cluster(4, { minHealthPercent: 75 })
    assert.deepEqual(
      hosts.map((host) => fail(host)),
      [true, true, false, false],
    )
  })

  test('tells responses apart', () => {
    const events = [200, 404, 499, 500, 501, 502, 503, 504, 505].map((status) =>
      outlierEventOf(status),
    )
    assert.deepEqual(events, [
      'success',
      'success',
      'success',
      'serverError',
      'serverError',
      'gatewayError',
      'gatewayError',
      'gatewayError',
      'serverError',
    ])
  })
})
