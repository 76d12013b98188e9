import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SocketAddress } from '@weft/model'
import { createMemoryTransport, type Socket, type SocketHandler } from '@weft/net'
import type { LogFacts } from '@weft/telemetry'
import { FakeClock } from '@weft/testkit'
import { parseProxyHeader, renderProxyHeader } from '@weft/wire'
import type { ExchangeRecord } from '../exchange/contract.ts'
import {
  clusterOf,
  engineDeps,
  forwardTo,
  httpRuntime,
  MANAGER,
  routeOf,
  tableOf,
  upstreamOf,
} from '../exchange/engine-fixture.ts'
import { ExchangeEntry } from '../observe/log-entries.ts'
import { openListener } from './listener.ts'
import { ListenerSlot } from './listener-slot.ts'

const REQUEST = 'GET / HTTP/1.1\r\nhost: web\r\n\r\n'
const ANSWER = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'
const CLIENT = { host: '192.0.2.7', port: 4_711 }
const SERVICE = { host: '198.51.100.1', port: 443 }
const HEADERS = {
  v1: Buffer.from(renderProxyHeader('v1', { source: CLIENT, destination: SERVICE })),
  v2: Buffer.from(renderProxyHeader('v2', { source: CLIENT, destination: SERVICE })),
}

class End implements SocketHandler {
  text = ''
  isOver = false
  onOpen() {}
  onData(bytes: Uint8Array, length: number) {
    this.text += Buffer.from(bytes.subarray(0, length)).toString('latin1')
  }
  onEnd() {
    this.isOver = true
  }
  onDrain() {}
  onClose() {
    this.isOver = true
  }
}

async function settle(): Promise<void> {
  for (let i = 0; i < 60; i++) await new Promise(setImmediate)
}

interface Options {
  readonly mode?: 'required' | 'optional'
  readonly cutBytes?: number
  /** What the proxy announces itself as to the upstream. */
  readonly upstream?: 'v1' | 'v2'
  readonly xffTrustedHops?: number
}

/** An edge listener in front of an application that answers every request. */
async function edge({ mode, cutBytes = 65_536, upstream, xffTrustedHops = 0 }: Options) {
  const transport = createMemoryTransport({ cutBytes })
  const clock = new FakeClock()
  const deps = engineDeps(transport, clock)
  const address = { host: '127.0.0.1', port: 9_000 }
  const requests: string[] = []
  await transport.listen({ address }, (socket: Socket) => {
    const end = new End()
    const at = requests.push('') - 1
    end.onData = (bytes, length) => {
      requests[at] += Buffer.from(bytes.subarray(0, length)).toString('latin1')
      if (requests[at]?.endsWith('\r\n\r\n')) socket.write(Buffer.from(ANSWER))
    }
    return end
  })
  const model = clusterOf('web', [address], upstream && { proxyProtocol: upstream })
  const cluster = upstreamOf(model, deps)
  const clients: SocketAddress[] = []
  const told: Pick<LogFacts, 'downstreamDirectAddress' | 'downstreamRemoteAddress'>[] = []
  const handler = httpRuntime(tableOf([routeOf(forwardTo('web'))]), [cluster], {
    manager: { ...MANAGER, useRemoteAddress: true, xffTrustedHops },
    observer: {
      onExchangeEnd(record: ExchangeRecord) {
        clients.push(record.downstreamRemote)
        const { downstreamDirectAddress, downstreamRemoteAddress } = new ExchangeEntry(record)
        told.push({ downstreamDirectAddress, downstreamRemoteAddress })
      },
      onConnectionEnd() {},
    },
  })
  const match = { destinationPrefixes: [], sourcePrefixes: [], serverNames: [] } as const
  const runtime = {
    name: 'test',
    direction: 'unspecified',
    ...(mode === undefined ? {} : { proxyProtocol: mode }),
    chains: [{ name: 'only', match: { ...match, applicationProtocols: [] }, handler }],
  } as const
  const listener = await openListener(
    { address: { host: '127.0.0.1', port: 0 } },
    new ListenerSlot(runtime),
    deps,
  )
  const connect = (...pieces: (string | Buffer)[]) => {
    const end = new End()
    const socket = transport.connect(listener.address, end)
    for (const piece of pieces) socket.write(Buffer.from(piece as string))
    return { end, socket }
  }
  return { connect, clients, told, requests, clock, listener, cluster }
}

test('the client is who the header names: in the log, and in x-forwarded-for', async () => {
  for (const header of [HEADERS.v1, HEADERS.v2]) {
    for (const cutBytes of [65_536, 1, 7]) {
      const { connect, clients, requests } = await edge({ mode: 'required', cutBytes })
      const { end } = connect(Buffer.concat([header, Buffer.from(REQUEST)]))
      await until(() => end.text.endsWith('ok'))
      assert.match(end.text, /^HTTP\/1\.1 200 OK\r\n/)
      assert.deepEqual(clients, [CLIENT])
      assert.match(requests[0] ?? '', /x-forwarded-for: 192\.0\.2\.7\r\n/)
    }
  }
})

