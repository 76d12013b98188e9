/** R22: what clients see of each overload action, over real sockets. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectHttp2, constants } from 'node:http2'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { after, test } from 'node:test'
import { FakeClock } from '@weft/testkit'
import type { ExchangeRecord } from '../exchange/contract.ts'
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
import type { Holding } from './heaviest.ts'
import { OverloadState } from './overload-state.ts'

const closers: (() => void)[] = []
after(() => {
  for (const close of closers) close()
})

async function fixture(clock?: FakeClock) {
  const app = createServer((socket) => {
    closers.push(() => socket.destroy())
    socket.on('error', () => undefined)
    socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'))
  }).listen(0, '127.0.0.1')
  await once(app, 'listening')
  closers.push(() => app.close())
  const overload = new OverloadState(1_000, () => 0.5)
  const deps = { ...engineDeps(undefined, clock), overload }
  const address = { host: '127.0.0.1', port: (app.address() as AddressInfo).port }
  const records: { status: number; flags: string; details: string }[] = []
  const observer = {
    onExchangeEnd({ status, responseFlags: flags, responseCodeDetails: details }: ExchangeRecord) {
      records.push({ status, flags, details })
    },
    onConnectionEnd() {},
  }
  const cluster = upstreamOf(clusterOf('app', [address]), deps)
  const manager = { ...MANAGER, idleTimeoutMs: 60_000 }
  const runtime = httpRuntime(tableOf([routeOf(forwardTo('app'))]), [cluster], {
    observer,
    manager,
  })
  const slot = new ListenerSlot(listenerRuntime(runtime))
  const listener = await openListener({ address: { host: '127.0.0.1', port: 0 } }, slot, deps)
  closers.push(() => void listener.close())
  return { listener, overload, records, port: listener.address.port }
}

async function dial(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  closers.push(() => socket.destroy())
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  return socket
}

async function ask(socket: Socket): Promise<string> {
  socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  const [bytes] = await once(socket, 'data')
  return String(bytes)
}

test('stop_accepting_requests: 503 with Envoy’s details and flag, and the connection stays', async () => {
  const { port, overload, records } = await fixture()
  const socket = await dial(port)
  overload.refusePercent = 100
  const answer = await ask(socket)
  assert.match(answer, /^HTTP\/1\.1 503 /)
  assert.match(answer, /x-envoy-local-overloaded: true/)
  assert.deepEqual(records, [{ status: 503, flags: 'OM', details: 'overload' }])
  overload.refusePercent = 40
  assert.match(await ask(socket), /^HTTP\/1\.1 200 /)
  assert.equal(overload.counts.requests, 1)
})

test('disable_http_keepalive: the next answer closes; afterwards connections stay again', async () => {
  const { port, overload } = await fixture()
  const socket = await dial(port)
  assert.doesNotMatch(await ask(socket), /connection: close/i)
  overload.dropsKeepAlive = true
  const ended = once(socket, 'end')
  assert.match(await ask(socket), /connection: close/i)
  await ended
  overload.dropsKeepAlive = false
  assert.doesNotMatch(await ask(await dial(port)), /connection: close/i)
})

test('disable_http_keepalive: an HTTP/2 client is told to go elsewhere', async () => {
  const { port, overload } = await fixture()
  const session = connectHttp2(`http://127.0.0.1:${port}`)
  closers.push(() => session.destroy())
  overload.dropsKeepAlive = true
  const goaway = once(session, 'goaway')
  const stream = session.request({ [constants.HTTP2_HEADER_PATH]: '/' })
  const [headers] = await once(stream, 'response')
  assert.equal(headers[':status'], 200)
  assert.deepEqual((await goaway)[0], constants.NGHTTP2_NO_ERROR)
})

test('reject_incoming_connections: what is open works on', async () => {
  const { port, overload } = await fixture()
  const open = await dial(port)
  overload.rejectPercent = 100
  const refused = connect(port, '127.0.0.1')
  refused.on('error', () => undefined)
  // Reset, or closed if it was faster than the reset.
  await once(refused, 'close').catch(() => undefined)
  assert.match(await ask(open), /^HTTP\/1\.1 200 /)
  assert.equal(overload.counts.connections, 1)
})

test('reduce_timeouts: a connection that rests already ends earlier', async () => {
  const clock = new FakeClock()
  const { port, overload, listener } = await fixture(clock)
  const socket = await dial(port)
  await ask(socket)
  const ended = once(socket, 'close')
  overload.idleReduction = 1
  listener.shortenIdle()
  for (let i = 0; i < 60; i++) clock.advance(25)
  socket.resume()
  await ended
  assert.equal(listener.connections, 0)
})

test('reset_high_memory_stream: who holds most is found, and ends', async () => {
  const { port, listener, records } = await fixture()
  const socket = await dial(port)
  // A head that is not complete yet is held.
  socket.write(`POST / HTTP/1.1\r\nHost: a\r\nx-long: ${'a'.repeat(40_000)}\r\n`)
  const holdings: Holding[] = []
  while (holdings.every(({ bytes }) => bytes < 40_000)) {
    await new Promise((resolve) => setImmediate(resolve))
    holdings.length = 0
    listener.addHoldings(holdings)
  }
  assert.equal(holdings.length, 1)
  const answer = once(socket, 'data')
  holdings[0]?.cut()
  assert.match(String((await answer)[0]), /^HTTP\/1\.1 503 [\s\S]*connection: close/i)
  await once(socket, 'end')
  assert.deepEqual(records, [{ status: 503, flags: 'OM', details: 'overload' }])
})
