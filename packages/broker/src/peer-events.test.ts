import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventually, FakeClock } from '@weft/testkit'
import {
  EVENT_MIME,
  FRAME_FLAG,
  FRAME_TYPE,
  HELLO_MIME,
  readComposite,
  renderComposite,
  renderMetadataPush,
  renderSetup,
} from '@weft/wire'
import { setupOf } from './broker-fixture.ts'
import { openRawBroker, plainSetup, type RawBroker, type RawPeer } from './raw-fixture.ts'

const { complete: C, next: N } = FRAME_FLAG

/** A peer of ours that takes events. */
async function eventPeer(raw: RawBroker, instance: string, services: string[] = []) {
  const peer = await raw.silent()
  const hello = {
    ...{ v: 1, instance, app: 'app', features: ['mpush', 'goaway'] },
    services: services.map((name) => ({ name })),
  }
  const content = Buffer.from(JSON.stringify(hello))
  const payload = {
    data: Buffer.alloc(0),
    metadata: renderComposite([{ mime: HELLO_MIME, content }]),
  }
  peer.send(renderSetup(plainSetup({ payload })))
  await peer.settled()
  return peer
}

function say(peer: RawPeer, event: object): void {
  const content = Buffer.from(JSON.stringify(event))
  peer.send(renderMetadataPush(renderComposite([{ mime: EVENT_MIME, content }])))
}

/** The events that came since the last call. */
function eventsOf(peer: RawPeer): unknown[] {
  const frames = peer.frames.filter(
    (frame) => frame.readUInt16BE(4) >>> 10 === FRAME_TYPE.metadataPush,
  )
  peer.take()
  return frames.map((frame) => {
    const entry = readComposite(frame.subarray(6))?.find(({ mime }) => mime === EVENT_MIME)
    return JSON.parse(String(entry?.content))
  })
}

test('who takes events is welcomed, and its services come and go with an ack each time', async () => {
  const raw = await openRawBroker()
  const peer = await eventPeer(raw, 'i', ['one'])
  const [welcome] = eventsOf(peer) as { welcome?: { broker: string } }[]
  assert.equal(welcome?.welcome?.broker, 'raw')
  const change = { services: { add: [{ name: 'two' }], remove: [{ name: 'one' }], seq: 1 } }
  say(peer, change)
  say(peer, change)
  await peer.settled()
  assert.deepEqual(eventsOf(peer), [{ ack: { seq: 1 } }, { ack: { seq: 1 } }], 'each is answered')
  assert.equal(raw.broker.registry.find('one').length, 0)
  assert.equal(raw.broker.registry.find('two').length, 1)
  const asker = await raw.peer()
  asker.ask(1, 'two.m', 'q')
  await asker.settled()
  await peer.settled()
  assert.deepEqual(peer.take(), ['2 requestResponse q'])
  raw.broker.close()
})

test('an instance that drains gets nothing new, keeps what it has, and may come back', async () => {
  const raw = await openRawBroker()
  const peer = await eventPeer(raw, 'i', ['s'])
  const asker = await raw.peer()
  peer.take()
  asker.ask(1, 's.m', 'kept')
  await asker.settled()
  say(peer, { status: 'draining' })
  await peer.settled()
  asker.ask(3, 's.m')
  await asker.settled()
  assert.deepEqual(asker.take(), ['3 error 202 WEFT-503 no responder can take the request'])
  peer.item(2, N | C, 'answer')
  say(peer, { status: 'serving' })
  await peer.settled()
  asker.ask(5, 's.m', 'again')
  await asker.settled()
  await peer.settled()
  assert.deepEqual(asker.take(), ['1 payload CN answer'])
  assert.deepEqual(peer.take(), ['2 requestResponse kept', '4 requestResponse again'])
  raw.broker.close()
})

