import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMemoryTransport } from '@weft/net'
import { eventually } from '@weft/testkit'
import { RSOCKET_ERROR, renderLease, renderMetadataPush, renderSetup } from '@weft/wire'
import {
  echo,
  type Fixture,
  openBroker,
  routed,
  SILENT,
  setupOf,
  TestClient,
} from './broker-fixture.ts'
import type { Hello } from './hello.ts'
import type { Leg } from './leg.ts'

test('the four interactions through the broker, in every cut of the bytes', async () => {
  for (const cutBytes of [1, 7, 65_536]) {
    const { broker, dial } = await openBroker(
      {},
      { transport: createMemoryTransport({ cutBytes }) },
    )
    const responder = await dial({ services: ['com.acme.Cart'] })
    const requester = await dial()
    const told: string[] = []
    responder.answer = (stream, payload) => {
      told.push(`${stream.interaction} ${Buffer.from(payload.data)}`)
      echo(3)(stream, payload)
    }
    assert.deepEqual(await requester.ask('rr', routed('com.acme.Cart.add', 'x')), ['x'])
    assert.deepEqual(await requester.ask('stream', routed('com.acme.Cart.all', 'y')), [
      'y',
      'y',
      'y',
    ])
    requester.peer.request('fnf', routed('com.acme.Cart.tell', 'z'), SILENT)
    await eventually(() => assert.deepEqual(told, ['rr x', 'stream y', 'fnf z']))
    assert.equal(broker.openStreams, 0)
    broker.close()
  }
})

test('a channel carries items both ways and ends in halves', async () => {
  const { broker, dial } = await openBroker()
  const responder = await dial({ services: ['chat'] })
  responder.answer = echo()
  const requester = await dial()
  const items: string[] = []
  const stream = requester.peer.request('channel', routed('chat.talk', '0'), {
    ...SILENT,
    onItem: (item, complete) => items.push(`${Buffer.from(item.data)}${complete ? ' end' : ''}`),
    onRequestN: () => {
      if (stream.credit >= 2 && stream.maySend) {
        stream.next({ data: Buffer.from('1') })
        stream.next({ data: Buffer.from('2') }, true)
      }
    },
  })
  await eventually(() => assert.deepEqual(items, ['1', '2 end']))
  await eventually(() => assert.equal(broker.openStreams, 0))
  broker.close()
})

test('fragments pass, also when the metadata itself is spread over them', async () => {
  const { broker, dial } = await openBroker()
  const responder = await dial({ services: ['a.Large'], sendFrameBytes: 100 })
  responder.answer = echo()
  const requester = await dial({ sendFrameBytes: 64 })
  const tags = [`k=${'v'.repeat(200)}`]
  const data = 'd'.repeat(1000)
  assert.deepEqual(await requester.ask('rr', routed('a.Large.echo', data, tags)), [data])
  assert.deepEqual(await requester.ask('stream', routed('a.Large.echo', data, tags)), [
    data,
    data,
    data,
  ])
  assert.equal(broker.openStreams, 0)
  broker.close()
})

test('nobody offers the service, no route, malformed metadata', async () => {
  const { broker, dial } = await openBroker()
  const requester = await dial()
  assert.deepEqual(await requester.ask('rr', routed('com.acme.Cart.add')), [
    '#202 WEFT-404 nobody offers com.acme.Cart',
  ])
  assert.deepEqual(await requester.ask('rr', { data: Buffer.alloc(0) }), [
    '#204 the request has no routing metadata',
  ])
  assert.deepEqual(
    await requester.ask('rr', { data: Buffer.alloc(0), metadata: Buffer.of(0xfe, 0, 0, 9) }),
    ['#204 the composite metadata ends within an entry'],
  )
  assert.equal(requester.fatal, undefined, 'the connection goes on')
  broker.close()
})

test('a request goes to another responder when the first one certainly did not process it', async () => {
  const { broker, dial } = await openBroker({}, { random: () => 0 })
  let asked = 0
  for (const instance of ['one', 'two']) {
    const responder = await dial({ services: ['s'], instance })
    responder.answer = (stream, payload) => {
      if (++asked === 1) stream.fail(RSOCKET_ERROR.rejected, 'busy')
      else stream.next(payload, true)
    }
  }
  const requester = await dial()
  assert.deepEqual(await requester.ask('rr', routed('s.m', 'x')), ['x'])
  assert.equal(broker.counters.retriedRequests, 1)
  broker.close()
})

