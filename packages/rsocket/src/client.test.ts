import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { serverTlsContext } from '@weft/net'
import { createTestCa, eventually } from '@weft/testkit'
import { connect, type Methods, RSocketError } from './index.ts'
import { collect, openBroker, openClient, type Scheme } from './sdk-fixture.ts'

const told: string[] = []
const ECHO: Methods = {
  one: (request) => request.data,
  json: async (request) => ({ heard: request.json(), tags: { ...request.tags } }),
  told: (request) => void told.push(request.text()),
  async *count(request) {
    for (let i = 0; i < Number(request.text()); i++) yield `${i}`
  },
  async *twice(request) {
    for await (const item of request.items) yield item.text().repeat(2)
  },
}

for (const scheme of ['tcp', 'ws', 'tls'] as const satisfies readonly Scheme[]) {
  test(`the four interactions between two programs over ${scheme}`, async (t) => {
    const broker = await openBroker(t, scheme)
    await openClient(t, [broker], { app: 'echo', services: { 'a.Echo': ECHO } })
    const client = await openClient(t, [broker], { app: 'asker' })
    assert.equal((await client.requestResponse('a.Echo', 'one', 'hello')).text(), 'hello')
    const answer = await client.requestResponse(
      'a.Echo',
      'json',
      { a: [1] },
      { metadata: { k: 'v' } },
    )
    assert.deepEqual(answer.json(), { heard: { a: [1] }, tags: { k: 'v' } })
    const numbers = Array.from({ length: 1_000 }, (_, i) => `${i}`)
    assert.deepEqual(await collect(client.requestStream('a.Echo', 'count', '1000')), numbers)
    assert.deepEqual(
      await collect(client.requestChannel('a.Echo', 'twice', numbers)),
      numbers.map((text) => text.repeat(2)),
    )
    assert.deepEqual(await collect(client.requestChannel('a.Echo', 'twice', ['only'])), [
      'onlyonly',
    ])
    told.length = 0
    await client.fireAndForget('a.Echo', 'told', scheme)
    await eventually(() => assert.deepEqual(told, [scheme]))
    const large = new Uint8Array(3_000_000).fill(7)
    assert.deepEqual((await client.requestResponse('a.Echo', 'one', large)).data.length, 3_000_000)
    await eventually(() => assert.equal(broker.broker.openStreams, 0))
    assert.equal(client.status().calling, 0)
  })
}

test('errors say what they are and whether nobody has processed the request', async (t) => {
  const broker = await openBroker(t)
  const seen: unknown[] = []
  await openClient(t, [broker], {
    onHandlerError: (error) => void seen.push(error),
    services: {
      s: {
        secret: () => {
          throw new TypeError('password=1')
        },
        own: () => {
          throw new RSocketError(0x1001, 'out of stock')
        },
        busy: () => {
          throw new RSocketError('REJECTED', 'not now')
        },
        async *broken() {
          yield 'first'
          throw new Error('secret')
        },
        circle: () => {
          const circle: Record<string, unknown> = {}
          circle.circle = circle
          return circle
        },
        *stream() {
          yield 1
        },
      },
    },
  })
  const client = await openClient(t, [broker])
  const failure = async (service: string, method: string) => {
    try {
      await client.requestResponse(service, method)
    } catch (error) {
      assert.ok(error instanceof RSocketError)
      return [error.codeName ?? error.code, error.message, error.retrySafe]
    }
    return []
  }
  assert.deepEqual(await failure('s', 'secret'), ['APPLICATION_ERROR', 'the handler failed', false])
  assert.match(String(seen[0]), /password/)
  assert.deepEqual(await failure('s', 'own'), [0x1001, 'out of stock', false])
  assert.deepEqual(await failure('s', 'busy'), ['REJECTED', 'not now', true])
  assert.deepEqual(await failure('s', 'none'), ['INVALID', 's has no method none', false])
  assert.deepEqual(await failure('s', 'constructor'), [
    'INVALID',
    's has no method constructor',
    false,
  ])
  assert.deepEqual(await failure('s', 'circle'), ['APPLICATION_ERROR', 'the handler failed', false])
  assert.equal((await failure('s', 'stream'))[0], 'INVALID')
  assert.deepEqual(await failure('nobody', 'm'), [
    'REJECTED',
    'WEFT-404 nobody offers nobody',
    true,
  ])
  const items: string[] = []
  await assert.rejects(async () => {
    for await (const item of client.requestStream('s', 'broken')) items.push(item.text())
  }, /the handler failed/)
  assert.deepEqual(items, ['first'])
})

