/** Lines of an access log before the end of an exchange. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { HttpConnectionManager, SocketAddress } from '@weft/model'
import { createMemoryTransport, type Socket } from '@weft/net'
import { logTypeOf } from '@weft/telemetry'
import { FakeClock } from '@weft/testkit'
import { End, settle } from '../downstream/tcp-fixture.ts'
import { ExchangeEntry } from '../observe/log-entries.ts'
import type { ExchangeRecord } from './contract.ts'
import { clusterOf, engineDeps, upstreamOf } from './engine-fixture.ts'
import { openEngine } from './open-engine.ts'

type Flush = NonNullable<HttpConnectionManager['accessLogFlush']>

interface Told {
  readonly type: string
  readonly status: number
  readonly received: number
  readonly sent: number
  readonly durationMs: number
  readonly route: string | undefined
}

/** A proxy that writes these lines, and an upstream that answers when the test says so. */
async function proxied(accessLogFlush: Flush | undefined) {
  const clock = new FakeClock()
  const transport = createMemoryTransport({ cutBytes: 65_536 })
  const deps = engineDeps(transport, clock)
  const address: SocketAddress = { host: '127.0.0.1', port: 9_000 }
  const upstream: Socket[] = []
  await transport.listen({ address }, (socket: Socket) => {
    upstream.push(socket)
    return new End()
  })
  const told: Told[] = []
  const tell = (record: ExchangeRecord) => {
    const entry = new ExchangeEntry(record)
    told.push({
      type: logTypeOf(entry),
      status: record.status,
      received: record.requestBytes,
      sent: record.responseBytes,
      durationMs: record.durationMs,
      route: record.route?.name,
    })
  }
  const observer = { onExchangeEnd: tell, onExchangeLog: tell, onConnectionEnd() {} }
  const cluster = upstreamOf(clusterOf('app', [address]), deps)
  const manager = {
    upgrades: ['websocket'],
    ...(accessLogFlush === undefined ? {} : { accessLogFlush }),
  }
  const route = { name: 'r' }
  const { listener } = await openEngine([cluster], observer, { manager, route }, deps)
  const client = new End()
  const socket = transport.connect(listener.address, client)
  const send = async (text: string) => {
    socket.write(Buffer.from(text))
    await settle()
  }
  const answer = async (text: string) => {
    upstream.at(-1)?.write(Buffer.from(text))
    await settle()
  }
  const pass = async (ms: number) => {
    clock.advance(ms)
    await settle()
  }
  const close = async () => {
    socket.close()
    upstream.at(-1)?.close()
    await settle()
  }
  return { told, send, answer, pass, close }
}

const types = (told: readonly Told[]) => told.map(({ type }) => type)
const GET = 'GET / HTTP/1.1\r\nHost: app\r\n\r\n'
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

test('a request is logged when it begins, with its route and without an answer', async () => {
  const { told, send, answer } = await proxied({ onNewRequest: true })
  await send(GET)
  assert.deepEqual(types(told), ['DownstreamStart'])
  assert.deepEqual([told[0]?.status, told[0]?.route, told[0]?.sent], [0, 'r', 0])
  await answer(OK)
  assert.deepEqual(types(told), ['DownstreamStart', 'DownstreamEnd'])
  assert.deepEqual([told[1]?.status, told[1]?.sent], [200, 2])
})

test('a long request is logged at every interval with what came so far, and not after its end', async () => {
  const { told, send, answer, pass } = await proxied({ intervalMs: 1_000 })
  await send('POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 8\r\n\r\nbody')
  await pass(1_050)
  await send('more')
  await answer('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok')
  await pass(1_050)
  await answer('ok')
  assert.deepEqual(types(told), ['DownstreamPeriodic', 'DownstreamPeriodic', 'DownstreamEnd'])
  assert.deepEqual(
    told.map(({ status, received, sent }) => [status, received, sent]),
    [
      [0, 4, 0],
      [200, 8, 2],
      [200, 8, 4],
    ],
  )
  assert.ok((told[1]?.durationMs ?? 0) >= 2_000)
  await pass(5_000)
  assert.equal(told.length, 3)
})

test('the next request of the connection has lines of its own', async () => {
  const { told, send, answer, pass } = await proxied({ intervalMs: 1_000, onNewRequest: true })
  await send(GET)
  await answer(OK)
  await pass(5_000)
  await send(GET)
  await pass(1_050)
  await answer(OK)
  const each = ['DownstreamStart', 'DownstreamEnd']
  assert.deepEqual(types(told), [...each, 'DownstreamStart', 'DownstreamPeriodic', 'DownstreamEnd'])
  assert.ok((told[3]?.durationMs ?? 0) < 2_000)
})

test('an upgrade is logged once it is a tunnel, and the tunnel at the interval', async () => {
  const { told, send, answer, pass, close } = await proxied({ intervalMs: 1_000, onTunnel: true })
  await send(
    'GET / HTTP/1.1\r\nHost: app\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n',
  )
  assert.deepEqual(types(told), [])
  await answer(
    'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n',
  )
  assert.deepEqual(types(told), ['DownstreamTunnelSuccessfullyEstablished'])
  assert.equal(told[0]?.status, 101)
  await send('question')
  await answer('answer')
  await pass(1_050)
  assert.deepEqual([told[1]?.type, told[1]?.received, told[1]?.sent], ['DownstreamPeriodic', 8, 6])
  await close()
  await pass(5_000)
  assert.deepEqual(types(told.slice(2)), ['DownstreamEnd'])
})

test('without the options there is one line', async () => {
  const { told, send, answer, pass } = await proxied(undefined)
  await send(GET)
  await pass(5_000)
  await answer(OK)
  assert.deepEqual(types(told), ['DownstreamEnd'])
})