/** A responder of `s` that answers nothing and counts who gives up. */
async function dialSilent(dial: Fixture['dial']) {
  const responder = await dial({ services: ['s'] })
  let count = 0
  responder.answer = (stream) => {
    stream.handler = { ...SILENT, onCancel: () => void count++ }
  }
  return { responder, cancels: () => count }
}

test('a responder that goes away: what it may have seen is CANCELED, a requester that goes cancels', async () => {
  const { broker, dial } = await openBroker()
  const { responder, cancels } = await dialSilent(dial)
  const requester = await dial()
  const leaving = await dial()
  leaving.peer.request('stream', routed('s.m'), SILENT)
  await eventually(() => assert.equal(responder.peer.openStreams, 1))
  leaving.close()
  await eventually(() => assert.equal(cancels(), 1))
  const answer = requester.ask('rr', routed('s.m'))
  await eventually(() => assert.equal(responder.peer.openStreams, 1))
  responder.close()
  assert.deepEqual(await answer, ['#203 WEFT-504 the responder is gone'])
  assert.equal(broker.openStreams, 0)
  broker.close()
})

test('a timeout that the caller asked for cancels the responder', async () => {
  const { broker, dial } = await openBroker()
  const { cancels } = await dialSilent(dial)
  const requester = await dial()
  assert.deepEqual(await requester.ask('rr', routed('s.m', '', ['timeout=30ms'])), [
    '#203 WEFT-504 timeout',
  ])
  await eventually(() => assert.equal(cancels(), 1))
  broker.close()
})

test('a consumer that asks for everything and reads nothing costs a window, and others go on', async () => {
  const { broker, dial } = await openBroker({ limits: { softOutboxBytes: 65_536 } })
  const item = Buffer.alloc(4096, 'i')
  let sent = 0
  const responder = await dial({ services: ['s'] })
  responder.answer = (stream, payload) => {
    if (stream.interaction === 'rr') {
      stream.next(payload, true)
      return
    }
    const send = () => {
      while (stream.credit > 0 && !stream.closed) {
        stream.next({ data: item })
        sent++
      }
    }
    stream.handler = { ...SILENT, onRequestN: send }
    send()
  }
  const stalled = await dial()
  stalled.socket.pause()
  stalled.peer.request('stream', routed('s.all'), SILENT, { initialN: 0x7fff_ffff })
  const busy = await dial()
  for (let round = 0; round < 300; round++) {
    assert.deepEqual(await busy.ask('rr', routed('s.m', 'x')), ['x'])
  }
  assert.ok(sent > 60 && sent < 600, `${sent} items`)
  stalled.socket.resume()
  const before = sent
  await eventually(() => assert.ok(sent > before + 1000, 'goes on when it is read again'))
  stalled.close()
  broker.close()
})

test('more items than asked for end the stream on both sides', async () => {
  const { broker, dial } = await openBroker()
  const responder = await dial({ services: ['s'] })
  let cancels = 0
  responder.answer = (stream) => {
    stream.handler = { ...SILENT, onCancel: () => void cancels++ }
    stream.credit = 10
    for (let count = 0; count < 3; count++) stream.next({ data: Buffer.from(`${count}`) })
  }
  const requester = await dial()
  assert.deepEqual(await requester.ask('stream', routed('s.m'), 2), [
    '0',
    '1',
    '#204 more items than asked for',
  ])
  await eventually(() => assert.equal(cancels, 1))
  broker.close()
})

test('the newest connection of a link wins; other links of the instance stay', async () => {
  const { broker, dial } = await openBroker()
  const old = await dial({ services: ['s'], instance: 'i', link: 0 })
  const other = await dial({ services: ['s'], instance: 'i', link: 1 })
  const fresh = await dial({ services: ['s'], instance: 'i', link: 0 })
  await eventually(() => assert.ok(old.closed))
  assert.equal(broker.registry.legs.length, 2)
  assert.ok(!other.closed && !fresh.closed)
  fresh.close()
  await eventually(() => assert.equal(broker.registry.legs.length, 1))
  broker.close()
})

