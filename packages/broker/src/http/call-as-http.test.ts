import assert from 'node:assert/strict'
import { Agent, createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { createHandleTransport } from '@weft/net'
import { eventually } from '@weft/testkit'
import type { Interaction } from '@weft/wire'
import { type Fixture, openBroker, routed, SILENT, type TestClient } from '../broker-fixture.ts'
import { attachLocalPeer } from '../local-peer.ts'
import { asHttpRequest } from '../mesh/native-out.ts'
import { callAsHttp } from './call-as-http.ts'

describe('a call in RSocket’s own form to a service of HTTP', () => {
  let server: Server
  let fixture: Fixture
  let caller: TestClient
  const agent = new Agent({ keepAlive: true })
  const heard: { path: string; body: string; headers: IncomingHttpHeaders }[] = []
  let eventsSent = 0
  let aborted = 0

  before(async () => {
    server = createServer((request, response) => {
      let body = ''
      request.on('data', (chunk: Buffer) => {
        body += String(chunk)
      })
      request.once('end', () => {
        const { url: path = '', headers } = request
        heard.push({ path: `${request.method} ${path}`, body, headers })
        if (path === '/cart/events') {
          response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' })
          response.end('data: a\n\n: note\ndata: b\ndata: c\r\n\r\nevent: x\ndata:d\n\n')
        } else if (path === '/cart/endless') {
          response.writeHead(200, { 'content-type': 'text/event-stream' })
          const send = () => {
            eventsSent++
            if (response.write(`data: ${'x'.repeat(10_000)}\n\n`)) setImmediate(send)
            else response.once('drain', send)
          }
          response.once('close', () => aborted++)
          send()
        } else if (/^\/cart\/\d+$/.test(path)) {
          response.writeHead(Number(path.slice(6))).end('no')
        } else response.setHeader('content-type', 'text/plain').end(`got ${body}`)
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const application = { host: '127.0.0.1', port }
    const out = { leg: () => local.leg }
    fixture = await openBroker(
      {},
      {
        transport: createHandleTransport(),
        router: ({ service }) => ({
          version: 0,
          route: (leg, call) =>
            service.answer(leg, call) ?? {
              kind: 'forward',
              ...{ isLasting: false, retries: 0 },
              pick: out.leg,
              changes: { request: (frame) => asHttpRequest(frame, call, 'cart.shop:9080') },
            },
        }),
      },
    )
    const local = attachLocalPeer(
      fixture.broker,
      {
        setup: { keepaliveMs: 1e9, maxLifetimeMs: 1e9, lease: false, dataMime: '' },
        ...{ metadataForm: 'composite', isAlibaba: false, instance: undefined },
        identity: { principal: undefined, claims: undefined },
        features: new Set(['http']),
      },
      (stream, payload) => callAsHttp(stream, payload, { application, agent }),
    )
    caller = await fixture.dial({ app: 'caller' })
  })

  after(() => {
    caller.close()
    fixture.broker.close()
    agent.destroy()
    server.close()
    server.closeAllConnections()
  })

  const ask = (method: string, interaction: Interaction = 'rr', tags: string[] = []) =>
    caller.ask(interaction, routed(`cart.${method}`, 'data', tags))

  test('is POST with the data as the body and tags as fields', async () => {
    const tags = ['x-user=ann', 'timeout=250ms', 'transfer-encoding=chunked', 'bad name=1']
    assert.deepEqual(await ask('add', 'rr', tags), ['got data'])
    const { path, body, headers } = heard.at(-1) ?? {}
    assert.deepEqual([path, body, headers?.host], ['POST /cart/add', 'data', 'cart.shop:9080'])
    assert.equal(headers?.['x-user'], 'ann')
    assert.deepEqual([headers?.timeout, headers?.['transfer-encoding']], [undefined, undefined])
  })

  test('fails with what the status stands for', async () => {
    assert.deepEqual(await ask('403'), ['#403 HTTP 403 no'])
    assert.deepEqual(await ask('400'), ['#204 HTTP 400 no'])
    assert.deepEqual(await ask('503'), ['#201 HTTP 503 no'], 'it may have been processed')
  })

  test('of an event stream each event is an item', async () => {
    assert.deepEqual(await ask('events', 'stream'), ['a', 'b\nc', 'd'])
    assert.deepEqual(await ask('plain', 'stream'), ['got data'])
    assert.match(heard.at(-1)?.headers.accept ?? '', /^text\/event-stream/)
  })

  test('whoever takes no more events slows the service down, and a cancel reaches it', async () => {
    const stream = caller.peer.request('stream', routed('cart.endless'), SILENT, { initialN: 2 })
    let before = -1
    await eventually(() => {
      const still = eventsSent === before
      before = eventsSent
      assert.ok(still && eventsSent > 2, `${eventsSent} sent`)
    })
    stream.cancel()
    await eventually(() => assert.equal(aborted, 1))
  })

  test('takes no channels', async () => {
    const [error] = await ask('add', 'channel')
    assert.match(error ?? '', /^#204 /)
  })

  test('fire and forget arrives', async () => {
    caller.peer.request('fnf', routed('cart.forget', 'once'), SILENT)
    await eventually(() => assert.equal(heard.at(-1)?.path, 'POST /cart/forget'))
  })
})
