import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type RetryCondition, type RetryPolicy, SAFE_RETRY } from '@weft/model'
import { headerIs, request } from './fixtures.ts'
import { type AttemptOutcome, type RetryFacts, retryDecision, retryDelayMs } from './retry.ts'

const POLICY: RetryPolicy = { ...SAFE_RETRY, on: ['5xx'], attempts: 2 }

function facts(method = 'GET', more: Partial<RetryFacts> = {}, headers = {}): RetryFacts {
  return {
    request: request('/', { method, headers }),
    retriesMade: 0,
    replayable: true,
    responseStarted: false,
    believeHeaders: false,
    admitRetry: () => true,
    ...more,
  }
}

function decide(policy: RetryPolicy | undefined, outcome: AttemptOutcome, given = facts()): string {
  const decision = retryDecision(policy, outcome, given)
  return decision.kind === 'retry' ? decision.condition : decision.because
}

const answer = (status: number, grpcStatus?: number): AttemptOutcome =>
  grpcStatus === undefined ? { kind: 'response', status } : { kind: 'response', status, grpcStatus }
const REFUSED: AttemptOutcome = { kind: 'refusedStream' }
const NO_CONNECTION: AttemptOutcome = { kind: 'connectFailure' }
const RESET: AttemptOutcome = { kind: 'reset', sentBytes: 100 }
const UNSENT: AttemptOutcome = { kind: 'reset', sentBytes: 0 }
const STALE: AttemptOutcome = { kind: 'reset', sentBytes: 100, reused: true }
const SLOW: AttemptOutcome = { kind: 'perTryTimeout' }

describe('without a policy', () => {
  test('what never reached an application is repeated, whatever the method', () => {
    for (const method of ['GET', 'POST', 'PATCH']) {
      assert.equal(decide(undefined, NO_CONNECTION, facts(method)), 'connect-failure')
      assert.equal(decide(undefined, REFUSED, facts(method)), 'refused-stream')
      assert.equal(decide(undefined, UNSENT, facts(method)), 'stale-connection')
    }
  })

  test('answers and resets of requests that were sent are not', () => {
    for (const outcome of [answer(500), answer(503), RESET, SLOW, answer(200, 14)]) {
      assert.equal(decide(undefined, outcome), 'noCondition')
    }
  })

  test('a reused connection that the peer had closed is replaced for idempotent requests only', () => {
    assert.equal(decide(undefined, STALE, facts('GET')), 'stale-connection')
    assert.equal(decide(undefined, STALE, facts('POST')), 'notIdempotent')
    const keyed = facts('POST', {}, { 'idempotency-key': 'k1' })
    assert.equal(decide(undefined, STALE, keyed), 'stale-connection')
  })
})

describe('what may have been processed', () => {
  for (const method of ['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']) {
    test(`${method} may be repeated (RFC 9110, section 9.2.2)`, () => {
      assert.equal(decide(POLICY, answer(503), facts(method)), '5xx')
    })
  }
  for (const method of ['POST', 'PATCH', 'CONNECT', 'get']) {
    test(`${method} may not, for any outcome that may have been processed`, () => {
      for (const outcome of [answer(500), answer(503), RESET, STALE, SLOW]) {
        assert.equal(decide(POLICY, outcome, facts(method)), 'notIdempotent')
      }
    })
  }

  test('an Idempotency-Key makes any method repeatable', () => {
    const keyed = facts('POST', {}, { 'idempotency-key': 'k1' })
    assert.equal(decide(POLICY, answer(503), keyed), '5xx')
  })

  test('onlyWhen takes the place of that rule, to widen as to narrow', () => {
    const anyMethod = { name: ':method', value: { kind: 'present' } as const, invert: false }
    assert.equal(decide({ ...POLICY, onlyWhen: [anyMethod] }, answer(503), facts('POST')), '5xx')
    const narrow = { ...POLICY, onlyWhen: [headerIs('x-retry', 'yes')] }
    assert.equal(decide(narrow, answer(503), facts('GET')), 'notIdempotent')
    assert.equal(decide(narrow, answer(503), facts('POST', {}, { 'x-retry': 'yes' })), '5xx')
    assert.equal(decide(narrow, REFUSED, facts('POST')), '5xx')
  })
})

