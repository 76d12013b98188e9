import assert from 'node:assert/strict'
import { createServer as createPlainServer, request as sendRequest } from 'node:http'
import { createServer, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import type { CorsPolicy, HttpFilterConfig } from '@weft/model'
import {
  clusterOf,
  engineDeps,
  forwardTo,
  httpRuntime,
  listenerRuntime,
  MANAGER,
  routeOf,
  tableOf,
  upstreamOf,
} from '../exchange/engine-fixture.ts'
import { openListener } from '../listen/listener.ts'
import { ListenerSlot } from '../listen/listener-slot.ts'

interface Call {
  readonly path: string
  readonly contentType: string
  readonly te: string
  readonly length: string | undefined
  readonly body: Buffer
}

type Answer = (stream: ServerHttp2Stream, call: Call) => void

function frame(text: string): Buffer {
  const head = Buffer.alloc(5)
  head.writeUInt32BE(text.length, 1)
  return Buffer.concat([head, Buffer.from(text, 'latin1')])
}

function trailers(text: string): Buffer {
  const whole = frame(text)
  whole[0] = 0x80
  return whole
}

const echo: Answer = (stream, { body }) => {
  stream.respond(
    { ':status': 200, 'content-type': 'application/grpc+proto' },
    { waitForTrailers: true },
  )
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', 'x-cost': '7' }))
  stream.write(body)
  stream.end(frame('second'))
}

async function grpcServer(t: TestContext, answer: Answer) {
  const calls: Call[] = []
  const server = createServer()
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    const parts: Buffer[] = []
    stream.on('data', (part: Buffer) => parts.push(part))
    stream.on('end', () => {
      const call = {
        path: String(headers[':path']),
        contentType: String(headers['content-type']),
        te: String(headers.te),
        length: headers['content-length'],
        body: Buffer.concat(parts),
      }
      calls.push(call)
      answer(stream, call)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  return { calls, port: (server.address() as AddressInfo).port }
}

async function proxyTo(
  t: TestContext,
  port: number,
  protocol: 'http1' | 'http2' = 'http2',
  cors?: CorsPolicy,
) {
  const deps = engineDeps()
  const http = {
    protocol,
    idleTimeoutMs: 60_000,
    maxRequestsPerConnection: 0,
    maxConcurrentStreams: 0,
  } as const
  const cluster = upstreamOf(clusterOf('app', [{ host: '127.0.0.1', port }], { http }), deps)
  const route = routeOf(forwardTo('app'), cors === undefined ? {} : { cors })
  const filters: readonly HttpFilterConfig[] = [
    { kind: 'cors' },
    { kind: 'grpcWeb' },
    { kind: 'buffer', maxRequestBytes: 10_000 },
  ]
  const manager = { ...MANAGER, filters }
  const slot = new ListenerSlot(
    listenerRuntime(httpRuntime(tableOf([route]), [cluster], { manager })),
  )
  const listener = await openListener({ address: { host: '127.0.0.1', port: 0 } }, slot, deps)
  t.after(async () => {
    await listener.close()
    cluster.close()
  })
  return listener.address.port
}

/** @param pieces Written one by one; the proxy sees each for itself when it is chunked. */
function ask(port: number, headers: Readonly<Record<string, string>>, pieces: readonly Buffer[]) {
  return new Promise<{ status: number; headers: Record<string, unknown>; body: Buffer }>(
    (resolve, reject) => {
      const options = { port, host: '127.0.0.1', method: 'POST', path: '/shop.Cart/Add' }
      const sent = sendRequest({ ...options, headers, agent: false }, (response) => {
        const parts: Buffer[] = []
        response.on('data', (part: Buffer) => parts.push(part))
        response.on('end', () => {
          const { statusCode: status = 0, headers: got } = response
          resolve({ status, headers: got, body: Buffer.concat(parts) })
        })
      })
      sent.on('error', reject)
      for (const piece of pieces) sent.write(piece)
      sent.end()
    },
  )
}

test('a binary call is gRPC upstream, and its trailers are the last frame of the answer', async (t) => {
  const { calls, port } = await grpcServer(t, echo)
  const proxy = await proxyTo(t, port)
  const sent = frame('hello')
  const { status, headers, body } = await ask(
    proxy,
    { 'content-type': 'application/grpc-web+proto', 'content-length': String(sent.length) },
    [sent],
  )
  assert.equal(status, 200)
  assert.equal(headers['content-type'], 'application/grpc-web+proto')
  const end = trailers('grpc-status:0\r\nx-cost:7\r\n')
  assert.deepEqual(body, Buffer.concat([sent, frame('second'), end]))
  assert.deepEqual(
    calls.map(({ path, contentType, te, body: got }) => [path, contentType, te, String(got)]),
    [['/shop.Cart/Add', 'application/grpc+proto', 'trailers', String(sent)]],
  )
})

test('a call as text is decoded however it is cut, and answered as text', async (t) => {
  const { calls, port } = await grpcServer(t, echo)
  const proxy = await proxyTo(t, port)
  const sent = frame('h\xffllo, world')
  const coded = Buffer.from(sent.toString('base64'))
  for (let at = 1; at < coded.length; at++) {
    const { headers, body } = await ask(
      proxy,
      { 'content-type': 'application/grpc-web-text', 'transfer-encoding': 'chunked' },
      [coded.subarray(0, at), coded.subarray(at)],
    )
    assert.equal(headers['content-type'], 'application/grpc-web-text+proto')
    const end = trailers('grpc-status:0\r\nx-cost:7\r\n')
    const parts = [sent, frame('second'), end].map((part) => part.toString('base64'))
    assert.equal(body.toString('latin1'), parts.join(''))
    assert.deepEqual(calls.at(-1)?.body, sent)
  }
})

test('the length that a text call declares does not go on', async (t) => {
  const { calls, port } = await grpcServer(t, echo)
  const proxy = await proxyTo(t, port)
  const coded = Buffer.from(frame('hi').toString('base64'))
  const asked = {
    'content-type': 'application/grpc-web-text+proto',
    accept: 'application/grpc-web+proto',
    'content-length': String(coded.length),
  }
  const { headers, body } = await ask(proxy, asked, [coded])
  assert.equal(headers['content-type'], 'application/grpc-web+proto')
  assert.equal(body.subarray(0, 7).toString('latin1'), '\0\0\0\0\x02hi')
  assert.equal(calls[0]?.length, undefined)
})

test('a status without messages comes in the head', async (t) => {
  const { port } = await grpcServer(t, (stream) => {
    stream.respond(
      {
        ':status': 200,
        'content-type': 'application/grpc',
        'grpc-status': '5',
        'grpc-message': 'none',
      },
      { endStream: true },
    )
  })
  const proxy = await proxyTo(t, port)
  const { status, headers, body } = await ask(
    proxy,
    { 'content-type': 'application/grpc-web', 'transfer-encoding': 'chunked' },
    [frame('x')],
  )
  assert.deepEqual([status, headers['grpc-status'], headers['grpc-message']], [200, '5', 'none'])
  assert.equal(headers['content-type'], 'application/grpc-web+proto')
  // A client that keeps its connection has to know that nothing follows.
  assert.equal(headers['content-length'], '0')
  assert.equal(body.length, 0)
})

test('what is no gRPC becomes the status that stands for it', async (t) => {
  const app = createPlainServer((request, response) => {
    request.resume().on('end', () => {
      response.writeHead(503, { 'content-type': 'text/html' }).end('<html>broken</html>')
    })
  })
  await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve))
  t.after(() => app.close())
  const proxy = await proxyTo(t, (app.address() as AddressInfo).port, 'http1')
  const { headers, body } = await ask(
    proxy,
    { 'content-type': 'application/grpc-web-text', 'content-length': '8' },
    [Buffer.from(frame('x').toString('base64'))],
  )
  assert.equal(headers['grpc-status'], '14')
  assert.equal(headers['grpc-message'], 'upstream answered HTTP 503 without gRPC')
  assert.equal(headers['content-type'], 'application/grpc-web-text+proto')
  assert.equal(body.length, 0)
})

test("the proxy's own refusals are statuses that pages of allowed origins may read", async (t) => {
  const cors: CorsPolicy = {
    allowOrigins: [{ kind: 'exact', value: 'https://shop.example', ignoreCase: false }],
    allowMethods: ['POST'],
    allowHeaders: ['content-type', 'x-grpc-web'],
    exposeHeaders: ['grpc-status', 'grpc-message'],
    allowCredentials: false,
    forwardUnmatchedPreflights: false,
  }
  const gone = await grpcServer(t, echo)
  const proxy = await proxyTo(t, gone.port, 'http2', cors)
  const asked = { 'content-type': 'application/grpc-web', origin: 'https://shop.example' }
  const long = Buffer.alloc(10_001)
  const { status, headers } = await ask(
    proxy,
    { ...asked, 'content-length': String(long.length) },
    [long],
  )
  assert.equal(status, 200)
  assert.equal(headers['content-type'], 'application/grpc-web+proto')
  assert.equal(headers['grpc-status'], '2')
  assert.equal(headers['access-control-allow-origin'], 'https://shop.example')
  assert.equal(headers['access-control-expose-headers'], 'grpc-status,grpc-message')
  const good = await ask(proxy, { ...asked, 'transfer-encoding': 'chunked' }, [frame('x')])
  assert.equal(good.headers['access-control-allow-origin'], 'https://shop.example')
})

test('text that is no base64 is refused, and the application never sees its end', async (t) => {
  const { calls, port } = await grpcServer(t, echo)
  const proxy = await proxyTo(t, port)
  for (const wrong of ['AAAA*AAA', 'AAAAA']) {
    const { headers } = await ask(
      proxy,
      { 'content-type': 'application/grpc-web-text', 'content-length': String(wrong.length) },
      [Buffer.from(wrong)],
    )
    assert.equal(headers['grpc-status'], '13')
    assert.match(String(headers['grpc-message']), /invalid base64/)
  }
  assert.deepEqual(calls, [])
})
