import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LENGTH_PREFIX_BYTES, renderKeepalive } from '@weft/wire'
import { type Carrier, type CarrierHandler, OutgoingFrames } from './carrier.ts'
import { FakeBroker, fakeLink, settled } from './link-fixture.ts'

test('it is up when the broker has answered, not when it is connected', async () => {
  const broker = new FakeBroker()
  broker.answers = false
  const { link, clock, states } = fakeLink(broker)
  link.open()
  await settled()
  assert.equal(broker.ends.length, 1)
  assert.equal(link.peer, undefined)
  clock.advance(5_000)
  await settled()
  assert.match(link.problem ?? '', /no answer in 5000 ms/)
  assert.deepEqual(states, [])
  broker.answers = true
  clock.advance(100)
  await settled()
  assert.ok(link.peer)
  assert.deepEqual(states, [true])
})

test('it dials for ever, less and less often, and at random times', async () => {
  const broker = new FakeBroker()
  broker.isThere = false
  const { link, clock } = fakeLink(broker)
  const gaps: number[] = []
  link.open()
  await settled()
  for (let attempt = 0, sinceMs = 0; attempt < 12; sinceMs = 0, attempt++) {
    const { dials } = broker
    while (broker.dials === dials) {
      clock.advance(1)
      sinceMs++
    }
    gaps.push(sinceMs)
    await settled()
  }
  assert.deepEqual(gaps.slice(0, 7), [50, 100, 200, 400, 800, 1_600, 3_200])
  assert.ok(gaps.slice(7).every((gap) => gap === 5_000))
  const jittered = fakeLink(broker, {}, { random: () => 0.1 })
  jittered.link.open()
  await settled()
  const { dials } = broker
  jittered.clock.advance(5)
  assert.equal(broker.dials, dials + 1, 'full jitter: a tenth of 50 ms')
  link.close()
  assert.equal(clock.pending, 0)
})

test('a broker that lets in and cuts at once is not stormed', async () => {
  const broker = new FakeBroker()
  const { link, clock } = fakeLink(broker)
  link.open()
  await settled()
  for (let second = 0; second < 60; second++) {
    for (let step = 0; step < 20; step++) {
      broker.ends.at(-1)?.cut()
      clock.advance(50)
      await settled()
    }
  }
  assert.ok(broker.dials < 25, `${broker.dials} connections in a minute`)
  // One that lasts makes the next delay short again.
  clock.advance(5_000)
  await settled()
  clock.advance(5_000)
  broker.ends.at(-1)?.cut()
  const { dials } = broker
  clock.advance(50)
  assert.equal(broker.dials, dials + 1)
})

test('silence for the lifetime ends a link, an answer to keepalives does not', async () => {
  const broker = new FakeBroker()
  const { link, clock, states } = fakeLink(broker, { keepaliveMs: 1_000, maxLifetimeMs: 3_500 })
  link.open()
  await settled()
  for (let second = 0; second < 10; second++) {
    clock.advance(1_000)
    await settled()
  }
  assert.equal(broker.ends[0]?.keepalives, 10)
  assert.deepEqual(states, [true])
  broker.answers = false
  clock.advance(3_400)
  await settled()
  assert.deepEqual(states, [true])
  clock.advance(200)
  await settled()
  assert.deepEqual(states, [true, false])
  assert.match(link.problem ?? '', /nothing was heard for 3500 ms/)
})

test('a refusal is kept, and asked about again later', async () => {
  const broker = new FakeBroker()
  broker.refusal = 'WEFT-401 no token'
  const { link, clock } = fakeLink(broker)
  link.open()
  await settled()
  assert.deepEqual(link.refusal, { code: 0x003, message: 'WEFT-401 no token' })
  assert.equal(link.problem, 'WEFT-401 no token')
  broker.refusal = undefined
  clock.advance(50)
  await settled()
  assert.ok(link.peer)
  assert.equal(link.refusal, undefined)
})

