import assert from 'node:assert/strict'
import { createConnection } from 'node:net'
import { type TestContext, test } from 'node:test'
import type { AdaptiveConcurrency } from '@weft/model'
import { eventually } from '@weft/testkit'
import { filteredProxy } from './filters-fixture.ts'

/** Measures for longer than a test: the limit stays at one. */
const ONE_AT_A_TIME: AdaptiveConcurrency = {
  enabled: true,
  samplePercentile: 50,
  maxConcurrency: 1_000,
  minConcurrency: 1,
  updateIntervalMs: 100,
  minRttIntervalMs: 60_000,
  minRttJitterPercent: 0,
  minRttRequests: 1_000,
  minRttBufferPercent: 25,
  status: 503,
}

async function proxyWith(t: TestContext, settings: AdaptiveConcurrency) {
  const proxy = await filteredProxy([{ kind: 'adaptiveConcurrency', settings }])
  t.after(() => proxy.close())
  return proxy
}

/** A request whose body does not come before `end`. */
async function unfinished(port: number) {
  const socket = createConnection(port, '127.0.0.1')
  let answer = ''
  socket.setEncoding('latin1').on('data', (text: string) => {
    answer += text
  })
  await new Promise<void>((resolve) => socket.once('connect', resolve))
  socket.write('POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n')
  return {
    async end(): Promise<string> {
      socket.write('ab')
      await eventually(() => assert.match(answer, /\r\n\r\nok$/))
      socket.destroy()
      return answer
    },
    leave: () => socket.destroy(),
  }
}

test('what is over the limit is refused; an answer makes room', async (t) => {
  const proxy = await proxyWith(t, ONE_AT_A_TIME)
  const first = await unfinished(proxy.port)
  await eventually(async () => assert.equal((await proxy.ask('GET')).status, 503))
  const refused = await proxy.ask('GET')
  assert.equal(refused.body, 'reached concurrency limit')
  assert.equal(proxy.records.at(-1)?.details, 'reached_concurrency_limit')
  assert.match(await first.end(), /^HTTP\/1.1 200 /)
  await eventually(async () => assert.equal((await proxy.ask('GET')).status, 200))
})

test('a client that leaves makes room too, and a new configuration forgets nothing', async (t) => {
  const proxy = await proxyWith(t, { ...ONE_AT_A_TIME, status: 529 })
  const first = await unfinished(proxy.port)
  await eventually(async () => assert.equal((await proxy.ask('GET')).status, 529))
  proxy.publish()
  assert.equal((await proxy.ask('GET')).status, 529)
  first.leave()
  await eventually(async () => assert.equal((await proxy.ask('GET')).status, 200))
})

test('the limit grows with traffic that is answered well', async (t) => {
  const settings = { ...ONE_AT_A_TIME, minRttRequests: 5, updateIntervalMs: 5, minConcurrency: 2 }
  const proxy = await proxyWith(t, { ...settings, minRttBufferPercent: 100 })
  for (let i = 0; i < 60; i++) assert.equal((await proxy.ask('GET')).status, 200)
  const many = await Promise.all([1, 2, 3].map(() => unfinished(proxy.port)))
  for (const one of many) assert.match(await one.end(), /^HTTP\/1.1 200 /)
})

test('a route with settings of its own has a limit of its own, and one may switch it off', async (t) => {
  const off = await filteredProxy([{ kind: 'adaptiveConcurrency', settings: ONE_AT_A_TIME }], {
    adaptiveConcurrency: { ...ONE_AT_A_TIME, enabled: false },
  })
  t.after(() => off.close())
  const first = await unfinished(off.port)
  assert.equal((await off.ask('GET')).status, 200)
  await first.end()
  const own = await filteredProxy([{ kind: 'adaptiveConcurrency' }], {
    adaptiveConcurrency: ONE_AT_A_TIME,
  })
  t.after(() => own.close())
  const held = await unfinished(own.port)
  await eventually(async () => assert.equal((await own.ask('GET')).status, 503))
  await held.end()
})
