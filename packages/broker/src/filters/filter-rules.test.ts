/** Order, failures, time limits, ends: what holds for filters whatever they do. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventually, FakeClock } from '@weft/testkit'
import { HTTP_ENTRY_MIME, renderComposite, renderHttpRequest } from '@weft/wire'
import { echo, openBroker, routed, SILENT } from '../broker-fixture.ts'
import type { BrokerFilter, StreamEnd } from './filter.ts'
import { both, loadedOf, openFilteredBroker, text, upperCase } from './filter-fixture.ts'
import { FAILED } from './loaded-filter.ts'

test('requests pass filters in order, answers in reverse', async () => {
  const told: string[] = []
  const named = (name: string): BrokerFilter => ({
    name,
    needs: both,
    create: () => ({
      onRequest: () => void told.push(`${name} request`),
      onItem: (item, direction) => {
        told.push(`${name} ${direction} ${text(item)}`)
        return { replace: { data: Buffer.from(`${text(item)}${name}`) } }
      },
      onComplete: (direction) => void told.push(`${name} ${direction} complete`),
    }),
  })
  const { broker, dial } = await openFilteredBroker([named('a'), named('b')])
  const responder = await dial({ services: ['s'] })
  responder.answer = echo()
  const requester = await dial()
  assert.deepEqual(await requester.ask('rr', routed('s.m', '-')), ['-abba'])
  assert.deepEqual(told, [
    ...['a request', 'b request', 'a request -', 'b request -a'],
    ...['b response -ab', 'a response -abb', 'b response complete', 'a response complete'],
  ])
  broker.close()
})

test('hooks that only look may be async: what they reject with is counted, and ends nothing', async () => {
  const fail = async (): Promise<void> => {
    throw new Error('later')
  }
  const { broker, dial, loaded, setFilters } = await openFilteredBroker([
    {
      needs: both,
      create: () => ({ onComplete: fail, onEnd: fail, onCancel: fail }),
      close: fail,
    },
  ])
  const responder = await dial({ services: ['s'] })
  responder.answer = echo()
  const requester = await dial()
  assert.deepEqual(await requester.ask('rr', routed('s.m', 'x')), ['x'])
  responder.answer = () => {}
  requester.peer.request('stream', routed('s.m'), SILENT).cancel()
  const [one] = loaded
  await eventually(() => assert.equal(one?.health.failures, 4))
  assert.equal(one?.health.lastFailure, 'later')
  setFilters([])
  one?.retire()
  await eventually(() => assert.equal(one?.health.failures, 5))
  broker.close()
})

test('nobody gets past a filter by another way to write the name of its service', async () => {
  const { broker, dial } = await openFilteredBroker([
    {
      match: { services: ['com.acme.Cart', 'reviews'] },
      create: () => ({ onRequest: () => ({ refuse: 'no', code: 0x403 }) }),
    },
  ])
  const responder = await dial({ services: ['com.acme.Cart', 'com.acme.Other'] })
  responder.answer = echo()
  const requester = await dial()
  for (const key of [
    'com.acme.Cart.add',
    'com.acme.Cart',
    'com.acme.Cart.add:',
    'g!com.acme.Cart',
  ]) {
    assert.deepEqual(await requester.ask('rr', routed(key)), ['#403 no'], key)
  }
  for (const authority of ['reviews', 'Reviews:80', 'REVIEWS.']) {
    const head = renderHttpRequest({ method: 'GET', path: '/', authority, fields: [] })
    const metadata = renderComposite([{ mime: HTTP_ENTRY_MIME, content: head }])
    const said = await requester.ask('rr', { data: Buffer.alloc(0), metadata })
    assert.deepEqual(said, ['#403 no'], authority)
  }
  assert.deepEqual(await requester.ask('rr', routed('com.acme.Other.add', 'x')), ['x'])
  broker.close()
})

test('onEnd tells how a stream ended, once', async () => {
  const ends: StreamEnd[] = []
  const cancels: string[] = []
  const { broker, dial, loaded } = await openFilteredBroker([
    {
      create: () => ({
        onEnd: (end) => void ends.push(end),
        onCancel: (direction) => void cancels.push(direction),
      }),
    },
  ])
  const responder = await dial({ services: ['a.B'] })
  responder.answer = echo(3)
  const requester = await dial()
  await requester.ask('stream', routed('a.B.c', 'x'))
  await requester.ask('rr', routed('nobody.has.this'))
  responder.answer = (stream) => stream.fail(0x201, 'no')
  await requester.ask('rr', routed('a.B.c'))
  requester.peer.request('fnf', routed('a.B.c'), SILENT)
  responder.answer = () => {}
  requester.peer.request('stream', routed('a.B.c'), SILENT).cancel()
  await eventually(() => assert.equal(ends.length, 5))
  const shown = ends.map(({ code, isCancelled, responseItems }) => [
    code,
    isCancelled,
    responseItems,
  ])
  assert.deepEqual(shown.slice(0, 4), [
    [0, false, 3],
    [0x202, false, 0],
    [0x201, false, 0],
    [0, false, 0],
  ])
  assert.deepEqual(shown[4], [0x203, true, 0])
  assert.deepEqual(cancels, ['response'])
  assert.equal(loaded[0]?.streams, 0)
  // A connection that goes in the middle ends its streams.
  requester.peer.request('rr', routed('a.B.c'), SILENT)
  await eventually(() => assert.equal(loaded[0]?.streams, 1))
  requester.close()
  await eventually(() => assert.equal(ends.length, 6))
  broker.close()
})

test('a request that goes to another responder passes filters again', async () => {
  const told: string[] = []
  const { broker, dial } = await openFilteredBroker([
    {
      needs: both,
      create: () => ({
        onRequest: () => void told.push('request'),
        onItem: (item) => upperCase(item),
        onError: ({ message }) => void told.push(message),
      }),
    },
  ])
  const refusing = await dial({ services: ['a.B'] })
  refusing.answer = (stream) => stream.fail(0x202, 'not now')
  const answering = await dial({ services: ['a.B'] })
  answering.answer = echo(2)
  const requester = await dial()
  for (let i = 0; i < 10; i++) {
    assert.deepEqual(await requester.ask('rr', routed('a.B.c', 'x')), ['X'])
    assert.deepEqual(await requester.ask('stream', routed('a.B.c', 'x')), ['X', 'X'])
  }
  assert.ok(told.includes('not now'))
  assert.equal(told.filter((each) => each === 'request').length, 20)
  broker.close()
})

test('a filter that throws ends streams, or fails open', async () => {
  const thrower: BrokerFilter = {
    needs: both,
    match: { services: ['bad.*'] },
    create: (_config, { method }) => ({
      onRequest() {
        if (method === 'request') throw new Error('oops')
      },
      onItem(_item, direction) {
        if (method === direction) throw new Error('oops')
        return undefined
      },
    }),
  }
  const closed = await openFilteredBroker([{ ...thrower, name: 'closed' }])
  const responder = await closed.dial({ services: ['bad.S'] })
  responder.answer = echo()
  const requester = await closed.dial()
  assert.deepEqual(await requester.ask('rr', routed('bad.S.request', 'x')), [
    '#202 WEFT-503 the filter closed failed',
  ])
  assert.deepEqual(await requester.ask('rr', routed('bad.S.response', 'x')), [
    '#201 WEFT-500 the filter closed failed',
  ])
  assert.deepEqual(await requester.ask('rr', routed('bad.S.fine', 'x')), ['x'])
  assert.equal(closed.loaded[0]?.health.failures, 2)
  closed.setFilters([{ ...thrower, failStrategy: 'FAIL_OPEN' }])
  assert.deepEqual(await requester.ask('rr', routed('bad.S.request', 'x')), ['x'])
  assert.deepEqual(await requester.ask('rr', routed('bad.S.response', 'x')), ['x'])
  assert.equal(closed.loaded[0]?.health.failures, 3)
  closed.broker.close()
})

test('a filter that fails again and again is left alone', async () => {
  const { broker, dial, loaded } = await openFilteredBroker([
    {
      create: () => ({
        onRequest() {
          throw new Error('oops')
        },
      }),
    },
  ])
  const requester = await dial()
  for (let i = 0; i < 40; i++) await requester.ask('rr', routed('a.B.c'))
  const { health } = loaded[0] ?? assert.fail()
  assert.equal(health.isResting, true)
  // `create` and `onRequest` of each stream are calls.
  assert.equal(health.calls, 20)
  assert.equal(health.bypassed, 60)
  assert.deepEqual(await requester.ask('rr', routed('a.B.c')), [
    '#202 WEFT-503 the filter filter failed',
  ])
  broker.close()
})

test('a filter that does not answer in time is late, and a caller may leave meanwhile', async () => {
  const { broker, dial, loaded } = await openFilteredBroker([
    {
      timeoutMs: 5,
      create: (_config, { method }) => ({
        onRequest: () => (method === 'never' ? new Promise(() => {}) : undefined),
      }),
    },
  ])
  const requester = await dial()
  assert.deepEqual(await requester.ask('rr', routed('a.B.never')), [
    '#202 WEFT-503 the filter filter failed',
  ])
  assert.equal(loaded[0]?.health.timeouts, 1)
  requester.peer.request('stream', routed('a.B.never'), SILENT).cancel()
  await eventually(() => {
    assert.equal(loaded[0]?.health.timeouts, 2)
    assert.equal(loaded[0]?.streams, 0)
  })
  assert.equal(broker.openStreams, 0)
  broker.close()
})

test('a hook that keeps the whole broker waiting is late, too', () => {
  const clock = new FakeClock()
  const loaded = loadedOf({ timeoutMs: 100, create: () => undefined }, clock)
  const slow = (delayMs: number) => () => {
    clock.advance(delayMs)
    return 'said'
  }
  assert.equal(loaded.call(slow(100)), 'said')
  assert.equal(loaded.call(slow(101)), FAILED)
  assert.equal(loaded.health.timeouts, 1)
  assert.equal(loaded.health.lastFailure, 'the whole broker waited 101 ms for it')
})

test('connections are refused', async () => {
  const { broker, dial } = await openFilteredBroker([
    { onConnect: ({ app }) => Promise.resolve(app === 'bad' ? 'not you' : undefined) },
  ])
  const good = await dial({ app: 'good' })
  assert.equal(good.fatal, undefined)
  const bad = await dial({ app: 'bad' })
  assert.deepEqual(bad.fatal, { code: 0x3, message: 'not you' })
  broker.close()
})

test('filters that observe change nothing', async () => {
  const { broker, dial, loaded } = await openFilteredBroker([
    {
      phase: 'observe',
      needs: ['response-items'],
      create: (_config, { method }) => ({
        onRequest: (request) => {
          if (method === 'change') request.setRoute('a.Other.c')
          return { refuse: 'no' }
        },
        onItem: () => ({ drop: true }),
      }),
    },
  ])
  const responder = await dial({ services: ['a.B'] })
  responder.answer = echo()
  const requester = await dial()
  assert.deepEqual(await requester.ask('rr', routed('a.B.c', 'x')), ['x'])
  assert.deepEqual(await requester.ask('rr', routed('a.B.change', 'x')), ['x'])
  assert.equal(loaded[0]?.health.failures, 1)
  broker.close()
})

test('a producer that sends more than was asked for is stopped while a filter thinks', async () => {
  const { broker, dial } = await openFilteredBroker([
    { needs: ['response-items'], create: () => ({ onItem: () => new Promise(() => {}) }) },
  ])
  const responder = await dial({ services: ['a.B'] })
  responder.answer = (stream) => {
    stream.handler = SILENT
    stream.next({ data: Buffer.from('1') })
    // Behind the back of the stream's own count of credit.
    for (let i = 0; i < 10; i++) {
      const frame = Buffer.of(0, 0, 6, 0, 0, 0, stream.id, 0x28, 0x20)
      responder.write(frame)
    }
  }
  const requester = await dial()
  assert.deepEqual(await requester.ask('stream', routed('a.B.c'), 2), [
    '#204 more items than asked for',
  ])
  assert.equal(broker.openStreams, 0)
  broker.close()
})

test('streams end with the filters that they began with; streams without filters are not looked at', async () => {
  const { broker, dial, setFilters, loaded } = await openFilteredBroker([
    { match: { services: ['a.*'] }, needs: both, create: () => ({ onItem: upperCase }) },
  ])
  const [old] = loaded
  const responder = await dial({ services: ['a.B', 'b.C'] })
  const requester = await dial()
  let more = () => {}
  responder.answer = (stream, payload) => {
    stream.handler = SILENT
    stream.next(payload)
    more = () => stream.next(payload, true)
  }
  const items = requester.ask('stream', routed('a.B.c', 'x'))
  await eventually(() => assert.equal(old?.streams, 1))
  setFilters([])
  await requester.ask('rr', routed('weft.broker.hello'))
  more()
  assert.deepEqual(await items, ['X', 'X'])
  assert.equal(old?.streams, 0)
  responder.answer = echo()
  assert.deepEqual(await requester.ask('rr', routed('a.B.c', 'x')), ['x'])
  setFilters([
    { match: { interactions: ['stream'] }, needs: both, create: () => ({ onItem: upperCase }) },
  ])
  assert.deepEqual(await requester.ask('rr', routed('a.B.c', 'x')), ['x'])
  assert.deepEqual(await requester.ask('stream', routed('a.B.c', 'x')), ['X', 'X', 'X'])
  broker.close()
})

test('a broker without filters has no filter anywhere on its way', async () => {
  const { broker, dial } = await openBroker()
  const responder = await dial({ services: ['a.B'] })
  responder.answer = () => {}
  const requester = await dial()
  requester.peer.request('stream', routed('a.B.c'), SILENT)
  await eventually(() => assert.equal(broker.openStreams, 1))
  for (const leg of broker.legs)
    for (const entry of leg.streams.values()) assert.equal(entry.filter, undefined)
  broker.close()
})
