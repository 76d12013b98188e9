/** What filters see and change: the four interactions, both directions, at once and later. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventually, seededRandom } from '@weft/testkit'
import {
  HTTP_ENTRY_MIME,
  type RSocketPayload,
  readComposite,
  readHttpRequest,
  readRoutingTags,
  renderComposite,
  renderHttpRequest,
} from '@weft/wire'
import { echo, routed, SILENT } from '../broker-fixture.ts'
import type { BrokerFilter } from './filter.ts'
import {
  both,
  openFilteredBroker,
  repeat,
  talk,
  teller,
  text,
  upperCase,
} from './filter-fixture.ts'

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
  const responder = await dial({ services: ['new.shop'], features: ['http'] })
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

test('property: whatever filters think about for how long, items keep their order and none is lost', async () => {
  const random = seededRandom(7)
  const upTo = (most: number) => Math.floor(random() * (most + 1))
  const slow = (name: string): BrokerFilter => ({
    name,
    needs: both,
    create: () => ({
      onRequest: () => maybeLater(undefined),
      onItem: (item) => maybeLater(random() < 0.5 ? undefined : { replace: { data: item.data } }),
    }),
  })
  async function later<T>(value: T): Promise<T> {
    for (let turns = upTo(3); turns > 0; turns--)
      await new Promise((resolve) => setImmediate(resolve))
    return value
  }
  const maybeLater = <T>(value: T): T | Promise<T> => (random() < 0.5 ? value : later(value))
  const { broker, dial, loaded } = await openFilteredBroker([slow('a'), slow('b')])
  const size = () => (random() < 0.5 ? {} : { sendFrameBytes: 64 + upTo(200) })
  for (let round = 0; round < 12; round++) {
    const service = `s${round}`
    const responder = await dial({ services: [service], ...size() })
    const requester = await dial(size())
    const items = Array.from({ length: upTo(60) + 1 }, (_, at) => `${at} ${'x'.repeat(upTo(400))}`)
    responder.answer = (stream) => {
      let sent = 0
      const send = () => {
        while (stream.credit > 0 && sent < items.length && !stream.closed) {
          stream.next({ data: Buffer.from(items[sent++] ?? '') }, sent === items.length)
        }
      }
      stream.handler = { ...SILENT, onRequestN: send }
      if (stream.interaction === 'stream') send()
      else repeat(stream)
    }
    const streams = Array.from({ length: 3 }, () =>
      requester.ask('stream', routed(`${service}.m`, 'q'.repeat(upTo(300)))),
    )
    const channels = Array.from({ length: 2 }, () =>
      talk(requester, routed(`${service}.m`, 'q'.repeat(upTo(300))), items),
    )
    for (const heard of await Promise.all([...streams, ...channels])) {
      assert.deepEqual(heard, items)
    }
    responder.close()
    requester.close()
  }
  await eventually(() =>
    assert.deepEqual(
      loaded.map(({ streams }) => streams),
      [0, 0],
    ),
  )
  assert.equal(broker.openStreams, 0)
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
