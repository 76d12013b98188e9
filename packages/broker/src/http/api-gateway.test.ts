import assert from 'node:assert/strict'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, test } from 'node:test'
import { eventually } from '@weft/testkit'
import { type Fixture, openBroker, SILENT } from '../broker-fixture.ts'
import { attachLocalPeer } from '../local-peer.ts'
import { isApiRequest, serveApi } from './api-gateway.ts'

let fixture: Fixture
let server: Server
let base = ''
let cancels = 0
let sent = 0
let lastMetadata = ''

before(async () => {
  fixture = await openBroker()
  const service = await fixture.dial({
    services: ['com.acme.Cart', { name: 'com.acme.Old', group: 'g', version: '1.0' }],
  })
  service.answer = (stream, { data, metadata }) => {
    lastMetadata = Buffer.from(metadata ?? []).toString('latin1')
    const text = Buffer.from(data).toString()
    if (text === '"fail"') stream.fail(0x201, 'no such cart')
    else if (stream.interaction === 'rr')
      stream.next({ data: Buffer.from(`{"got":${text}}`) }, true)
    else {
      const count = Number(text)
      sent = 0
      const send = () => {
        while (stream.credit > 0 && stream.maySend && sent < count)
          stream.next({ data: Buffer.from(`{"item":${sent}}\nsecond line`) }, ++sent === count)
      }
      stream.handler = { ...SILENT, onRequestN: send, onCancel: () => void cancels++ }
      send()
    }
  }
  const { peer } = attachLocalPeer(fixture.broker, {
    setup: { keepaliveMs: 60_000, maxLifetimeMs: 60_000, lease: false, dataMime: '' },
    metadataForm: 'composite',
    isAlibaba: false,
    identity: { principal: undefined, claims: undefined },
    instance: undefined,
    features: new Set(),
  })
  server = createServer((request, response) => {
    if (isApiRequest(request)) serveApi(request, response, peer)
    else response.writeHead(418).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})

after(() => {
  server.close()
  server.closeAllConnections()
  fixture.broker.close()
})

const post = (path: string, body: string, headers: Record<string, string> = {}) =>
  fetch(`${base}${path}`, { method: 'POST', body, headers })

test('a POST is a request/response, JSON both ways', async () => {
  const answer = await post('/api/com.acme.Cart/add', '{"id":1}', {
    authorization: 'Bearer abc',
    traceparent: '00-1-2-01',
  })
  assert.equal(answer.status, 200)
  assert.equal(answer.headers.get('content-type'), 'application/json')
  assert.deepEqual(await answer.json(), { got: { id: 1 } })
  assert.match(lastMetadata, /com\.acme\.Cart\.add.*traceparent=00-1-2-01.*\x81abc/s)
})

test('group and version come from the query; what cannot be a name is refused', async () => {
  assert.equal((await post('/api/com.acme.Old/m?group=g&version=1.0', '1')).status, 200)
  assert.equal((await post('/api/com.acme.Old/m?group=g&version=2.0', '1')).status, 404)
  assert.equal((await post('/api/com.acme.Old/m?group=%21', '1')).status, 400)
})

test('failures have statuses: nobody there, the application, the method, other paths', async () => {
  const nobody = await post('/api/com.acme.Nobody/m', '{}')
  assert.equal(nobody.status, 404)
  assert.equal(nobody.headers.get('x-weft-retry-safe'), '1')
  assert.deepEqual(await nobody.json(), {
    status: 404,
    message: 'WEFT-404 nobody offers com.acme.Nobody',
  })
  const failed = await post('/api/com.acme.Cart/add', '"fail"')
  assert.equal(failed.status, 500)
  assert.deepEqual(await failed.json(), { status: 500, message: 'no such cart' })
  const got = await fetch(`${base}/api/com.acme.Cart/add`)
  assert.equal(got.status, 405)
  assert.equal(got.headers.get('allow'), 'POST')
  assert.equal((await post('/other', '')).status, 418)
})

test('a body that no frame can carry is refused', async () => {
  const answer = await post('/api/com.acme.Cart/add', 'x'.repeat(0xff_ff_ff))
  assert.equal(answer.status, 413)
})

test('with Accept: text/event-stream the items of a stream come as events', async () => {
  const answer = await post('/api/com.acme.Cart/all', '200', { accept: 'text/event-stream' })
  assert.equal(answer.headers.get('content-type'), 'text/event-stream')
  const events = (await answer.text()).split('\n\n').slice(0, -1)
  assert.equal(events.length, 200)
  assert.equal(events[199], 'data: {"item":199}\ndata: second line')
  const failed = await post('/api/com.acme.Nobody/all', '1', { accept: 'text/event-stream' })
  assert.equal(failed.status, 404)
})

test('a reader that goes away cancels the stream; one that does not read holds it back', async () => {
  const leaving = new AbortController()
  const answer = await fetch(`${base}/api/com.acme.Cart/all`, {
    ...{ method: 'POST', body: '1000000', signal: leaving.signal },
    headers: { accept: 'text/event-stream' },
  })
  const reader = answer.body?.getReader()
  await reader?.read()
  assert.ok(sent < 1_000_000, `${sent} items before anybody read`)
  leaving.abort()
  await eventually(() => assert.equal(cancels, 1))
  await eventually(() => assert.equal(fixture.broker.openStreams, 0))
})