test('a broker that refuses is said to, at once; one that is not there, in time', async (t) => {
  const strict = await openBroker(t, 'tcp', { authenticate: async () => 'WEFT-401 no token' })
  await assert.rejects(
    connect({ brokers: strict.uri }),
    (error) =>
      error instanceof RSocketError &&
      error.codeName === 'DENIED' &&
      /WEFT-401/.test(error.message),
  )
  await assert.rejects(
    connect({ brokers: 'tcp://127.0.0.1:1', connectTimeoutMs: 200 }),
    (error) =>
      error instanceof RSocketError && error.retrySafe && /ECONNREFUSED/.test(error.message),
  )
  await assert.rejects(connect({ brokers: [] }), TypeError)
  await assert.rejects(connect({ brokers: 'http://a:1' }), TypeError)
  await assert.rejects(connect({ brokers: 'tcp://a:1', links: 0 }), RangeError)
})

test('time limits and signals end a call at both sides', async (t) => {
  const broker = await openBroker(t)
  let aborted = 0
  await openClient(t, [broker], {
    services: {
      slow: {
        answer: (request) =>
          new Promise((_resolve, reject) => {
            request.signal.addEventListener('abort', () => {
              aborted++
              reject(request.signal.reason)
            })
          }),
        async *items(request) {
          yield 'first'
          await new Promise<void>((resolve) => {
            request.signal.addEventListener('abort', () => resolve())
          })
          aborted++
        },
      },
    },
  })
  const client = await openClient(t, [broker])
  await assert.rejects(
    client.requestResponse('slow', 'answer', '', { timeoutMs: 30 }),
    (error) => error instanceof RSocketError && error.codeName === 'CANCELED' && !error.retrySafe,
  )
  await eventually(() => assert.equal(aborted, 1))
  const controller = new AbortController()
  const call = client.requestResponse('slow', 'answer', '', { signal: controller.signal })
  setImmediate(() => controller.abort(new Error('enough')))
  await assert.rejects(call, /enough/)
  for await (const item of client.requestStream('slow', 'items')) {
    assert.equal(item.text(), 'first')
    break
  }
  await eventually(() => assert.equal(aborted, 3))
  assert.equal(broker.broker.openStreams, 0)
  await assert.rejects(client.requestResponse('slow', 'answer', '', { timeoutMs: 0 }), RangeError)
})

test('services come and go while links are up', async (t) => {
  const broker = await openBroker(t)
  const server = await openClient(t, [broker])
  const client = await openClient(t, [broker])
  await assert.rejects(client.requestResponse('late', 'm'), /WEFT-404/)
  const remove = await server.handle('late', { m: () => 'here' })
  assert.equal((await client.requestResponse('late', 'm')).text(), 'here')
  await remove()
  await assert.rejects(client.requestResponse('late', 'm'), /WEFT-404/)
})

