import assert from 'node:assert/strict'
import { createServer, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import type { RateLimitService } from '@weft/model'
import { filteredProxy } from './filters-fixture.ts'

const SERVICE: RateLimitService = {
  domain: 'shop',
  cluster: 'limits',
  timeoutMs: 5_000,
  failureModeDeny: true,
  stage: 0,
  headers: true,
  status: 429,
}
const BY_USER = {
  rateLimits: [
    { stage: 0, actions: [{ kind: 'header', header: 'x-user', key: 'user', skipIfAbsent: false }] },
  ],
} as const
/** `overall_code` and one status with a limit of 10 a minute, as protobuf writes them. */
const OK = [0x08, 1, 0x12, 10, 0x08, 1, 0x12, 4, 0x08, 10, 0x10, 2, 0x18, 7]
const OVER = [0x08, 2, 0x12, 8, 0x08, 2, 0x12, 4, 0x08, 10, 0x10, 2]

interface Service {
  readonly port: number
  readonly questions: string[]
}

async function service(t: TestContext, answer: readonly number[], status = '0'): Promise<Service> {
  const questions: string[] = []
  const server = createServer()
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    const parts: Buffer[] = []
    stream.on('data', (part: Buffer) => parts.push(part))
    stream.on('end', () => {
      questions.push(`${headers[':path']} ${Buffer.concat(parts).toString('latin1')}`)
      stream.respond(
        { ':status': 200, 'content-type': 'application/grpc' },
        { waitForTrailers: true },
      )
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': status }))
      stream.end(Buffer.from([0, 0, 0, 0, answer.length, ...answer]))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  return { port: (server.address() as AddressInfo).port, questions }
}

async function proxyTo(t: TestContext, port: number, changes: Partial<RateLimitService> = {}) {
  const filter = { kind: 'rateLimit', service: { ...SERVICE, ...changes } } as const
  const proxy = await filteredProxy([filter], BY_USER, {}, 1, { limits: port })
  t.after(() => proxy.close())
  return proxy
}

test('what the service allows goes on, with its numbers on the answer', async (t) => {
  const { port, questions } = await service(t, OK)
  const proxy = await proxyTo(t, port)
  const answer = await proxy.ask('GET', { 'x-user': 'ann' })
  assert.deepEqual([answer.status, answer.body], [200, 'ok'])
  assert.equal(answer.headers['x-ratelimit-limit'], '10, 10;w=60')
  assert.equal(answer.headers['x-ratelimit-remaining'], '7')
  assert.match(
    questions[0] ?? '',
    /^\/envoy\.service\.ratelimit\.v3\.RateLimitService\/ShouldRateLimit /,
  )
  assert.match(questions[0] ?? '', /shop.*user.*ann/s)
  // Without a descriptor nobody is asked.
  assert.equal((await proxy.ask('GET')).status, 200)
  assert.equal(questions.length, 1)
})

test('what is over the limit is refused', async (t) => {
  const { port } = await service(t, OVER)
  const proxy = await proxyTo(t, port)
  const answer = await proxy.ask('GET', { 'x-user': 'ann' })
  assert.equal(answer.status, 429)
  assert.equal(answer.headers['x-envoy-ratelimited'], 'true')
  assert.equal(answer.headers['x-ratelimit-remaining'], '0')
  assert.equal(proxy.served(), 0)
  assert.deepEqual(proxy.records, [{ flags: 'RL', details: 'request_rate_limited' }])
})

for (const [what, answer, status] of [
  ['fails', OK, '14'],
  ['says what nobody understands', [0xff], '0'],
] as const) {
  test(`a service that ${what} refuses or lets pass, as it is configured`, async (t) => {
    const { port } = await service(t, answer, status)
    const closed = await proxyTo(t, port)
    assert.equal((await closed.ask('GET', { 'x-user': 'a' })).status, 500)
    assert.deepEqual(closed.records, [{ flags: 'RLSE', details: 'rate_limiter_error' }])
    const open = await proxyTo(t, port, { failureModeDeny: false })
    assert.equal((await open.ask('GET', { 'x-user': 'a' })).status, 200)
  })
}

test('a service that is not there is one that does not answer', async (t) => {
  const proxy = await proxyTo(t, 1)
  assert.equal((await proxy.ask('GET', { 'x-user': 'a' })).status, 500)
})

test('of a limit of the control plane a share is asked for, and spent without questions', async (t) => {
  const { port, questions } = await service(t, OK)
  const proxy = await proxyTo(t, port, { domain: 'weft.io/default/shop' })
  const statuses = await Promise.all(
    Array.from({ length: 20 }, async () => {
      const answer = await proxy.ask('GET', { 'x-user': 'ann' })
      assert.equal(answer.headers['x-ratelimit-limit'], '10, 10;w=60')
      return answer.status
    }),
  )
  assert.deepEqual(statuses, Array<number>(20).fill(200))
  assert.ok(questions.length < 20, `${questions.length} questions`)
})

test('who is over a limit of the control plane is refused without another question', async (t) => {
  const { port, questions } = await service(t, OVER)
  const proxy = await proxyTo(t, port, { domain: 'weft.io/default/shop' })
  for (let i = 0; i < 5; i++) {
    const answer = await proxy.ask('GET', { 'x-user': 'ann' })
    assert.equal(answer.status, 429)
    assert.equal(answer.headers['x-ratelimit-remaining'], '0')
  }
  assert.ok(questions.length < 5, `${questions.length} questions`)
})
