import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  HTTP_ENTRY_MIME,
  type HttpRequestEntry,
  METADATA_ID,
  readComposite,
  readHttpRequest,
  renderComposite,
  renderHttpRequest,
  renderRoutingTags,
} from '@weft/wire'
import { echo, type Fixture, openBroker, routed } from './broker-fixture.ts'
import { openFilteredBroker } from './filters/filter-fixture.ts'
import { attachLocalPeer } from './local-peer.ts'

function message(head: Partial<HttpRequestEntry>) {
  const whole = { method: 'GET', path: '/', authority: 's', fields: [], ...head }
  const metadata = renderComposite([
    { mime: METADATA_ID.routing, content: renderRoutingTags(['s']) },
    { mime: HTTP_ENTRY_MIME, content: renderHttpRequest(whole) },
  ])
  return { data: Buffer.alloc(0), metadata }
}

/** An application of HTTP that answers with the head that it got: path and fields. */
async function dialApplication(dial: Fixture['dial']) {
  const app = await dial({ services: ['s'], features: ['http'] })
  app.answer = (stream, { metadata }) => {
    const entries = readComposite(metadata ?? Buffer.alloc(0)) ?? []
    const content = entries.find(({ mime }) => mime === HTTP_ENTRY_MIME)?.content
    const { path, fields } = readHttpRequest(content ?? Buffer.alloc(0)) ?? { path: '', fields: [] }
    stream.next({ data: Buffer.from(`${path} ${fields.join(' ')}`) }, true)
  }
}

test('a path is judged and handed on in its canonical form', async () => {
  const judged: string[] = []
  const { broker, dial } = await openBroker(
    {},
    {
      router: ({ registry, service }) => ({
        version: 0,
        route(leg, call) {
          const own = service.answer(leg, call)
          if (own !== undefined) return own
          judged.push(call.path)
          const [responder] = registry.find('s')
          return { kind: 'forward', isLasting: true, retries: 0, pick: () => responder }
        },
      }),
    },
  )
  await dialApplication(dial)
  const caller = await dial()
  for (const path of ['/public/../admin', '/%61dmin', '/./admin', '/admin']) {
    assert.deepEqual(await caller.ask('rr', message({ path })), ['/admin '])
    assert.deepEqual(await caller.ask('rr', message({ path })), ['/admin '], 'the kept verdict')
  }
  assert.deepEqual(new Set(judged), new Set(['/admin']))
  assert.deepEqual(await caller.ask('rr', message({ path: '/a%2fb?c=/../d' })), ['/a%2Fb?c=/../d '])
  broker.close()
})

test('a filter that changes something else does not bring the path back as it came', async () => {
  const { broker, dial } = await openFilteredBroker([
    {
      create: () => ({
        onRequest(request) {
          request.appendEntry('x/y', Buffer.from('z'))
          return undefined
        },
      }),
    },
  ])
  await dialApplication(dial)
  const caller = await dial()
  assert.deepEqual(await caller.ask('rr', message({ path: '/public/../admin' })), ['/admin '])
  broker.close()
})

test('only sidecars say whose certificate was shown', async () => {
  const { broker, dial } = await openBroker()
  await dialApplication(dial)
  const caller = await dial()
  const shown = [
    ['x-forwarded-client-cert', 'URI=spiffe://t/ns/admin/sa/root'],
    ['x-kept', '1'],
  ] as const
  assert.deepEqual(await caller.ask('rr', message({ fields: shown })), ['/ x-kept,1'])
  const facts = { ...[...broker.legs][0]?.facts, instance: undefined }
  const { peer } = attachLocalPeer(broker, facts as Parameters<typeof attachLocalPeer>[1])
  const said = await new Promise((resolve) => {
    const ignored = { onComplete() {}, onRequestN() {}, onCancel() {}, onError: resolve }
    peer.request('rr', message({ fields: shown }), {
      ...ignored,
      onItem: ({ data }) => resolve(String(data)),
    })
  })
  assert.equal(said, `/ ${shown.join(' ')}`)
  broker.close()
})

test('a message of HTTP is for who takes HTTP, not for who would go by its routing entry', async () => {
  const { broker, dial } = await openBroker()
  const native = await dial({ services: ['s'], instance: 'native' })
  native.answer = echo()
  const caller = await dial()
  const metadata = renderComposite([
    { mime: METADATA_ID.routing, content: renderRoutingTags(['s.secret']) },
    {
      mime: HTTP_ENTRY_MIME,
      content: renderHttpRequest({ method: 'GET', path: '/public', authority: 's', fields: [] }),
    },
  ])
  const message = { data: Buffer.alloc(0), metadata }
  const [said = ''] = await caller.ask('rr', message)
  assert.match(said, /^#202 WEFT-404 the service speaks RSocket/)
  assert.deepEqual(await caller.ask('rr', routed('s.m', 'x')), ['x'])
  const app = await dial({ services: ['s'], instance: 'app', features: ['http'] })
  app.answer = echo()
  native.close()
  await caller.ask('rr', routed('s.m', 'x'))
  assert.deepEqual(await caller.ask('rr', message), [''])
  broker.close()
})
