/** Peers of RSocket that write heads of HTTP themselves, and what HTTP connections make of them. */
import assert from 'node:assert/strict'
import { Agent, request as askHttp, createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { afterEach, test } from 'node:test'
import { eventually } from '@weft/testkit'
import {
  HTTP_ENTRY_MIME,
  METADATA_ID,
  type RSocketPayload,
  renderComposite,
  renderHttpRequest,
  renderHttpResponse,
  renderRoutingTags,
} from '@weft/wire'
import { openBroker, SILENT, type TestClient } from '../broker-fixture.ts'
import { callHttp } from './call-http.ts'
import { serveHttp } from './serve-http.ts'
import { serveUpgrade } from './upgrade.ts'

type Fields = readonly (readonly [name: string, value: string])[]

const SMUGGLED = 'GET /secret HTTP/1.1\r\nhost: app\r\n\r\n'
const closing: (() => unknown)[] = []

afterEach(() => {
  for (const close of closing.splice(0).reverse()) close()
})

/** An application of HTTP behind a broker, which writes down what it was asked. */
async function openApplication() {
  const asked: string[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      asked.push(`${request.method} ${request.url} ${Buffer.concat(chunks)}`)
      response.end('ok')
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const { broker, dial } = await openBroker()
  closing.push(() => {
    agent.destroy()
    server.close()
    server.closeAllConnections()
    broker.close()
  })
  const application = { host: '127.0.0.1', port: (server.address() as AddressInfo).port }
  const responder = await dial({ services: ['app'], features: ['http'] })
  let ended = 0
  responder.answer = (stream, payload) =>
    callHttp(stream, payload, { application, agent, onEnd: () => void ended++ })
  return { broker, asked, caller: await dial(), ended: () => ended }
}

function message(
  head: { method?: string; path?: string; fields?: Fields },
  data = '',
): RSocketPayload {
  const { method = 'GET', path = '/public', fields = [] } = head
  return {
    data: Buffer.from(data),
    metadata: renderComposite([
      { mime: METADATA_ID.routing, content: renderRoutingTags(['app']) },
      {
        mime: HTTP_ENTRY_MIME,
        content: renderHttpRequest({ method, path, authority: 'app', fields }),
      },
    ]),
  }
}

/** A channel whose items are the body; resolves with the answer's items. */
function send(caller: TestClient, first: RSocketPayload, body: readonly string[]) {
  const items = [...body]
  return new Promise<string[]>((resolve) => {
    const heard: string[] = []
    const stream = caller.peer.request(
      'channel',
      first,
      {
        ...SILENT,
        onItem: ({ data }, complete) => {
          heard.push(String(data))
          if (complete) resolve(heard)
        },
        onComplete: () => resolve(heard),
        onError: (code, text) => resolve([...heard, `#${code.toString(16)} ${text}`]),
        onRequestN() {
          for (const item of items.splice(0)) stream.next({ data: Buffer.from(item) }, false)
          stream.complete()
        },
      },
      { initialN: 16 },
    )
  })
}

test('a body never becomes another request of the application', async () => {
  const { asked, caller, broker } = await openApplication()
  const lies: Fields[] = [
    [],
    [['content-length', '0']],
    [['transfer-encoding', 'chunked']],
    [
      ['connection', 'keep-alive'],
      ['content-length', '0'],
    ],
  ]
  for (const fields of lies) {
    assert.deepEqual(await caller.ask('stream', message({ fields }, SMUGGLED)), ['ok'])
    assert.deepEqual(asked.splice(0), [`GET /public ${SMUGGLED}`])
  }
  assert.deepEqual(await send(caller, message({}), [SMUGGLED]), ['ok'])
  assert.deepEqual(asked.splice(0), [`GET /public ${SMUGGLED}`])
  const short = message({ fields: [['content-length', '1']] })
  assert.deepEqual(await send(caller, short, [SMUGGLED]), [
    '#204 WEFT-400 the body is not of 1 bytes',
  ])
  const long = message({ method: 'POST', fields: [['content-length', '99']] })
  assert.deepEqual(await send(caller, long, ['ab']), ['#204 WEFT-400 the body is not of 99 bytes'])
  const two: Fields = [
    ['content-length', '1'],
    ['content-length', '2'],
  ]
  assert.match(String(await send(caller, message({ fields: two }), ['ab'])), /^#204 WEFT-400/)
  assert.deepEqual(await caller.ask('stream', message({ path: '/next' })), ['ok'])
  assert.deepEqual(asked, ['GET /next '])
  await eventually(() => assert.equal(broker.openStreams, 0))
})

test('what Node does not write as HTTP is refused, and the process goes on', async () => {
  const { asked, caller, ended } = await openApplication()
  const key = renderComposite([
    { mime: METADATA_ID.routing, content: renderRoutingTags(['app.\u{1f4a5} x']) },
  ])
  const [said = ''] = await caller.ask('rr', { data: Buffer.alloc(0), metadata: key })
  assert.match(said, /^#204 WEFT-400 the request has no form in HTTP/)
  assert.equal(ended(), 1, 'nobody waits for it')
  assert.deepEqual(await caller.ask('stream', message({})), ['ok'])
  assert.deepEqual(asked, ['GET /public '])
})

/** An HTTP front whose only service is answered by a peer that writes its heads itself. */
async function openFront(head: { status: number; fields: Fields }, body: string) {
  const { broker, dial } = await openBroker()
  const responder = await dial({ services: ['app'], features: ['http'] })
  responder.answer = (stream) => {
    const content = renderHttpResponse(head)
    const metadata = renderComposite([{ mime: HTTP_ENTRY_MIME, content }])
    stream.next({ data: Buffer.from(body), metadata }, true)
  }
  const { peer } = await dial()
  const peers = { pick: () => peer, admitRetry: () => false }
  const server = createServer((request, response) => serveHttp(request, response, peers))
  server.on('upgrade', (request, socket, early) => serveUpgrade(request, socket, early, peers))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closing.push(() => {
    server.close()
    server.closeAllConnections()
    broker.close()
  })
  return (server.address() as AddressInfo).port
}

/** All that a connection hears. */
function hear(port: number, request: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(request))
    let heard = ''
    socket.on('data', (chunk) => {
      heard += chunk.toString('latin1')
    })
    socket.on('error', () => {})
    socket.once('close', () => resolve(heard))
  })
}

test('an answer never becomes another answer', async () => {
  const another = 'HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nFORGED'
  const cut = await openFront({ status: 200, fields: [['content-length', '2']] }, `ab${another}`)
  assert.doesNotMatch(await hear(cut, 'GET / HTTP/1.1\r\nhost: app\r\n\r\n'), /FORGED/)
  const short = await openFront({ status: 200, fields: [['content-length', '9']] }, 'ab')
  await assert.rejects(bodyOf(short))
  const framed = await openFront(
    {
      status: 200,
      fields: [
        ['transfer-encoding', 'identity'],
        ['connection', 'x-gone'],
        ['x-kept', '1'],
      ],
    },
    'ok',
  )
  assert.equal(await bodyOf(framed), 'ok')
})

test('an answer that HTTP could not carry is a 502, for requests and for WebSockets', async () => {
  for (const head of [
    { status: 200, fields: [['x-a', 'b\r\nset-cookie: forged=1']] },
    { status: 100, fields: [] },
    {
      status: 200,
      fields: [
        ['content-length', '1'],
        ['content-length', '2'],
      ],
    },
  ] satisfies { status: number; fields: Fields }[]) {
    const port = await openFront(head, '')
    const heard = await hear(port, 'GET / HTTP/1.1\r\nhost: app\r\nconnection: close\r\n\r\n')
    assert.match(heard, /^HTTP\/1\.1 (502|400) /)
    assert.doesNotMatch(heard, /forged/)
  }
  const port = await openFront({ status: 200, fields: [['x-a', 'b\r\nset-cookie: forged=1']] }, '')
  const wanted = 'connection: upgrade\r\nupgrade: websocket\r\n'
  const heard = await hear(port, `GET / HTTP/1.1\r\nhost: app\r\n${wanted}\r\n`)
  assert.match(heard, /^HTTP\/1\.1 (502|400) /)
  assert.doesNotMatch(heard, /forged/)
})

function bodyOf(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = askHttp({ host: '127.0.0.1', port, headers: { host: 'app' } }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.once('error', reject)
      response.once('end', () => resolve(Buffer.concat(chunks).toString()))
    })
    call.once('error', reject).end()
  })
}