test('events that are none, or too many of them', async () => {
  const raw = await openRawBroker({ limits: { maxPushesPerSecond: 20 } })
  const peer = await eventPeer(raw, 'i', ['s'])
  peer.take()
  peer.send(renderMetadataPush(Buffer.from([0xff])), renderMetadataPush(Buffer.alloc(0)))
  say(peer, { services: 'no' })
  say(peer, { services: { add: [{ name: 7 }, null], seq: 'x' } })
  say(peer, { unknown: true })
  await peer.settled()
  assert.deepEqual(peer.take(), [])
  assert.equal(raw.broker.registry.find('s').length, 1)
  for (let count = 0; count < 30; count++) say(peer, { status: 'serving' })
  await eventually(() => assert.ok(peer.closed))
  assert.equal(peer.heard.at(-1), '0 error 101 too many METADATA_PUSH frames')
  assert.equal(raw.broker.counters.pushFloods, 1)
  raw.broker.close()
})

test('trap 2, trap 3: a drain and a change of brokers tell only who takes events, and nobody hears CONNECTION_CLOSE', async () => {
  const raw = await openRawBroker()
  const told = await eventPeer(raw, 'told', ['s'])
  const foreign = await raw.peer({ services: ['f'] })
  const asker = await raw.peer()
  told.take()
  raw.broker.announceBrokers(['tcp://a:1'])
  await told.settled()
  assert.deepEqual(eventsOf(told), [{ brokers: { uris: ['tcp://a:1'] } }])
  asker.ask(1, 's.m')
  await asker.settled()
  const drained = raw.broker.drain({ deadlineMs: 10_000, replaceWith: ['tcp://b:2'] })
  await told.settled()
  assert.deepEqual(eventsOf(told), [{ goaway: { deadlineMs: 10_000, replaceWith: ['tcp://b:2'] } }])
  told.item(2, N | C, 'answer')
  await drained
  await eventually(() => assert.ok(asker.closed && foreign.closed))
  assert.deepEqual(asker.take(), ['1 payload CN answer'])
  assert.deepEqual(foreign.take(), [])
})

test('a drain takes leases back, serves on during its grace, and ends what outlives its deadline', async () => {
  const clock = new FakeClock()
  const raw = await openRawBroker({}, { clock })
  const leased = await raw.silent()
  leased.send(renderSetup({ ...setupOf({}), lease: true }))
  const answerer = await raw.peer({ services: ['s'] })
  await leased.settled()
  leased.ask(1, 's.m', 'before')
  await leased.settled()
  const drained = raw.broker.drain({ deadlineMs: 1_000, graceMs: 500 })
  await eventually(() => assert.deepEqual(leased.heard, ['0 lease 16384', '0 lease 0']))
  leased.ask(3, 's.m', 'within the grace')
  await leased.settled()
  await answerer.settled()
  assert.deepEqual(answerer.take(), [
    '2 requestResponse before',
    '4 requestResponse within the grace',
  ])
  clock.advance(500)
  await eventually(async () => {
    leased.ask(5, 's.m')
    await leased.settled()
    assert.ok(leased.heard.includes('5 error 202 WEFT-503 draining'))
  })
  leased.take()
  for (let step = 0; step < 100 && !leased.closed; step++) {
    clock.advance(20)
    await new Promise<void>((resolve) => setImmediate(resolve))
  }
  await drained
  await eventually(() => assert.ok(leased.closed))
  assert.deepEqual(leased.take(), [
    '1 error 203 WEFT-GOAWAY the broker goes',
    '3 error 203 WEFT-GOAWAY the broker goes',
  ])
})

test('trap 14: a peer is dead after its lifetime, not after its keepalive interval', async () => {
  const clock = new FakeClock()
  const raw = await openRawBroker({}, { clock })
  const peer = await raw.silent()
  peer.send(renderSetup(plainSetup({ keepaliveMs: 1_000, maxLifetimeMs: 5_000 })))
  await peer.settled()
  clock.advance(4_000)
  await peer.settled()
  clock.advance(4_900)
  await peer.settled()
  clock.advance(5_100)
  await eventually(() => assert.ok(peer.closed))
  assert.deepEqual(peer.take(), ['0 error 101 no keepalive within the announced lifetime'])
  assert.equal(raw.broker.counters.lifetimesOver, 1)
  raw.broker.close()
})
