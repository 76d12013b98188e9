import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import http from 'node:http'
import http2 from 'node:http2'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { after, describe, test } from 'node:test'
import { createHandleTransport } from '@weft/net'
import type { ExchangeRecord } from '../exchange/contract.ts'
import {
  clusterOf,
  engineDeps,
  forwardTo,
  httpRuntime,
  listenerRuntime,
  routeOf,
  tableOf,
  upstreamOf,
} from '../exchange/engine-fixture.ts'
import { openListener } from '../listen/listener.ts'
import { ListenerSlot } from '../listen/listener-slot.ts'

const LOOPBACK = { host: '127.0.0.1', port: 0 }
const BIG = Buffer.alloc(1_048_576, 'x')

interface Answer {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  readonly body: Buffer
  readonly trailers: Record<string, unknown>
  readonly interims: readonly number[]
}

interface Call {
  readonly method?: string
  readonly path: string
  readonly headers?: Record<string, string>
  readonly body?: Buffer
  readonly trailers?: Record<string, string>
}

type Version = 'h1' | 'h2'

const cleanups: (() => unknown)[] = []
after(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup()
})

/** What both kinds of application do, by path. */
function serve(req: http.IncomingMessage | http2.Http2ServerRequest, res: AnyResponse): void {
  const chunks: Buffer[] = []
  req.on('error', () => undefined)
  if (req.url === '/early-hints') res.writeEarlyHints({ link: '</a.css>; rel=preload' })
  if (req.url === '/cut') {
    res.write('half')
    setImmediate(() => {
      if ('stream' in res) res.stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR)
      else req.socket.destroy()
    })
    return
  }
  if (req.url === '/hang') {
    hanging++
    res.on('close', () => hanging--)
    return
  }
  req.on('data', (chunk: Buffer) => chunks.push(chunk))
  req.on('end', () => {
    const body = Buffer.concat(chunks)
    if (req.url === '/big') res.end(BIG)
    else if (req.url === '/empty') res.writeHead(204).end()
    else if (req.url === '/not-modified') res.writeHead(304, { etag: '"a"' }).end()
    else if (req.url === '/trailers') {
      res.writeHead(200, { trailer: 'grpc-status', 'content-type': 'application/grpc' })
      res.write(body)
      res.addTrailers({ 'grpc-status': '7', 'x-sum': String(body.length) })
      res.end()
    } else {
      const seen = {
        method: req.method,
        version: req.httpVersion,
        headers: req.headers,
        length: body.length,
        trailers: req.trailers,
      }
      res.end(JSON.stringify(seen))
    }
  })
}

// biome-ignore lint/suspicious/noExplicitAny: both servers' answers, which share no type
type AnyResponse = any
let hanging = 0