test('with leases nothing is asked before the broker leased, and no more than that', async () => {
  const broker = new FakeBroker()
  let asked = 0
  const answer = broker.onRequest
  broker.onRequest = (stream, payload) => {
    asked++
    answer(stream, payload)
  }
  const { link, clock } = fakeLink(
    broker,
    { leases: true },
    { onIntroduced: () => link.lease({ requests: 7, ttlMs: 1_000 }) },
  )
  link.open()
  await settled()
  assert.equal(broker.ends[0]?.setup?.lease, true)
  assert.deepEqual(broker.ends[0]?.leases, [7])
  assert.equal(asked, 0, 'not even hello')
  broker.ends[0]?.lease(2)
  await settled()
  assert.equal(asked, 1)
  assert.equal(link.mayAsk, true)
  link.takePermit()
  link.takePermit()
  assert.equal(link.mayAsk, false)
  broker.ends[0]?.lease(1)
  assert.equal(link.mayAsk, true)
  clock.advance(60_001)
  assert.equal(link.mayAsk, false, 'a lease has its time')
  link.close()
})

test('a token that cannot be had is a problem of this attempt, not of the next', async () => {
  const broker = new FakeBroker()
  let tries = 0
  const { link, clock } = fakeLink(broker, {
    token: async () => {
      if (++tries === 1) throw new Error('the vault is closed')
      return 'jwt'
    },
  })
  link.open()
  await settled()
  assert.equal(link.problem, 'the vault is closed')
  clock.advance(50)
  await settled()
  assert.ok(link.peer)
})

test('a broker that does not read: closing ends after a second, and calls under way with it', async () => {
  const broker = new FakeBroker()
  let destroyed = 0
  const dial = (handler: CarrierHandler): Carrier => {
    const carrier = broker.dial(handler)
    const destroy = () => {
      destroyed++
      carrier.destroy()
    }
    return { outgoing: carrier.outgoing, end() {}, destroy }
  }
  const { link, clock } = fakeLink(broker, { dial })
  link.open()
  await settled()
  broker.answers = false
  const ends: string[] = []
  link.peer?.request('rr', { data: new Uint8Array(0) }, recording(ends))
  link.close()
  link.close()
  clock.advance(999)
  assert.deepEqual([destroyed, ends.length], [0, 0])
  clock.advance(1)
  assert.equal(destroyed, 1)
  assert.match(ends.join(), /the connection to the broker is lost/)
  assert.equal(clock.pending, 0)
})

test('a broker that floods with what has to be answered, and reads nothing, is cut', async () => {
  const broker = new FakeBroker()
  let destroyed = 0
  let handed: CarrierHandler | undefined
  let isStuck = false
  const dial = (handler: CarrierHandler): Carrier => {
    handed = handler
    const carrier = broker.dial(handler)
    const outgoing = new OutgoingFrames({
      schedule: queueMicrotask,
      send(frames) {
        for (const frame of frames) carrier.outgoing.write(frame)
        return !isStuck
      },
    })
    const destroy = () => {
      destroyed++
      carrier.destroy()
    }
    return { outgoing, end: destroy, destroy }
  }
  const { link } = fakeLink(broker, { dial })
  link.open()
  await settled()
  assert.ok(link.peer)
  const keepalive = renderKeepalive(true, 0, new Uint8Array(100_000))
  const flood = (times: number) => {
    for (let i = 0; i < times && destroyed === 0; i++) {
      handed?.onFrame(keepalive, LENGTH_PREFIX_BYTES, keepalive.length)
    }
  }
  for (let i = 0; i < 100; i++) {
    flood(10)
    await settled()
  }
  assert.equal(destroyed, 0, 'whoever reads may ask')
  isStuck = true
  flood(1)
  await settled()
  const sent = link.carrier?.outgoing.taken ?? 0
  flood(1_000)
  assert.equal(destroyed, 1)
  assert.ok(sent > 0)
  assert.match(link.problem ?? '', /does not read/)
})

test('what it waits for while it comes up is said', async () => {
  const broker = new FakeBroker()
  const { link, clock } = fakeLink(broker, { token: () => new Promise<string>(() => {}) })
  link.open()
  await settled()
  clock.advance(5_000)
  assert.match(link.problem ?? '', /no token/)
  const leased = fakeLink(broker, { leases: true })
  leased.link.open()
  await settled()
  leased.clock.advance(5_000)
  assert.match(leased.link.problem ?? '', /no lease/)
})

function recording(ends: string[]) {
  return {
    onItem() {},
    onComplete() {},
    onError: (_code: number, message: string) => void ends.push(message),
    onRequestN() {},
    onCancel() {},
  }
}