describe('conditions (Envoy, x-envoy-retry-on)', () => {
  const cases: [RetryCondition, AttemptOutcome[], AttemptOutcome[]][] = [
    [
      '5xx',
      [answer(500), answer(599), RESET, SLOW, NO_CONNECTION, REFUSED],
      [answer(499), answer(200)],
    ],
    [
      'gateway-error',
      [answer(502), answer(503), answer(504), RESET],
      [answer(500), answer(501), answer(505)],
    ],
    ['reset', [RESET, SLOW, NO_CONNECTION], [answer(503)]],
    ['reset-before-request', [UNSENT, NO_CONNECTION, REFUSED], [RESET, SLOW]],
    ['connect-failure', [NO_CONNECTION], [RESET, SLOW, REFUSED, answer(503)]],
    ['refused-stream', [REFUSED], [RESET, NO_CONNECTION]],
    ['retriable-4xx', [answer(409)], [answer(408), answer(404), answer(500)]],
    ['retriable-status-codes', [answer(418)], [answer(419), answer(500)]],
    ['cancelled', [answer(200, 1)], [answer(200, 0), answer(200)]],
    ['deadline-exceeded', [answer(200, 4)], [answer(200, 14), answer(504)]],
    ['internal', [answer(200, 13)], [answer(500)]],
    ['resource-exhausted', [answer(200, 8)], [answer(429)]],
    ['unavailable', [answer(200, 14)], [answer(503), answer(200, 13)]],
  ]
  for (const [on, retried, left] of cases) {
    test(on, () => {
      const policy = { ...POLICY, on: [on], statusCodes: [418] }
      for (const outcome of retried)
        assert.equal(decide(policy, outcome), on, JSON.stringify(outcome))
      for (const outcome of left)
        assert.equal(decide(policy, outcome), 'noCondition', JSON.stringify(outcome))
    })
  }
})

describe('limits', () => {
  test('stops after the attempts of the policy; 0 switches retries off', () => {
    assert.equal(decide(POLICY, answer(503), facts('GET', { retriesMade: 1 })), '5xx')
    assert.equal(decide(POLICY, answer(503), facts('GET', { retriesMade: 2 })), 'attemptsUsed')
    assert.equal(decide({ ...POLICY, attempts: 0 }, NO_CONNECTION), 'attemptsUsed')
  })

  test('never after a byte of a response, nor when the body is gone', () => {
    assert.equal(decide(POLICY, RESET, facts('GET', { responseStarted: true })), 'responseStarted')
    assert.equal(decide(POLICY, RESET, facts('GET', { replayable: false })), 'notReplayable')
  })

  test('the budget is asked once, and only when a retry is due', () => {
    let asked = 0
    const admitRetry = () => {
      asked++
      return false
    }
    assert.equal(decide(POLICY, answer(200), facts('GET', { admitRetry })), 'noCondition')
    assert.equal(decide(POLICY, answer(503), facts('POST', { admitRetry })), 'notIdempotent')
    assert.equal(asked, 0)
    assert.equal(decide(POLICY, answer(503), facts('GET', { admitRetry })), 'budget')
    assert.equal(asked, 1)
  })
})

describe('x-envoy headers', () => {
  const headers = {
    'x-envoy-retry-on': 'gateway-error, nonsense,retriable-status-codes',
    'x-envoy-retriable-status-codes': '429,x',
    'x-envoy-max-retries': '5',
  }
  test('add to the policy when they come from inside', () => {
    const inside = facts('GET', { believeHeaders: true, retriesMade: 4 }, headers)
    assert.equal(decide(undefined, answer(502), inside), 'gateway-error')
    assert.equal(decide(undefined, answer(429), inside), 'retriable-status-codes')
    assert.equal(decide(undefined, answer(500), inside), 'noCondition')
  })
  test('say nothing when they come from outside', () => {
    assert.equal(decide(undefined, answer(502), facts('GET', {}, headers)), 'noCondition')
  })
})

test('delays grow with full jitter and stay below the maximum', () => {
  const policy = { ...POLICY, backoffBaseMs: 25, backoffMaxMs: 250 }
  const delays = [0, 1, 2, 3, 4, 20].map((made) => retryDelayMs(policy, made, () => 0.999999))
  assert.deepEqual(delays, [25, 50, 100, 200, 250, 250])
  assert.equal(
    retryDelayMs(policy, 3, () => 0),
    0,
  )
  assert.equal(
    retryDelayMs({ ...policy, backoffBaseMs: 0 }, 0, () => 0.5),
    0,
  )
})
