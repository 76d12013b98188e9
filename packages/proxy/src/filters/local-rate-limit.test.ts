import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LocalRateLimit } from '@weft/model'
import { filteredProxy } from './filters-fixture.ts'

const HOUR_MS = 3_600_000
const bucketOf = (maxTokens: number) => ({ maxTokens, tokensPerFill: 1, fillIntervalMs: HOUR_MS })
const LIMIT: LocalRateLimit = {
  statPrefix: 'test',
  bucket: bucketOf(2),
  enabledPercent: 100,
  enforcedPercent: 100,
  status: 429,
  descriptors: [],
  actions: [],
  perConnection: false,
  headers: true,
  responseHeaders: [{ name: 'x-local-rate-limit', value: 'true' }],
}
const BY_USER = {
  actions: [
    { stage: 0, actions: [{ kind: 'header', header: 'x-user', key: 'user', skipIfAbsent: false }] },
  ],
} as const

test('an empty bucket refuses, and says when to come again', async (t) => {
  const proxy = await filteredProxy([{ kind: 'localRateLimit', limit: LIMIT }])
  t.after(() => proxy.close())
  const first = await proxy.ask('GET')
  assert.equal(first.status, 200)
  assert.equal(first.headers['x-ratelimit-limit'], '2')
  assert.equal(first.headers['x-ratelimit-remaining'], '1')
  assert.equal(first.headers['x-ratelimit-reset'], '0')
  assert.equal((await proxy.ask('GET')).status, 200)
  const refused = await proxy.ask('GET')
  assert.deepEqual([refused.status, refused.body], [429, 'local_rate_limited'])
  assert.equal(refused.headers['x-local-rate-limit'], 'true')
  assert.equal(refused.headers['x-ratelimit-remaining'], '0')
  assert.match(String(refused.headers['x-ratelimit-reset']), /^(3600|3599)$/)
  assert.equal(proxy.served(), 2)
  assert.deepEqual(proxy.records.at(-1), { flags: 'RL', details: 'local_rate_limited' })
})

test('a push does not refill a bucket', async (t) => {
  const proxy = await filteredProxy([{ kind: 'localRateLimit', limit: LIMIT }])
  t.after(() => proxy.close())
  await proxy.ask('GET')
  await proxy.ask('GET')
  proxy.publish()
  assert.equal((await proxy.ask('GET')).status, 429)
})

test('each descriptor has a bucket; a value that is not named has one of its own', async (t) => {
  const limit: LocalRateLimit = {
    ...LIMIT,
    ...BY_USER,
    bucket: bucketOf(100),
    descriptors: [
      { entries: [{ key: 'user', value: 'vip' }], bucket: bucketOf(3) },
      { entries: [{ key: 'user', value: '' }], bucket: bucketOf(1) },
    ],
  }
  const proxy = await filteredProxy([{ kind: 'localRateLimit' }], { localRateLimit: limit })
  t.after(() => proxy.close())
  const statuses = async (user: string, times: number) => {
    const got: number[] = []
    for (let i = 0; i < times; i++) got.push((await proxy.ask('GET', { 'x-user': user })).status)
    return got
  }
  assert.deepEqual(await statuses('vip', 4), [200, 200, 200, 429])
  assert.deepEqual(await statuses('a', 2), [200, 429])
  assert.deepEqual(await statuses('b', 2), [200, 429])
  assert.equal((await proxy.ask('GET')).status, 200)
})

test('a request costs of its descriptor what hits_addend says, all or nothing, and one of the default', async (t) => {
  const [rule] = BY_USER.actions
  const limit: LocalRateLimit = {
    ...LIMIT,
    actions: [{ ...rule, hits: { kind: 'header', header: 'x-cost' } }],
    bucket: bucketOf(100),
    alwaysConsumeDefault: true,
    descriptors: [{ entries: [{ key: 'user', value: 'a' }], bucket: bucketOf(10) }],
  }
  const proxy = await filteredProxy([{ kind: 'localRateLimit', limit }])
  t.after(() => proxy.close())
  const cost = async (hits: string) => {
    const { status, headers } = await proxy.ask('GET', { 'x-user': 'a', 'x-cost': hits })
    return [status, headers['x-ratelimit-remaining']]
  }
  assert.deepEqual(await cost('7'), [200, '3'])
  assert.deepEqual(await cost('4'), [429, '3'])
  assert.deepEqual(await cost('0'), [200, '3'])
  assert.deepEqual(await cost('3'), [200, '0'])
  const other = await proxy.ask('GET', { 'x-user': 'b', 'x-cost': '50' })
  // Each of the three that went on took one of it, and so does this.
  assert.equal(other.headers['x-ratelimit-remaining'], '96')
})

test('a route without actions counts by those of the global limit', async (t) => {
  const limit: LocalRateLimit = {
    ...LIMIT,
    descriptors: [{ entries: [{ key: 'user', value: 'a' }], bucket: bucketOf(1) }],
  }
  const overrides = { rateLimits: BY_USER.actions }
  const proxy = await filteredProxy([{ kind: 'localRateLimit', limit }], overrides)
  t.after(() => proxy.close())
  assert.equal((await proxy.ask('GET', { 'x-user': 'a' })).status, 200)
  assert.equal((await proxy.ask('GET', { 'x-user': 'a' })).status, 429)
})

test('what a descriptor lets pass also takes from the default bucket where asked', async (t) => {
  const limit: LocalRateLimit = {
    ...LIMIT,
    ...BY_USER,
    bucket: bucketOf(1),
    alwaysConsumeDefault: true,
    descriptors: [{ entries: [{ key: 'user', value: 'a' }], bucket: bucketOf(10) }],
  }
  const proxy = await filteredProxy([{ kind: 'localRateLimit', limit }])
  t.after(() => proxy.close())
  assert.equal((await proxy.ask('GET', { 'x-user': 'a' })).status, 200)
  assert.equal((await proxy.ask('GET', { 'x-user': 'a' })).status, 429)
})

test('each connection has a bucket where asked', async (t) => {
  const limit = { ...LIMIT, bucket: bucketOf(1), perConnection: true }
  const proxy = await filteredProxy([{ kind: 'localRateLimit', limit }])
  t.after(() => proxy.close())
  for (let i = 0; i < 3; i++) assert.equal((await proxy.ask('GET')).status, 200)
})

test('what is not enforced goes on, what is not enabled is not counted', async (t) => {
  const shadow = { ...LIMIT, bucket: bucketOf(1), enforcedPercent: 0 }
  const proxy = await filteredProxy([{ kind: 'localRateLimit', limit: shadow }])
  t.after(() => proxy.close())
  await proxy.ask('GET')
  const over = await proxy.ask('GET')
  assert.deepEqual([over.status, over.headers['x-ratelimit-remaining']], [200, '0'])
  const off = await filteredProxy([
    { kind: 'localRateLimit', limit: { ...LIMIT, enabledPercent: 0 } },
  ])
  t.after(() => off.close())
  assert.equal((await off.ask('GET')).headers['x-ratelimit-limit'], undefined)
})
