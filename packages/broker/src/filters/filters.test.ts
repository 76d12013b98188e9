import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventually } from '@weft/testkit'
import {
  HTTP_ENTRY_MIME,
  type RSocketPayload,
  readComposite,
  readHttpRequest,
  readRoutingTags,
  renderComposite,
  renderHttpRequest,
} from '@weft/wire'
import {
  type Answer,
  echo,
  openBroker,
  routed,
  SILENT,
  type TestClient,
} from '../broker-fixture.ts'
import type { BrokerFilter, FilterItem, StreamEnd } from './filter.ts'
import { openFilteredBroker } from './filter-fixture.ts'

const text = ({ data }: { readonly data: Uint8Array }) => Buffer.from(data).toString()
const both = ['request-items', 'response-items'] as const

function upperCase({ data }: FilterItem) {
  return { replace: { data: Buffer.from(text({ data }).toUpperCase()) } }
}

/** Answers with what it got, and tells the test. */
function teller(told: string[], count = 2): Answer {
  return (stream, payload) => {
    told.push(`${stream.interaction} ${text(payload)}`)
    echo(count)(stream, payload)
  }
}

/** Sends `items` on a channel as credit allows and resolves with what comes back. */
function talk(client: TestClient, first: RSocketPayload, items: readonly string[]) {
  return new Promise<string[]>((resolve) => {
    const heard: string[] = []
    let sent = 0
    const stream = client.peer.request('channel', first, {
      ...SILENT,
      onRequestN: () => {
        while (stream.credit > 0 && sent < items.length && stream.maySend) {
          const item = items[sent++] ?? ''
          stream.next({ data: Buffer.from(item) }, sent === items.length)
        }
      },
      onItem: (item, complete) => {
        heard.push(text(item))
        if (complete) resolve(heard)
      },
      onComplete: () => resolve(heard),
      onError: (code, message) => resolve([...heard, `#${code.toString(16)} ${message}`]),
    })
  })
}