test('nobody ends a connection by saying that it is the same instance with another identity', async () => {
  const authenticate = async (_leg: Leg, { credentials }: Hello) => ({
    principal: credentials?.type === 'bearer' ? credentials.token : undefined,
    claims: undefined,
  })
  const { broker, dial } = await openBroker({}, { authenticate })
  const victim = { services: ['s'], instance: 'i', token: 'spiffe://t/ns/shop/sa/cart' }
  const old = await dial(victim)
  await dial({ ...victim, token: 'spiffe://t/ns/evil/sa/eve' })
  await dial({ ...victim, token: '' })
  assert.equal(broker.registry.legs.length, 3)
  assert.ok(!old.closed)
  await dial(victim)
  await eventually(() => assert.ok(old.closed))
  assert.equal(broker.registry.legs.length, 3)
  broker.close()
})

test('leases are honoured: nobody gets a request that it did not lease', async () => {
  const { broker, dial } = await openBroker()
  const responder = await dial({ services: ['s'], lease: true })
  responder.answer = echo()
  const requester = await dial()
  const none = ['#202 WEFT-503 no responder can take the request']
  assert.deepEqual(await requester.ask('rr', routed('s.m', 'x')), none)
  responder.write(renderLease({ ttlMs: 60_000, requests: 2 }))
  await eventually(async () =>
    assert.deepEqual(await requester.ask('rr', routed('s.m', 'x')), ['x']),
  )
  assert.deepEqual(await requester.ask('rr', routed('s.m', 'x')), ['x'])
  assert.deepEqual(await requester.ask('rr', routed('s.m', 'x')), none)
  broker.close()
})

test('refused: a wrong first frame, resumption, a keepalive of 0, whoever does not authenticate', async () => {
  const { broker, transport, address } = await openBroker(
    {},
    {
      authenticate: async (_leg, hello) =>
        hello.instance?.app === 'bad' ? 'not you' : { principal: undefined, claims: undefined },
    },
  )
  const cases = [
    [renderMetadataPush(Buffer.alloc(3)), 1, 'the first frame must be SETUP'],
    [
      renderSetup({ ...setupOf({}), resumeToken: Buffer.from('t') }),
      3,
      'resumption is not supported',
    ],
    [renderSetup({ ...setupOf({}), keepaliveMs: 0 }), 1, 'the keepalive interval must be > 0'],
    [renderSetup(setupOf({ app: 'bad' })), 3, 'not you'],
  ] as const
  for (const [frame, code, message] of cases) {
    const client = new TestClient(transport, address)
    client.write(Buffer.from(frame))
    await eventually(() => assert.ok(client.closed))
    assert.deepEqual(client.fatal, { code, message })
  }
  assert.equal(broker.connections, 0)
  broker.close()
})

test('ids of ours wrap and skip those in use', async () => {
  const { broker, dial } = await openBroker()
  const responder = await dial({ services: ['s'] })
  responder.answer = echo()
  const requester = await dial()
  const [leg] = broker.registry.legs.filter((each) => each.facts.instance?.services.length === 1)
  leg?.beginIdsAt(0x7fff_fffe - 8)
  for (let count = 0; count < 12; count++) {
    assert.deepEqual(await requester.ask('rr', routed('s.m', `${count}`)), [`${count}`])
  }
  broker.close()
})

test('a drain waits for what is open, refuses what is new, and loses nothing', async () => {
  const { broker, dial } = await openBroker()
  const responder = await dial({ services: ['s'] })
  let finish = () => {}
  responder.answer = (stream, payload) => {
    finish = () => stream.next(payload, true)
  }
  const requester = await dial()
  const answer = requester.ask('rr', routed('s.m', 'kept'))
  await eventually(() => assert.equal(responder.peer.openStreams, 1))
  const drained = broker.drain({ deadlineMs: 10_000 })
  assert.deepEqual(await requester.ask('rr', routed('s.m', 'new')), ['#202 WEFT-503 draining'])
  finish()
  assert.deepEqual(await answer, ['kept'])
  await drained
  await eventually(() => assert.ok(requester.closed && responder.closed))
})