function server1(): http.Server {
  const server = http.createServer(serve)
  server.on('upgrade', (req, socket) => {
    const proof = `${req.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`
    const accept = createHash('sha1').update(proof).digest('base64')
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: ${accept}\r\n\r\n`,
    )
    socket.pipe(socket)
  })
  return server
}

function server2(): http2.Http2Server {
  const server = http2.createServer({ settings: { enableConnectProtocol: true } })
  server.on('connect', ({ stream, headers }: http2.Http2ServerRequest) => {
    if (headers[':method'] !== 'CONNECT') return
    stream.on('error', () => undefined)
    // As a hop before it may say, about a key of its own.
    stream.respond({ ':status': 200, 'sec-websocket-accept': 'not the proof of this key' })
    stream.pipe(stream)
  })
  server.on('request', (req, res) => {
    if (req.method !== 'CONNECT') serve(req, res)
  })
  return server
}

async function upstreamPort(version: Version): Promise<number> {
  const server = version === 'h2' ? server2() : server1()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  cleanups.push(() => server.close())
  return (server.address() as AddressInfo).port
}

async function proxyTo(version: Version, records: ExchangeRecord[] = []) {
  return proxyToPort(await upstreamPort(version), version, records)
}

async function proxyToPort(port: number, version: Version, records: ExchangeRecord[] = []) {
  const deps = engineDeps(createHandleTransport())
  const protocol = version === 'h2' ? 'http2' : 'http1'
  const http = {
    protocol,
    idleTimeoutMs: 0,
    maxRequestsPerConnection: 0,
    maxConcurrentStreams: 0,
  } as const
  const cluster = upstreamOf(clusterOf('up', [{ host: '127.0.0.1', port }], { http }), deps)
  const slot = new ListenerSlot()
  const observer = {
    onExchangeEnd(record: ExchangeRecord) {
      const { protocol, status, failureDetail, responseFlags } = record
      records.push({ protocol, status, failureDetail, responseFlags } as ExchangeRecord)
    },
    onConnectionEnd() {},
  }
  slot.publish(
    listenerRuntime(httpRuntime(tableOf([routeOf(forwardTo('up'))]), [cluster], { observer })),
  )
  const listener = await openListener({ address: LOOPBACK }, slot, deps)
  cleanups.push(async () => {
    cluster.close()
    await listener.close()
  })
  return { port: listener.address.port, listener, cluster }
}

function over2(session: http2.ClientHttp2Session, call: Call): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { method = 'GET', path, headers = {}, body, trailers } = call
    const stream = session.request(
      { ':method': method, ':path': path, ...headers },
      { endStream: body === undefined, waitForTrailers: trailers !== undefined },
    )
    const interims: number[] = []
    const chunks: Buffer[] = []
    let head: http2.IncomingHttpHeaders = {}
    let tail = {}
    stream.on('headers', (interim) => interims.push(Number(interim[':status'])))
    stream.on('response', (found) => {
      head = found
    })
    stream.on('trailers', (found) => {
      tail = { ...found }
    })
    stream.on('wantTrailers', () => stream.sendTrailers(trailers ?? {}))
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.on('error', reject)
    stream.on('end', () => {
      const status = Number(head[':status'])
      resolve({ status, headers: head, body: Buffer.concat(chunks), trailers: tail, interims })
    })
    if (body !== undefined) stream.end(body)
  })
}

function over1(port: number, call: Call): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { method = 'GET', path, headers = {}, body, trailers } = call
    const interims: number[] = []
    const req = http.request({ port, host: '127.0.0.1', method, path, headers, agent: false })
    req.on('information', ({ statusCode }) => interims.push(statusCode))
    req.on('error', reject)
    req.on('response', (res) => {
      const chunks: Buffer[] = []
      res.on('data', (chunk: Buffer) => chunks.push(chunk))
      res.on('error', reject)
      res.on('end', () => {
        resolve({
          status: res.statusCode ?? 0,
          headers: res.headers,
          body: Buffer.concat(chunks),
          trailers: res.trailers,
          interims,
        })
      })
    })
    if (trailers !== undefined) req.addTrailers(trailers)
    req.end(body)
  })
}

for (const client of ['h1', 'h2'] as const) {
  for (const upstream of ['h1', 'h2'] as const) {
    describe(`${client} to ${upstream}`, { timeout: 20_000 }, () => {
      const start = async () => {
        const records: ExchangeRecord[] = []
        const proxy = await proxyTo(upstream, records)
        const session =
          client === 'h2' ? http2.connect(`http://127.0.0.1:${proxy.port}`) : undefined
        if (session !== undefined) cleanups.push(() => session.destroy())
        const call = (what: Call) =>
          session === undefined ? over1(proxy.port, what) : over2(session, what)
        return { ...proxy, records, call, session }
      }
      const started = start()

      test('a request without a body is answered, and recorded with its protocol', async () => {
        const { call, records } = await started
        const answer = await call({ path: '/', headers: { 'x-a': 'b', cookie: 'a=1; b=2' } })
        assert.equal(answer.status, 200)
        const seen = JSON.parse(answer.body.toString())
        assert.equal(seen.method, 'GET')
        assert.equal(seen.version, upstream === 'h2' ? '2.0' : '1.1')
        assert.equal(seen.headers['x-a'], 'b')
        assert.equal(seen.headers.cookie, 'a=1; b=2')
        assert.equal(records.at(-1)?.protocol, client === 'h2' ? 'HTTP/2' : 'HTTP/1.1')
      })

      test('bodies pass, small and large, both ways', async () => {
        const { call } = await started
        for (const body of [Buffer.from('hello'), BIG]) {
          const sent = await call({ method: 'POST', path: '/', body })
          assert.equal(JSON.parse(sent.body.toString()).length, body.length)
        }
        const got = await call({ path: '/big' })
        assert.equal(got.body.length, BIG.length)
        assert.ok(got.body.equals(BIG))
      })

      test('trailers pass both ways', async () => {
        const { call } = await started
        const headers = client === 'h1' ? { 'transfer-encoding': 'chunked' } : {}
        const body = Buffer.from('abc')
        const sent = await call({
          method: 'POST',
          path: '/',
          headers,
          body,
          trailers: { 'x-end': 'yes' },
        })
        assert.equal(JSON.parse(sent.body.toString()).trailers['x-end'], 'yes')
        const got = await call({ method: 'POST', path: '/trailers', body })
        assert.equal(got.body.toString(), 'abc')
        assert.equal(got.trailers['grpc-status'], '7')
        assert.equal(got.trailers['x-sum'], '3')
      })

      test('HEAD, 204 and 304 have no body', async () => {
        const { call } = await started
        const head = await call({ method: 'HEAD', path: '/big' })
        assert.deepEqual([head.status, head.body.length], [200, 0])
        assert.equal((await call({ path: '/empty' })).status, 204)
        const unchanged = await call({ path: '/not-modified' })
        assert.deepEqual([unchanged.status, unchanged.headers.etag], [304, '"a"'])
      })

      test('interim answers pass', async () => {
        const { call } = await started
        const answer = await call({ path: '/early-hints' })
        assert.deepEqual([answer.status, answer.interims], [200, [103]])
      })

      test('an answer that breaks off does not look complete', async () => {
        const { call } = await started
        await assert.rejects(call({ path: '/cut' }))
        assert.equal((await call({ path: '/' })).status, 200)
      })
    })
  }
}