for (const later of [false, true]) {
  const when = later ? 'after a while' : 'at once'
  const wait = <T>(value: T): T | Promise<T> =>
    later ? new Promise((resolve) => setImmediate(resolve, value)) : value

  test(`items of all interactions are changed in both directions, ${when}`, async () => {
    const { broker, dial } = await openFilteredBroker([
      {
        needs: both,
        create: () => ({
          onItem: (item, direction) =>
            wait({
              replace: { data: Buffer.from(`${direction === 'request' ? '>' : '<'}${text(item)}`) },
            }),
        }),
      },
    ])
    const told: string[] = []
    const responder = await dial({ services: ['a.B'] })
    responder.answer = teller(told)
    const requester = await dial()
    assert.deepEqual(await requester.ask('rr', routed('a.B.c', 'x')), ['<>x'])
    assert.deepEqual(await requester.ask('stream', routed('a.B.c', 'y')), ['<>y', '<>y'])
    requester.peer.request('fnf', routed('a.B.c', 'z'), SILENT)
    assert.deepEqual(await talk(requester, routed('a.B.c', '0'), ['1', '2', '3']), [
      '<>1',
      '<>2',
      '<>3',
    ])
    await eventually(() => {
      assert.deepEqual(told, ['rr >x', 'stream >y', 'fnf >z', 'channel >0'])
      assert.equal(broker.openStreams, 0)
    })
    broker.close()
  })

  test(`a request is answered, refused, sent elsewhere and given other data, ${when}`, async () => {
    const filter: BrokerFilter = {
      needs: ['data'],
      create: (_config, { tags }) => ({
        onRequest(request) {
          if (tags.get('do') === 'answer') return wait({ answer: { data: Buffer.from('mine') } })
          if (tags.get('do') === 'refuse') return wait({ refuse: 'no', code: 0x403 })
          request.setRoute('a.Other.c')
          request.setData(Buffer.from(`${Buffer.from(request.data)}!`))
          request.appendEntry('text/plain', Buffer.from('more'))
          return wait(undefined)
        },
      }),
    }
    const { broker, dial } = await openFilteredBroker([filter])
    const responder = await dial({ services: ['a.B'] })
    responder.answer = (stream) => stream.fail(0x201, 'not for me')
    const other = await dial({ services: ['a.Other'] })
    const seen: string[] = []
    other.answer = (stream, payload) => {
      const entries = readComposite(payload.metadata ?? Buffer.alloc(0)) ?? []
      for (const { mime, content } of entries) {
        seen.push(
          mime === 'text/plain' ? text({ data: content }) : (readRoutingTags(content) ?? []).join(),
        )
      }
      echo(1)(stream, payload)
    }
    const requester = await dial()
    for (const interaction of ['rr', 'stream'] as const) {
      assert.deepEqual(await requester.ask(interaction, routed('a.B.c', 'x', ['do=answer'])), [
        'mine',
      ])
      assert.deepEqual(await requester.ask(interaction, routed('a.B.c', 'x', ['do=refuse'])), [
        '#403 no',
      ])
      assert.deepEqual(await requester.ask(interaction, routed('a.B.c', 'x', ['k=v'])), ['x!'])
    }
    assert.deepEqual(seen, ['a.Other.c,k=v', 'more', 'a.Other.c,k=v', 'more'])
    assert.equal(broker.openStreams, 0)
    broker.close()
  })

  test(`fragments are put together for filters that look at data, ${when}`, async () => {
    const { broker, dial } = await openFilteredBroker([
      { needs: [...both, 'data'], create: () => ({ onItem: (item) => wait(upperCase(item)) }) },
    ])
    const responder = await dial({ services: ['a.B'], sendFrameBytes: 100 })
    responder.answer = echo(2)
    const requester = await dial({ sendFrameBytes: 64 })
    const data = 'd'.repeat(1_000)
    const tags = [`k=${'v'.repeat(200)}`]
    const upper = data.toUpperCase()
    assert.deepEqual(await requester.ask('rr', routed('a.B.c', data)), [upper])
    assert.deepEqual(await requester.ask('rr', routed('a.B.c', data, tags)), [upper])
    assert.deepEqual(await requester.ask('stream', routed('a.B.c', data, tags)), [upper, upper])
    assert.deepEqual(await talk(requester, routed('a.B.c', data, tags), [data, 'x']), [upper, 'X'])
    await eventually(() => assert.equal(broker.openStreams, 0))
    broker.close()
  })

  test(`items that are dropped cost the producer nothing, ${when}`, async () => {
    const { broker, dial } = await openFilteredBroker([
      {
        needs: ['response-items'],
        create: () => {
          let count = 0
          return { onItem: () => wait(++count % 2 === 0 ? undefined : ({ drop: true } as const)) }
        },
      },
    ])
    const responder = await dial({ services: ['a.B'] })
    responder.answer = echo(1_000)
    const requester = await dial()
    const items = await requester.ask('stream', routed('a.B.c', 'x'))
    assert.equal(items.length, 500)
    assert.deepEqual(await requester.ask('rr', routed('a.B.c', 'x')), [])
    assert.equal(broker.openStreams, 0)
    broker.close()
  })

  test(`a filter ends a stream in its middle, ${when}`, async () => {
    const { broker, dial } = await openFilteredBroker([
      {
        needs: ['response-items'],
        create: () => {
          let count = 0
          return { onItem: () => wait(++count > 2 ? { refuse: 'enough' } : undefined) }
        },
      },
    ])
    let cancelled = false
    const onCancel = () => {
      cancelled = true
    }
    const responder = await dial({ services: ['a.B'] })
    responder.answer = (stream, payload) => {
      echo(1_000)(stream, payload)
      const { handler } = stream
      if (handler !== undefined) stream.handler = { ...handler, onCancel }
    }
    const requester = await dial()
    const items = await requester.ask('stream', routed('a.B.c', 'x'))
    assert.deepEqual(items, ['x', 'x', '#201 enough'])
    await eventually(() => assert.ok(cancelled))
    assert.equal(broker.openStreams, 0)
    broker.close()
  })

  test(`errors of responders are given other words, ${when}`, async () => {
    const { broker, dial } = await openFilteredBroker([
      {
        create: () => ({
          onError: ({ message }) => wait({ code: 0x301, message: `[${message}]` }),
        }),
      },
    ])
    const responder = await dial({ services: ['a.B'] })
    responder.answer = (stream) => stream.fail(0x201, 'secret')
    const requester = await dial()
    for (const interaction of ['rr', 'stream', 'channel'] as const) {
      assert.deepEqual(await requester.ask(interaction, routed('a.B.c')), ['#301 [secret]'])
    }
    assert.equal(broker.openStreams, 0)
    broker.close()
  })
}

