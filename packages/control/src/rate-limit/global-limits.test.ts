import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type DocumentOf, parseDocuments } from '@weft/config'
import type { RateLimitQuestion } from '@weft/xds'
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
const byUser = (user: string) => ({
  entries: [
    { key: 'limit', value: 'default/shop/0' },
    { key: 'x-user', value: user },
  ],
})
const REST = { entries: [{ key: 'limit', value: 'default/shop/rest' }] }

function limits(): GlobalLimits {
  const found = new GlobalLimits()
  found.configure(policies(LIMITS))
  return found
}

/** What is said of one descriptor. */
async function decided(counted: GlobalLimits, question: RateLimitQuestion, nowMs = 0) {
  return (await counted.decide(question, nowMs)).statuses[0]
}

test('each value has a count of its own, and tokens come back with time', async () => {
  const counted = limits()
  const ask = (user: string, hits: number, nowMs: number) =>
    decided(counted, { domain: DOMAIN, descriptors: [byUser(user)], hits }, nowMs)
  assert.deepEqual(await ask('ann', 2, 0), {
    overLimit: false,
    limit: { requestsPerUnit: 3, unitSeconds: 1, remaining: 1, resetMs: 0 },
  })
  assert.equal((await ask('bob', 3, 0))?.overLimit, false)
  // All or none: what is there is told.
  const over = await ask('ann', 2, 0)
  assert.deepEqual([over?.overLimit, over?.limit?.remaining], [true, 1])
  assert.equal((await ask('ann', 1, 0))?.overLimit, false)
  const empty = await ask('ann', 1, 0)
  assert.deepEqual([empty?.overLimit, empty?.limit?.resetMs], [true, 334])
  assert.equal((await ask('ann', 1, 340))?.overLimit, false)
})

test('what no other limit counts is counted by the last one', async () => {
  const counted = limits()
  const ask = async (descriptors: RateLimitQuestion['descriptors']) =>
    (await counted.decide({ domain: DOMAIN, descriptors, hits: 1 }, 0)).statuses.map(
      ({ overLimit }) => overLimit,
    )
  for (let i = 0; i < 10; i++) assert.deepEqual(await ask([REST]), [false])
  assert.deepEqual(await ask([REST]), [true])
  assert.deepEqual(await ask([byUser('ann'), REST]), [false, false])
})

test('what comes back can be used by others, and never exceeds the burst', async () => {
  const counted = limits()
  const question = (hits: number) => ({ domain: DOMAIN, descriptors: [byUser('ann')], hits })
  const isOver = async (hits: number) => (await decided(counted, question(hits)))?.overLimit
  assert.equal(await isOver(3), false)
  assert.equal(await isOver(1), true)
  await counted.giveBack(question(2), 0)
  assert.equal(await isOver(2), false)
  await counted.giveBack(question(500), 0)
  assert.equal(await isOver(4), true)
})

test('a descriptor may cost more than the question says', async () => {
  const counted = limits()
  const dear = { domain: DOMAIN, descriptors: [{ ...byUser('ann'), hits: 2 }], hits: 1 }
  assert.equal((await decided(counted, dear))?.limit?.remaining, 1)
  assert.equal((await decided(counted, dear))?.overLimit, true)
})

test('what nobody configured has no limit; a change of another policy forgets no count', async () => {
  const counted = limits()
  const unknown = { domain: 'weft.io/default/none', descriptors: [byUser('a')], hits: 9 }
  assert.deepEqual(await decided(counted, unknown), { overLimit: false })
  const question = { domain: DOMAIN, descriptors: [byUser('ann')], hits: 3 }
  assert.equal((await decided(counted, question))?.overLimit, false)
  counted.configure(policies(LIMITS))
  assert.equal((await decided(counted, question))?.overLimit, true)
  counted.configure([])
  assert.deepEqual(await decided(counted, question), { overLimit: false })
})
