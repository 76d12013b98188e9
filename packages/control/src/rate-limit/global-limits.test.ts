import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type DocumentOf, parseDocuments } from '@weft/config'
import { GlobalLimits } from './global-limits.ts'

function policies(spec: string): DocumentOf<'RateLimit'>[] {
  const text = `
apiVersion: weft.io/v1
kind: RateLimit
metadata: {name: shop, namespace: default}
spec:
  targetRefs: [{kind: Service, name: web}]
  mode: Global
${spec}`
  const { documents, problems } = parseDocuments(text, { file: 'in.yaml' })
  assert.deepEqual(problems, [])
  return documents.filter((one): one is DocumentOf<'RateLimit'> => one.kind === 'RateLimit')
}

const LIMITS = `
  limits:
  - {requests: 3, per: 1s, by: [{type: Header, name: x-user}]}
  - {requests: 10, per: 1m}
`
const DOMAIN = 'weft.io/default/shop'
const byUser = (user: string) => [
  { key: 'limit', value: 'default/shop/0' },
  { key: 'x-user', value: user },
]
const REST = [{ key: 'limit', value: 'default/shop/rest' }]

function limits(): GlobalLimits {
  const found = new GlobalLimits()
  found.configure(policies(LIMITS))
  return found
}

test('each value has a count of its own, and tokens come back with time', () => {
  const counted = limits()
  const ask = (user: string, hits: number, nowMs: number) =>
    counted.decide({ domain: DOMAIN, descriptors: [byUser(user)], hits }, nowMs).statuses[0]
  assert.deepEqual(ask('ann', 2, 0), {
    overLimit: false,
    limit: { requestsPerUnit: 3, unitSeconds: 1, remaining: 1, resetMs: 0 },
  })
  assert.equal(ask('bob', 3, 0)?.overLimit, false)
  // All or none: what is there is told.
  const over = ask('ann', 2, 0)
  assert.deepEqual([over?.overLimit, over?.limit?.remaining], [true, 1])
  assert.equal(ask('ann', 1, 0)?.overLimit, false)
  assert.deepEqual([ask('ann', 1, 0)?.overLimit, ask('ann', 1, 0)?.limit?.resetMs], [true, 334])
  assert.equal(ask('ann', 1, 340)?.overLimit, false)
})

test('what no other limit counts is counted by the last one', () => {
  const counted = limits()
  const ask = (descriptors: Parameters<GlobalLimits['decide']>[0]['descriptors']) =>
    counted.decide({ domain: DOMAIN, descriptors, hits: 1 }, 0).statuses
  for (let i = 0; i < 10; i++) assert.equal(ask([REST])[0]?.overLimit, false)
  assert.equal(ask([REST])[0]?.overLimit, true)
  assert.deepEqual(
    ask([byUser('ann'), REST]).map(({ overLimit }) => overLimit),
    [false, false],
  )
})

test('what comes back can be used by others, and never exceeds the burst', () => {
  const counted = limits()
  const question = (hits: number) => ({ domain: DOMAIN, descriptors: [byUser('ann')], hits })
  counted.decide(question(3), 0)
  assert.equal(counted.decide(question(1), 0).statuses[0]?.overLimit, true)
  counted.giveBack(question(2), 0)
  assert.equal(counted.decide(question(2), 0).statuses[0]?.overLimit, false)
  counted.giveBack(question(500), 0)
  assert.equal(counted.decide(question(4), 0).statuses[0]?.overLimit, true)
})

test('what nobody configured has no limit; a change of another policy forgets no count', () => {
  const counted = limits()
  const unknown = { domain: 'weft.io/default/none', descriptors: [byUser('a')], hits: 9 }
  assert.deepEqual(counted.decide(unknown, 0).statuses, [{ overLimit: false }])
  const question = { domain: DOMAIN, descriptors: [byUser('ann')], hits: 3 }
  counted.decide(question, 0)
  counted.configure(policies(LIMITS))
  assert.equal(counted.decide(question, 0).statuses[0]?.overLimit, true)
  counted.configure([])
  assert.deepEqual(counted.decide(question, 0).statuses, [{ overLimit: false }])
})