test('heads of HTTP calls are seen and changed, their bodies are items', async () => {
  const http = (head: Parameters<typeof renderHttpRequest>[0], data: string): RSocketPayload => ({
    data: Buffer.from(data),
    metadata: renderComposite([{ mime: HTTP_ENTRY_MIME, content: renderHttpRequest(head) }]),
  })
  const { broker, dial } = await openFilteredBroker([
    {
      match: { services: ['old.shop'] },
      needs: ['request-items'],
      create: (_config, { service }) => ({
        onRequest(request) {
          const { http: head } = request
          assert.equal(service, 'old.shop')
          assert.throws(() => request.setRoute('x'), /setHttp/)
          if (head === undefined) return undefined
          if (head.path === '/no') return { refuse: 'no', code: 0x403 }
          request.setHttp({
            ...head,
            authority: 'new.shop',
            fields: [...head.fields, ['x-by', 'f']],
          })
          return undefined
        },
        onItem: upperCase,
      }),
    },
  ])
  const seen: string[] = []
  const responder = await dial({ services: ['new.shop'] })
  responder.answer = (stream, { metadata, data }) => {
    const [entry] = readComposite(metadata ?? Buffer.alloc(0)) ?? []
    const head = readHttpRequest(entry?.content ?? Buffer.alloc(0))
    seen.push(`${head?.method} ${head?.authority}${head?.path} ${head?.fields.join(';')} ${data}`)
    stream.next({ data: Buffer.from('ok') }, true)
  }
  const requester = await dial()
  const head = {
    method: 'PUT',
    path: '/a',
    authority: 'old.shop:80',
    fields: [['a', 'b']],
  } as const
  assert.deepEqual(await requester.ask('rr', http(head, 'body')), ['ok'])
  assert.deepEqual(seen, ['PUT new.shop/a a,b;x-by,f BODY'])
  assert.deepEqual(await requester.ask('rr', http({ ...head, path: '/no' }, '')), ['#403 no'])
  broker.close()
})

test('fragments of one item are bounded, in bytes and in number', async () => {
  const { broker, dial } = await openFilteredBroker(
    [{ needs: ['response-items'], create: () => ({ onItem: () => undefined }) }],
    { maxParkedBytes: 10_000 },
  )
  const responder = await dial({ services: ['a.B'], sendFrameBytes: 64 })
  const requester = await dial()
  responder.answer = (stream) => stream.next({ data: Buffer.alloc(20_000) }, true)
  assert.deepEqual(await requester.ask('stream', routed('a.B.c')), [
    '#204 an item of more than 10000 bytes in fragments, which filters look at',
  ])
  responder.answer = ({ id }) => {
    for (let i = 0; i < 65; i++) responder.write(Buffer.of(0, 0, 7, 0, 0, 0, id, 0x28, 0xa0, 1))
  }
  assert.deepEqual(await requester.ask('stream', routed('a.B.c')), [
    '#204 fragments that add next to nothing',
  ])
  assert.equal(broker.openStreams, 0)
  broker.close()
})

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
