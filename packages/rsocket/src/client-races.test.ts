import assert from 'node:assert/strict'
import { EventEmitter, on } from 'node:events'
import { type TestContext, test } from 'node:test'
import type { Clock } from '@weft/base'
import { eventually, FakeClock } from '@weft/testkit'
import { EVENT_MIME, type RSocketStream, renderComposite, renderMetadataPush } from '@weft/wire'
import { Client } from './client.ts'
import { connect, RSocketError } from './index.ts'
import { OutgoingFrames } from './link/carrier.ts'
import { FakeBroker, settled } from './link/link-fixture.ts'
import { readOptions } from './options.ts'
import type { Platform } from './platform.ts'
import { renderCall } from './route.ts'
import { openBroker, openClient } from './sdk-fixture.ts'
import type { ConnectOptions } from './types.ts'

/** A client of a broker that is a function call away. */
function clientOf(t: TestContext, broker: FakeBroker, options: Partial<ConnectOptions> = {}) {
  const clock = new FakeClock(0)
  const delays: number[] = []
  const after: Clock['after'] = (delayMs, fire) => {
    delays.push(delayMs)
    return clock.after(delayMs, fire)
  }
  const platform: Platform = {
    clock: { nowMs: () => clock.nowMs(), monotonicMs: () => clock.monotonicMs(), after },
    ...{ random: () => 0.5, schemes: ['tcp'], schedule: queueMicrotask },
    dial: (_uri, _tls, handler) => broker.dial(handler),
    stay: () => () => {},
    openLagMeter: () => ({ takeMs: () => 0, close() {} }),
  }
  const given: ConnectOptions = { brokers: 'tcp://b:1', lease: false, ...options }
  const client = new Client(
    readOptions(given, platform.schemes, () => 'id'),
    given,
    platform,
  )
  t.after(() => client.close(0))
  return { client, clock, delays }
}

test('what comes, goes and is renewed while a link comes up is told when it is up', async (t) => {
  const broker = new FakeBroker()
  const hellos: RSocketStream[] = []
  broker.onRequest = (stream) => void hellos.push(stream)
  let made = 0
  const { client } = clientOf(t, broker, {
    token: async () => `token-${++made}`,
    services: { early: { m: () => 'here' } },
  })
  const opened = client.open()
  await settled()
  assert.equal(hellos.length, 1, 'SETUP has gone')
  const takeBack = await client.handle('late', { m: () => 'here' })
  await client.handle('later', { m: () => 'here' })
  await takeBack()
  await client.refreshToken()
  broker.onRequest = (stream) => stream.next({ data: Buffer.from('{}') }, true)
  hellos[0]?.next({ data: Buffer.from('{}') }, true)
  await opened
  await settled()
  const said = broker.ends[0]?.pushes.join() ?? ''
  assert.match(said, /"add":\[\{"name":"later"\}\],"remove":\[\]/)
  assert.match(said, /token-2/)
})

test('a service that is offered again while it is taken back stays', async (t) => {
  const broker = new FakeBroker()
  const { client, clock } = clientOf(t, broker)
  await client.open()
  const say = (seq: number) =>
    broker.ends[0]?.peer.write(
      renderMetadataPush(
        renderComposite([{ mime: EVENT_MIME, content: Buffer.from(`{"ack":{"seq":${seq}}}`) }]),
      ),
    )
  const offered = client.handle('s', { m: () => 'old' })
  say(1)
  const takeBack = await offered
  const taken = takeBack()
  await client.handle('s', { m: () => 'new' })
  say(2)
  await settled()
  say(3)
  await taken
  const [, , last] = broker.ends[0]?.pushes ?? []
  assert.match(last ?? '', /"add":\[\{"name":"s"\}\]/)
  assert.equal(clock.pending, 1, 'the keepalive alone')
  await takeBack()
  assert.equal(broker.ends[0]?.pushes.length, 3, 'what is taken back is not what is offered now')
})

