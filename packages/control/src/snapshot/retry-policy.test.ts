import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readRetryPolicy, repeatable } from './retry-policy.ts'

const names = (policy: ReturnType<typeof readRetryPolicy>) =>
  policy?.onlyWhen.map(({ name, value }) => `${name} ${value.kind}`)

test('retries repeat what is harmless to repeat, written out for a stock Envoy', () => {
  assert.deepEqual(names(readRetryPolicy({ attempts: 3, retryOn: '5xx' })), [
    ':method regex',
    'idempotency-key present',
  ])
})

test('the annotation lets them repeat everything, and only when it says true', () => {
  const settings = { attempts: 3, retryOn: '5xx' }
  const annotated = (value: string) =>
    names(readRetryPolicy(settings, repeatable({ 'weft.io/retry-non-idempotent': value })))
  assert.deepEqual(annotated('true'), [':method present'])
  assert.deepEqual(annotated('yes'), [':method regex', 'idempotency-key present'])
})

test('attempts: 0 switches retries off', () => {
  assert.equal(readRetryPolicy({ attempts: 0 }), undefined)
})

test('status codes stand among the conditions', () => {
  const policy = readRetryPolicy({ retryOn: 'gateway-error, 503,nonsense' })
  assert.deepEqual(policy?.on, ['gateway-error', 'retriable-status-codes'])
  assert.deepEqual(policy?.statusCodes, [503])
})

test('retries may go to other localities where the object says so', () => {
  assert.equal(readRetryPolicy({ attempts: 2 })?.otherPriorities, undefined)
  const settings = { attempts: 2, retryRemoteLocalities: true }
  assert.equal(readRetryPolicy(settings)?.otherPriorities, true)
})