test('a client that resets its stream cancels the upstream, and others go on', {
  timeout: 10_000,
}, async () => {
  const { port } = await proxyTo('h2')
  const session = http2.connect(`http://127.0.0.1:${port}`)
  cleanups.push(() => session.destroy())
  const stream = session.request({ ':path': '/hang' })
  stream.on('error', () => undefined)
  while (hanging === 0) await new Promise((resolve) => setImmediate(resolve))
  stream.close(http2.constants.NGHTTP2_CANCEL)
  while (hanging > 0) await new Promise((resolve) => setImmediate(resolve))
  assert.equal((await over2(session, { path: '/' })).status, 200)
})

test('many streams share one upstream connection', { timeout: 10_000 }, async () => {
  const { port, cluster } = await proxyTo('h2')
  const session = http2.connect(`http://127.0.0.1:${port}`)
  cleanups.push(() => session.destroy())
  const answers = await Promise.all(Array.from({ length: 50 }, () => over2(session, { path: '/' })))
  assert.ok(answers.every(({ status }) => status === 200))
  const [host] = cluster.hosts
  assert.equal(host === undefined ? 0 : cluster.connectionsOf(host), 1)
})

test('an answer of our own to a gRPC request is trailers only', { timeout: 10_000 }, async () => {
  const { port, cluster } = await proxyTo('h2')
  cluster.updateEndpoints({ name: 'up', localities: [] })
  const session = http2.connect(`http://127.0.0.1:${port}`)
  cleanups.push(() => session.destroy())
  const headers = { 'content-type': 'application/grpc', te: 'trailers' }
  const answer = await over2(session, { method: 'POST', path: '/a.B/C', headers })
  assert.equal(answer.status, 200)
  assert.equal(answer.headers['grpc-status'], '14')
  assert.equal(answer.headers['grpc-message'], 'no healthy upstream')
  assert.equal(answer.body.length, 0)
})

test('te: trailers reaches an HTTP/2 upstream, and no other hop-by-hop field does', {
  timeout: 10_000,
}, async () => {
  const { port } = await proxyTo('h2')
  const answer = await over1(port, {
    path: '/',
    headers: { te: 'trailers, gzip', 'keep-alive': 'timeout=5', connection: 'te, keep-alive' },
  })
  const { headers } = JSON.parse(answer.body.toString())
  assert.equal(headers.te, 'trailers')
  assert.equal(headers['keep-alive'], undefined)
})

for (const client of ['h1', 'h2'] as const) {
  for (const upstream of ['h1', 'h2'] as const) {
    test(`a WebSocket passes from ${client} to ${upstream}`, { timeout: 10_000 }, async () => {
      const { port } = await proxyTo(upstream)
      const socket = await (client === 'h1' ? webSocket1(port) : webSocket2(port))
      const [echo] = await Promise.all([
        new Promise<string>((resolve) => socket.once('data', (data) => resolve(String(data)))),
        socket.write('ping'),
      ])
      assert.equal(echo, 'ping')
      const ended = new Promise((resolve) => socket.once('end', resolve))
      socket.end()
      await ended
    })
  }
}

for (const how of ['stream', 'session', 'both'] as const) {
  test(`a WebSocket ends at the upstream when the client cuts its ${how}`, async () => {
    const server = http.createServer()
    const gone = new Promise((resolve) => {
      server.on('upgrade', (_req, socket) => {
        socket.on('error', () => undefined)
        socket.on('close', resolve)
        socket.on('end', () => socket.end())
        socket.resume()
        socket.write(
          'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n',
        )
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    cleanups.push(() => server.close())
    const { port } = await proxyToPort((server.address() as AddressInfo).port, 'h1')
    const stream = (await webSocket2(port)) as http2.ClientHttp2Stream
    const { session } = stream
    if (how !== 'session') stream.destroy()
    if (how !== 'stream') session?.destroy()
    await gone
  })
}

function webSocket1(port: number): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const key = 'dGhlIHNhbXBsZSBub25jZQ=='
    const headers = {
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-key': key,
      'sec-websocket-version': '13',
    }
    const req = http.request({ port, host: '127.0.0.1', path: '/ws', headers })
    req.on('error', reject)
    req.on('response', ({ statusCode }) => reject(new Error(`answered ${statusCode}`)))
    req.on('upgrade', (res, socket) => {
      if (res.headers['sec-websocket-accept'] === 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=') resolve(socket)
      else reject(new Error('the key is not proven'))
    })
    req.end()
  })
}

function webSocket2(port: number): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const session = http2.connect(`http://127.0.0.1:${port}`)
    cleanups.push(() => session.destroy())
    session.once('remoteSettings', () => {
      const stream = session.request(
        { ':method': 'CONNECT', ':protocol': 'websocket', ':path': '/ws' },
        { endStream: false },
      )
      stream.on('error', reject)
      stream.on('response', (head) => {
        // It sent no key, so there is nothing to prove.
        if (head['sec-websocket-accept'] !== undefined) reject(new Error('a proof of no key'))
        else if (head[':status'] === 200) resolve(stream)
        else reject(new Error(`answered ${head[':status']}`))
      })
    })
  })
}