test('a broker of the mesh is known by its SPIFFE ID, and a certificate is shown in place of a token', async (t) => {
  const ca = createTestCa()
  const server = ca.issue({ uri: ['spiffe://cluster.local/ns/default/sa/broker'] })
  const own = ca.issue({ uri: ['spiffe://cluster.local/ns/default/sa/cart'] })
  const certificates = [{ chainPem: server.certPem, keyPem: server.keyPem }]
  const context = serverTlsContext(
    { parameters: {}, certificates, alpn: [], trust: { caPem: ca.caPem } },
    'required',
  )
  const seen = new Set<string>()
  const { broker } = await openBroker(t, 'tcp', {
    authenticate: async (leg) => {
      for (const name of leg.socket.tls?.peer?.uriSans ?? []) seen.add(name)
      return { principal: undefined, claims: undefined }
    },
  })
  const address = { host: '127.0.0.1', port: 0 }
  const { port } = await broker.listen({ kind: 'tcp', address, tls: () => context })
  const dial = (spiffeId: string) =>
    connect({
      brokers: `tls://127.0.0.1:${port}`,
      connectTimeoutMs: 500,
      tls: () => ({ ca: ca.caPem, cert: own.certPem, key: own.keyPem, spiffeId }),
    })
  await assert.rejects(
    dial('spiffe://cluster.local/ns/default/sa/other'),
    /the certificate is not of spiffe:\/\/cluster.local\/ns\/default\/sa\/other/,
  )
  const client = await dial('spiffe://cluster.local/ns/default/sa/broker')
  t.after(() => client.close(0))
  assert.deepEqual(seen, new Set(['spiffe://cluster.local/ns/default/sa/cart']))
})

test('a program stays while it waits for a broker, and goes when it has closed', async (t) => {
  const first = await openBroker(t)
  const program = `
    import { connect } from '@weft/rsocket'
    const dead = await connect({ brokers: 'tcp://127.0.0.1:1', connectTimeoutMs: 100 }).catch(({ status }) => status)
    let ups = 0
    const client = await connect({
      brokers: '${first.uri}',
      onLinkChange: ({ links }) => { if (links[0]?.isUp && ++ups === 2) void client.close().then(() => console.log(dead)) },
    })
    console.log('up')
  `
  const running = runProgram(program)
  // It has said that it is up.
  if (running.child.stdout !== null) await once(running.child.stdout, 'data')
  first.broker.close()
  await eventually(() => assert.equal(first.broker.connections, 0))
  // With the broker gone there is no socket for a while: nothing but the wish to come back.
  await openBroker(t, 'tcp', { port: first.port })
  assert.equal((await running).stdout, 'up\n503\n')
})

test('what callbacks of the program throw is its own affair: calls go on', async (t) => {
  const broker = await openBroker(t)
  // In a process of its own, as nobody catches what they throw.
  const program = `
    import { connect } from '@weft/rsocket'
    process.on('uncaughtException', ({ message }) => console.log(message))
    const fail = (message) => { throw new Error(message) }
    const client = await connect({
      brokers: '${broker.uri}',
      onLinkChange: ({ links }) => { if (links[0]?.isUp) fail('link change') },
      onHandlerError: () => fail('handler error'),
      services: { s: { bad: () => fail('inside'), good: () => 'good' } },
    })
    await client.requestResponse('s', 'bad').catch(({ message }) => console.log(message))
    console.log((await client.requestResponse('s', 'good')).text())
    await client.close()
  `
  const { stdout } = await runProgram(program)
  const lines = ['link change', 'handler error', 'the handler failed', 'good']
  assert.deepEqual(stdout.trim().split('\n').sort(), lines.sort())
})

test('what handlers throw is written to the console when the program does not want it', async (t) => {
  const broker = await openBroker(t)
  const { stderr } = await runProgram(`
    import { connect } from '@weft/rsocket'
    const services = { s: { bad: () => { throw new TypeError('sku of undefined') } } }
    const client = await connect({ brokers: '${broker.uri}', services })
    await client.requestResponse('s', 'bad').catch(() => {})
    await client.close()
  `)
  assert.match(stderr, /the handler of s\.bad failed: TypeError: sku of undefined/)
})

function runProgram(program: string) {
  const words = ['--conditions=source', '--input-type=module', '-e', program]
  return promisify(execFile)(process.execPath, words, { cwd: import.meta.dirname })
}