test('the log has both: who the client is, and who relays it', async () => {
  const { connect, told } = await edge({ mode: 'required' })
  const announced = connect(HEADERS.v2, REQUEST)
  await until(() => announced.end.text.endsWith('ok'))
  assert.deepEqual(told[0]?.downstreamRemoteAddress, CLIENT)
  assert.equal(told[0]?.downstreamDirectAddress?.host, '127.0.0.1')

  // A trusted hop says who its client is; of an address in a header nobody knows the port.
  const behind = await edge({ xffTrustedHops: 1 })
  const { end } = behind.connect(
    'GET / HTTP/1.1\r\nhost: web\r\nx-forwarded-for: 203.0.113.9\r\n\r\n',
  )
  await until(() => end.text.endsWith('ok'))
  assert.deepEqual(behind.told[0]?.downstreamRemoteAddress, { host: '203.0.113.9', port: 0 })
  assert.equal(behind.told[0]?.downstreamDirectAddress?.host, '127.0.0.1')
})

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 5_000 && !condition(); i++) await new Promise(setImmediate)
  assert.ok(condition())
}

test('a header that names nobody leaves the connection its own address', async () => {
  const local = Buffer.from(renderProxyHeader('v2', undefined))
  for (const header of [local, Buffer.from('PROXY UNKNOWN\r\n')]) {
    const { connect, clients } = await edge({ mode: 'required' })
    const { end } = connect(header, REQUEST)
    await settle()
    assert.match(end.text, /^HTTP\/1\.1 200 OK/)
    assert.equal(clients[0]?.host, '127.0.0.1')
  }
})

test('without a header, or with a wrong one, the connection is closed unheard', async () => {
  const wrong = [REQUEST, 'PROXY TCP4 1.2.3.4 nowhere 1 2\r\n', HEADERS.v1.subarray(2)]
  for (const first of wrong) {
    const { connect, clients, requests, listener } = await edge({ mode: 'required' })
    const { end } = connect(first, REQUEST)
    await settle()
    assert.deepEqual([end.isOver, end.text, clients.length, requests.length], [true, '', 0, 0])
    assert.equal(listener.connections, 0)
  }
})

test('where the header is optional, other first bytes are the connection’s own', async () => {
  const { connect, clients } = await edge({ mode: 'optional', cutBytes: 3 })
  const plain = connect(REQUEST)
  await until(() => plain.end.text.endsWith('ok'))
  const announced = connect(HEADERS.v2, REQUEST)
  await until(() => announced.end.text.endsWith('ok'))
  assert.deepEqual(
    clients.map(({ host }) => host),
    ['127.0.0.1', CLIENT.host],
  )
  const { end } = connect('PROXY TCP4 wrong\r\n')
  await until(() => end.isOver)
})

test('a header that does not come is waited for only so long', async () => {
  const { connect, clock, listener } = await edge({ mode: 'required' })
  const { end } = connect(HEADERS.v2.subarray(0, 20))
  await settle()
  assert.equal(end.isOver, false)
  clock.advance(16_000)
  await settle()
  assert.equal(end.isOver, true)
  assert.equal(listener.connections, 0)
})

test('the upstream is told the client, and gets no other client’s requests', async () => {
  for (const version of ['v1', 'v2'] as const) {
    const { connect, requests, cluster } = await edge({ mode: 'required', upstream: version })
    const first = connect(HEADERS[version], REQUEST)
    await settle()
    first.socket.write(Buffer.from(REQUEST))
    await settle()
    const other = { host: '192.0.2.8', port: 1 }
    connect(Buffer.from(renderProxyHeader('v1', { source: other, destination: SERVICE })), REQUEST)
    await settle()
    assert.equal(requests.length, 2, 'one connection for each client')
    assert.equal(requests[0]?.split('GET /').length, 3, 'which carries all of its requests')
    for (const [i, source] of [CLIENT, other].entries()) {
      const bytes = Buffer.from(requests[i] ?? '', 'latin1')
      const result = parseProxyHeader(bytes, bytes.length)
      assert.equal(result.kind, 'header')
      if (result.kind !== 'header') return
      assert.deepEqual(result.header.addresses, { source, destination: SERVICE })
      assert.equal(result.header.version, version === 'v1' ? 1 : 2)
      assert.match(bytes.toString('latin1', result.length), /^GET \/ /)
    }
    const [host] = cluster.hosts
    assert.equal(host && cluster.connectionsOf(host), 2)
  }
})