test('absurd news of a broker cost neither timers nor memory', async (t) => {
  const broker = new FakeBroker()
  const { client, delays } = clientOf(t, broker)
  await client.open()
  for (let round = 0; round < 20; round++) {
    const replaceWith = Array.from({ length: 200 }, (_, i) => `tcp://b${round}-${i}:1`)
    const goaway = JSON.stringify({ goaway: { deadlineMs: 1e300, replaceWith } })
    for (const end of broker.ends) {
      end.peer.write(
        renderMetadataPush(renderComposite([{ mime: EVENT_MIME, content: Buffer.from(goaway) }])),
      )
    }
    await settled()
  }
  assert.ok(client.status().links.length <= 8, `${client.status().links.length} links`)
  assert.ok(Math.max(...delays) <= 2 * 3_600_000, `a timer of ${Math.max(...delays)} ms`)
})

test('after it has closed nothing is offered, asked or waited for', async (t) => {
  const broker = new FakeBroker()
  const { client, clock } = clientOf(t, broker, { waitForLinkMs: 60_000 })
  await client.open()
  broker.isThere = false
  broker.ends[0]?.cut()
  await settled()
  const failed = assert.rejects(client.requestResponse('s', 'm'), /the client is closed/)
  const closed = client.close(1_000)
  for (let i = 0; i < 110; i++) {
    clock.advance(10)
    await settled()
  }
  await closed
  await failed
  await assert.rejects(client.handle('s', {}), /the client is closed/)
  await assert.rejects(client.requestResponse('s', 'm'), /the client is closed/)
})

test('a REJECTED that a handler hears from others is none of its own: nobody runs it again for that', async (t) => {
  const broker = await openBroker(t)
  let runs = 0
  const failures: unknown[] = []
  const server = await openClient(t, [broker], {
    onHandlerError: (error) => void failures.push(error),
    services: {
      s: {
        outer: async () => {
          runs++
          return (await server.requestResponse('nobody', 'm')).text()
        },
      },
    },
  })
  const client = await openClient(t, [broker])
  await assert.rejects(
    client.requestResponse('s', 'outer'),
    (error) =>
      error instanceof RSocketError && error.codeName === 'APPLICATION_ERROR' && !error.retrySafe,
  )
  assert.equal(runs, 1)
  assert.match(String(failures[0]), /WEFT-404 nobody offers nobody/)
})

test('a handler whose items wait for an event ends when its caller leaves', async (t) => {
  const broker = await openBroker(t)
  const emitter = new EventEmitter()
  const server = await openClient(t, [broker], {
    services: { s: { events: () => on(emitter, 'tick') } },
  })
  const client = await openClient(t, [broker])
  const stream = client.requestStream('s', 'events')
  const first = stream.next()
  await eventually(() => assert.equal(emitter.listenerCount('tick'), 1))
  emitter.emit('tick', 1)
  assert.deepEqual((await first).value?.json(), [1])
  await stream.return()
  await eventually(() => assert.equal(emitter.listenerCount('tick'), 0))
  await eventually(() => assert.equal(server.status().serving, 0))
})

test('a channel: a source that hangs is not waited for, and no half stays open', async (t) => {
  const broker = new FakeBroker()
  const { client } = clientOf(t, broker)
  await client.open()
  let isTold = false
  const hanging: AsyncIterable<string> = {
    [Symbol.asyncIterator]: () => ({
      next: () => new Promise(() => {}),
      return: () => {
        isTold = true
        return new Promise(() => {})
      },
    }),
  }
  const abort = new AbortController()
  const asked = client.requestChannel('s', 'm', hanging, { signal: abort.signal }).next()
  await settled()
  abort.abort(new Error('enough'))
  await assert.rejects(asked, /enough/)
  assert.equal(isTold, true)
  assert.equal(client.status().calling, 0)
  // It answers to the end and leaves the half of the caller open.
  broker.onRequest = (stream) => {
    stream.handler = { onItem() {}, onComplete() {}, onError() {}, onRequestN() {}, onCancel() {} }
    stream.next({ data: Buffer.from('only') }, true)
  }
  const source = async function* () {
    yield 'first'
    await new Promise(() => {})
  }
  const channel = client.requestChannel('s', 'm', source())
  assert.equal((await channel.next()).value?.text(), 'only')
  const end = broker.ends[0]?.peer
  assert.equal(end?.openStreams, 1)
  void channel.next()
  await settled()
  assert.equal(end?.openStreams, 0)
})

