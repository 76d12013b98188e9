import assert from 'node:assert/strict'
import http from 'node:http'
import http2 from 'node:http2'
import net, { type AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import { createHandleTransport } from '@weft/net'
import { eventually, FakeClock } from '@weft/testkit'
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
const cleanups: (() => unknown)[] = []
after(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup()
})

/** An application behind a wire that can be cut without either end noticing. */
async function application() {
  const server = http2.createServer()
  const waiting: http2.ServerHttp2Stream[] = []
  server.on('session', (session) => session.on('error', () => undefined))
  server.on('stream', (stream: http2.ServerHttp2Stream, headers) => {
    stream.on('error', () => undefined)
    if (headers[':path'] === '/slow') waiting.push(stream)
    else answer(stream)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const wires: { cut: boolean; readonly client: net.Socket }[] = []
  const wireServer = net.createServer((client) => {
    const wire = { cut: false, client }
    wires.push(wire)
    const behind = net.connect(port, '127.0.0.1')
    for (const socket of [client, behind]) socket.on('error', () => undefined)
    client.on('data', (bytes) => wire.cut || behind.write(bytes))
    behind.on('data', (bytes) => wire.cut || client.write(bytes))
    client.on('close', () => behind.destroy())
  })
  await new Promise<void>((resolve) => wireServer.listen(0, '127.0.0.1', resolve))
  cleanups.push(() => {
    wireServer.close()
    server.close()
    for (const { client } of wires) client.destroy()
  })
  return { port: (wireServer.address() as AddressInfo).port, wires, waiting }
}

function answer(stream: http2.ServerHttp2Stream): void {
  stream.respond({ ':status': 200 })
  stream.end('ok')
}

async function proxyTo(port: number, clock: FakeClock) {
  const deps = engineDeps(createHandleTransport(), clock)
  const http = {
    protocol: 'http2',
    idleTimeoutMs: 0,
    maxRequestsPerConnection: 0,
    maxConcurrentStreams: 0,
  } as const
  const cluster = upstreamOf(clusterOf('up', [{ host: '127.0.0.1', port }], { http }), deps)
  const slot = new ListenerSlot()
  slot.publish(listenerRuntime(httpRuntime(tableOf([routeOf(forwardTo('up'))]), [cluster])))
  const listener = await openListener({ address: LOOPBACK }, slot, deps)
  cleanups.push(async () => {
    cluster.close()
    await listener.close()
  })
  return listener.address.port
}

function call(port: number, path: string) {
  const req = http.request({ port, host: '127.0.0.1', path, agent: false })
  const status = new Promise<number>((resolve, reject) => {
    req.on('response', (res) => {
      res.resume()
      res.on('end', () => resolve(res.statusCode ?? 0))
    })
    req.on('error', reject)
  })
  status.catch(() => undefined)
  req.end()
  return { req, status }
}

test('a silent connection is left by new requests at once and by all others when it is dead', async () => {
  const { port, wires } = await application()
  const clock = new FakeClock()
  const proxy = await proxyTo(port, clock)
  assert.equal(await call(proxy, '/').status, 200)
  const [first] = wires
  assert.ok(first)
  first.cut = true
  const givenUp = call(proxy, '/')
  const patient = call(proxy, '/')
  // Both have to be on their way before time passes: the wire drops what they sent.
  await eventually(() => assert.ok(first.client.bytesRead > 0))
  await new Promise((resolve) => setImmediate(resolve))
  clock.advance(1_500)
  givenUp.req.socket?.resetAndDestroy()
  await eventually(async () => {
    const next = call(proxy, '/')
    const timeout = new Promise<number>((resolve) => setTimeout(() => resolve(0), 200))
    const status = await Promise.race([next.status, timeout])
    if (status !== 200) next.req.socket?.resetAndDestroy()
    assert.equal(status, 200)
  })
  assert.equal(wires.length, 2)
  clock.advance(3_000)
  assert.equal(await patient.status, 200)
  await eventually(() => assert.ok(first.client.destroyed))
})

test('a slow connection that answers the PING is used on', async () => {
  const { port, wires, waiting } = await application()
  const clock = new FakeClock()
  const proxy = await proxyTo(port, clock)
  assert.equal(await call(proxy, '/').status, 200)
  const givenUp = call(proxy, '/slow')
  const patient = call(proxy, '/slow')
  await eventually(() => assert.equal(waiting.length, 2))
  clock.advance(1_500)
  givenUp.req.socket?.resetAndDestroy()
  await eventually(() => assert.ok(waiting.some(({ closed }) => closed)))
  clock.advance(10_000)
  for (const stream of waiting) if (!stream.closed) answer(stream)
  assert.equal(await patient.status, 200)
  assert.equal(wires[0]?.client.destroyed, false)
})
