/** The small decisions: fault, mirror, timeouts, request hash. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type HashPolicy, SAFE_RETRY } from '@weft/model'
import { seededRandom } from '@weft/testkit'
import { rollFault } from './fault.ts'
import { forward, request } from './fixtures.ts'
import { hashRequest } from './hash-policy.ts'
import { mirrorsOf } from './mirror.ts'
import { timeoutsOf } from './timeouts.ts'

describe('rollFault()', () => {
  const delay = { percent: 50, delayMs: 7_000 }
  const abort = { percent: 25, status: 503 }

  test('leaves requests alone without a fault, and at 0 %', () => {
    assert.equal(
      rollFault(undefined, () => 0),
      undefined,
    )
    assert.equal(
      rollFault({ delay: { ...delay, percent: 0 } }, () => 0),
      undefined,
    )
  })

  test('at 100 % every request is hit', () => {
    assert.deepEqual(
      rollFault({ delay: { ...delay, percent: 100 } }, () => 0.999999),
      {
        delayMs: 7_000,
        abort: undefined,
      },
    )
  })

  test('the shares are independent: a request can be delayed and aborted', () => {
    const random = seededRandom(5)
    const counts = { delayed: 0, aborted: 0, both: 0 }
    for (let i = 0; i < 40_000; i++) {
      const hit = rollFault({ delay, abort }, random)
      const isDelayed = (hit?.delayMs ?? 0) > 0
      const isAborted = hit?.abort !== undefined
      if (isDelayed) counts.delayed++
      if (isAborted) counts.aborted++
      if (isDelayed && isAborted) counts.both++
    }
    // Four standard deviations: 400, 346 and 265.
    assert.ok(Math.abs(counts.delayed - 20_000) < 400, `${counts.delayed}`)
    assert.ok(Math.abs(counts.aborted - 10_000) < 346, `${counts.aborted}`)
    assert.ok(Math.abs(counts.both - 5_000) < 265, `${counts.both}`)
  })

  test('keeps a gRPC status', () => {
    const hit = rollFault({ abort: { percent: 100, status: 200, grpcStatus: 14 } }, () => 0)
    assert.equal(hit?.abort?.grpcStatus, 14)
  })
})

describe('mirrorsOf()', () => {
  const all = { cluster: 'a', percent: 100 }
  const half = { cluster: 'b', percent: 50 }
  const none = { cluster: 'c', percent: 0 }

  test('each mirror is hit by its own share', () => {
    const names = (random: number) =>
      mirrorsOf({ mirrors: [all, half, none] }, () => random).map(({ cluster }) => cluster)
    assert.deepEqual(names(0), ['a', 'b'])
    assert.deepEqual(names(0.4999), ['a', 'b'])
    assert.deepEqual(names(0.5), ['a'])
    assert.deepEqual(
      mirrorsOf({ mirrors: [] }, () => 0),
      [],
    )
  })

  test('allocates nothing when all are hit', () => {
    const mirrors = [all, all]
    assert.equal(
      mirrorsOf({ mirrors }, () => assert.fail()),
      mirrors,
    )
  })
})

describe('timeoutsOf()', () => {
  const retry = { ...SAFE_RETRY, perTryTimeoutMs: 500 }
  const plain = forward(['x', 1])
  const headers = {
    'x-envoy-upstream-rq-timeout-ms': '900',
    'x-envoy-upstream-rq-per-try-timeout-ms': '100',
  }
  const of = (action: Parameters<typeof timeoutsOf>[0], given = {}, believe = false) =>
    timeoutsOf(action, request('/', { headers: given }), 5_000, believe)

  test("takes the route's, and the listener's idle timeout unless the route has one", () => {
    assert.deepEqual(of({ ...plain, timeoutMs: 2_000, retry }), {
      requestMs: 2_000,
      perTryMs: 500,
      idleMs: 5_000,
    })
    assert.equal(of({ ...plain, idleTimeoutMs: 0 }).idleMs, 0)
  })

  test('a try as long as the whole request has no limit of its own', () => {
    assert.equal(of({ ...plain, timeoutMs: 500, retry }).perTryMs, 0)
    assert.equal(of({ ...plain, timeoutMs: 0, retry }).perTryMs, 500)
  })

  test('believes headers from inside only, and only when they are numbers', () => {
    const action = { ...plain, timeoutMs: 2_000, retry }
    assert.equal(of(action, headers).requestMs, 2_000)
    const inside = of(action, headers, true)
    assert.deepEqual([inside.requestMs, inside.perTryMs], [900, 100])
    assert.equal(of(action, { 'x-envoy-upstream-rq-timeout-ms': '1e9' }, true).requestMs, 2_000)
    assert.equal(of(action, { 'x-envoy-upstream-rq-timeout-ms': '0' }, true).requestMs, 0)
  })
})

describe('hashRequest()', () => {
  const hash = (policies: HashPolicy[], headers = {}, path = '/') =>
    hashRequest(policies, {
      request: request(path, { headers }),
      sourceHost: '192.0.2.1',
      createCookieValue: () => 'made',
    })
  const byHeader: HashPolicy = { kind: 'header', name: 'X-User', terminal: false }
  const cookie: HashPolicy = { kind: 'cookie', name: 'sid', path: '/', terminal: false }

  test('equal values give equal hashes, absent ones none', () => {
    const anna = hash([byHeader], { 'x-user': 'anna' })
    assert.equal(hash([byHeader], { 'x-user': 'anna' }).hash, anna.hash)
    assert.notEqual(hash([byHeader], { 'x-user': 'bert' }).hash, anna.hash)
    assert.equal(hash([byHeader]).hash, undefined)
    assert.notEqual(hash([{ kind: 'sourceIp', terminal: false }]).hash, undefined)
    assert.notEqual(
      hash([{ kind: 'query', name: 'q', terminal: false }], {}, '/?q=1').hash,
      undefined,
    )
  })

  test('a terminal policy ends the row when it yields a hash', () => {
    const last: HashPolicy = { kind: 'sourceIp', terminal: false }
    const terminal: HashPolicy = { ...byHeader, terminal: true }
    const given = { 'x-user': 'anna' }
    assert.equal(hash([terminal, last], given).hash, hash([byHeader], given).hash)
    assert.notEqual(hash([byHeader, last], given).hash, hash([byHeader], given).hash)
    assert.equal(hash([terminal, last]).hash, hash([last]).hash)
  })

  test('finds its cookie among others, quoted or not', () => {
    const wanted = hash([cookie], { cookie: 'sid=abc' }).hash
    assert.notEqual(wanted, undefined)
    assert.equal(hash([cookie], { cookie: 'a=1; sid="abc"; b=2' }).hash, wanted)
    assert.equal(hash([cookie], { cookie: 'xsid=abc' }).hash, undefined)
  })

  test('makes a cookie when it has a lifetime and the client sent none', () => {
    assert.deepEqual(hash([{ ...cookie, ttlMs: 60_000 }]).setCookies, [
      'sid="made"; Max-Age=60; Path=/; HttpOnly',
    ])
    assert.deepEqual(hash([{ ...cookie, ttlMs: 0 }]).setCookies, ['sid="made"; Path=/; HttpOnly'])
    assert.deepEqual(hash([{ ...cookie, ttlMs: 0 }], { cookie: 'sid=x' }).setCookies, [])
    assert.deepEqual(hash([cookie]).setCookies, [])
  })
})