test('what cannot be offered is said at once', async (t) => {
  const broker = new FakeBroker()
  const { client } = clientOf(t, broker)
  await client.open()
  await assert.rejects(client.handle('', {}), /its name must be a text/)
  await assert.rejects(client.handle('s', [] as never), /its methods must be/)
  await assert.rejects(client.handle('s', { m: 7 } as never), /m must be a function, got number/)
  const brokers = 'tcp://b:1'
  await assert.rejects(connect({ brokers, services: { s: { m: 'x' } } } as never), TypeError)
  await assert.rejects(connect(undefined as never), /give options/)
})

test('a broker that refuses for good says why with its number; one that is full is asked again', async (t) => {
  const broker = new FakeBroker()
  broker.refusal = 'WEFT-401 no token'
  await assert.rejects(
    clientOf(t, broker).client.open(),
    (error) => error instanceof RSocketError && error.codeName === 'DENIED' && error.status === 401,
  )
  broker.refusal = 'WEFT-503 the broker takes no more connections now'
  const { client, clock } = clientOf(t, broker)
  const opened = client.open()
  await settled()
  broker.refusal = undefined
  clock.advance(1_000)
  await opened
  assert.equal(client.status().links[0]?.isUp, true)
})

test('time that is over while a call waits: nobody has processed it; behind a lost link, somebody may have', async (t) => {
  const broker = new FakeBroker()
  const { client, clock } = clientOf(t, broker)
  await client.open()
  const hello = broker.onRequest
  broker.onRequest = () => {}
  const options = { timeoutMs: 500, idempotent: true }
  const lost = assert.rejects(
    client.requestResponse('s', 'm', '', options),
    (error) => error instanceof RSocketError && error.status === 504 && !error.retrySafe,
  )
  await settled()
  broker.isThere = false
  broker.ends[0]?.cut()
  await settled()
  const unsent = assert.rejects(
    client.requestResponse('s', 'm', '', options),
    (error) => error instanceof RSocketError && error.status === 504 && error.retrySafe,
  )
  await settled()
  clock.advance(500)
  await Promise.all([lost, unsent])
  broker.onRequest = hello
})

test('answers for a broker that does not read wait, and are under way so long', async (t) => {
  const broker = new FakeBroker()
  let isStuck = false
  let room = () => {}
  const { dial } = broker
  broker.dial = (handler) => {
    const carrier = dial(handler)
    const outgoing = new OutgoingFrames({
      schedule: queueMicrotask,
      send(frames) {
        for (const frame of frames) carrier.outgoing.write(frame)
        return !isStuck
      },
    })
    room = () => {
      isStuck = false
      outgoing.onRoom()
    }
    return { ...carrier, outgoing }
  }
  const answer = new Uint8Array(400_000)
  const { client } = clientOf(t, broker, { services: { s: { large: () => answer } } })
  await client.open()
  isStuck = true
  let answers = 0
  const ask = () =>
    broker.ends[0]?.peer.request(
      'rr',
      { data: Buffer.alloc(0), metadata: renderCall('s', 'large', {}) },
      { onItem: () => answers++, onComplete() {}, onError() {}, onRequestN() {}, onCancel() {} },
    )
  for (let i = 0; i < 20; i++) ask()
  await settled()
  for (let i = 0; i < 20; i++) ask()
  await settled()
  const { serving } = client.status()
  assert.ok(serving >= 30, `only ${serving} of 40 are under way, and nothing is read`)
  room()
  await settled()
  await settled()
  assert.equal(answers, 40)
  assert.equal(client.status().serving, 0)
})
