import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Cluster, SocketAddress, TcpProxy } from '@weft/model'
import { createMemoryTransport, type Socket, TimerWheel } from '@weft/net'
import { FakeClock } from '@weft/testkit'
import { parseProxyHeader } from '@weft/wire'
import type { ConnectionRecord, TcpRuntime } from '../exchange/contract.ts'
import { clusterOf, engineDeps, listenerRuntime, upstreamOf } from '../exchange/engine-fixture.ts'
import { openListener } from '../listen/listener.ts'
import { ListenerSlot } from '../listen/listener-slot.ts'
import { End, settle, tcpRuntime } from './tcp-fixture.ts'

const at = (port: number): SocketAddress => ({ host: '127.0.0.1', port })

interface Options {
  readonly endpoints?: readonly SocketAddress[]
  /** Those of the endpoints that accept. */
  readonly up?: readonly SocketAddress[]
  readonly proxy?: Partial<TcpProxy>
  readonly cluster?: Partial<Cluster>
}

async function proxied(options: Options) {
  const transport = createMemoryTransport()
  const clock = new FakeClock()
  const deps = { ...engineDeps(transport, clock), wheel: new TimerWheel(clock), random: () => 0 }
  const endpoints = options.endpoints ?? [at(9_000)]
  const reached: { port: number; end: End; socket: Socket }[] = []
  for (const address of options.up ?? endpoints) {
    await transport.listen({ address }, (socket) => {
      const end = new End()
      reached.push({ port: address.port, end, socket })
      return end
    })
  }
  const cluster = upstreamOf(clusterOf('db', endpoints, options.cluster), deps)
  const started: ConnectionRecord[] = []
  const ended: ConnectionRecord[] = []
  const logged: ConnectionRecord[] = []
  const observer: TcpRuntime['observer'] = {
    onExchangeEnd() {},
    onConnectionStart: (record) => void started.push(record),
    onConnectionLog: (record) => void logged.push(record),
    onConnectionEnd: (record) => void ended.push(record),
  }
  const plain = tcpRuntime(cluster, ended, { observer })
  const runtime = { ...plain, proxy: { ...plain.proxy, ...options.proxy } }
  const slot = new ListenerSlot(listenerRuntime(runtime))
  const listener = await openListener({ address: at(0) }, slot, deps)
  const connect = () => {
    const end = new End()
    return { end, client: transport.connect(listener.address, end) }
  }
  return { connect, reached, started, ended, logged, clock, listener, cluster }
}

test('a connection is told when it opens, and again when it ends', async () => {
  const { connect, started, ended, reached } = await proxied({})
  const { client } = connect()
  await settle()
  assert.deepEqual([started.length, ended.length], [1, 0])
  assert.equal(started[0]?.upstreamLocal?.host, '127.0.0.1')
  client.close()
  reached[0]?.socket.close()
  await settle()
  assert.deepEqual([started.length, ended.length], [1, 1])
  assert.equal(ended[0]?.opened, true)
})

test('a long connection is logged when it stands, at every interval with what came so far, and not after its end', async () => {
  const { connect, reached, logged, ended, clock } = await proxied({
    proxy: { accessLogFlush: { intervalMs: 1_000, onConnected: true } },
  })
  const { client } = connect()
  await settle()
  const told = () =>
    logged.map(({ logType, receivedBytes, sentBytes }) => [logType, receivedBytes, sentBytes])
  assert.deepEqual(told(), [['TcpUpstreamConnected', 0, 0]])
  client.write(Buffer.from('query'))
  reached[0]?.socket.write(Buffer.from('row'))
  await settle()
  clock.advance(1_050)
  await settle()
  client.write(Buffer.from('query'))
  await settle()
  clock.advance(1_050)
  await settle()
  assert.deepEqual(told().slice(1), [
    ['TcpPeriodic', 5, 3],
    ['TcpPeriodic', 10, 3],
  ])
  assert.ok((logged[2]?.durationMs ?? 0) >= 2_000)
  client.close()
  reached[0]?.socket.close()
  await settle()
  assert.equal(ended.length, 1)
  assert.equal(ended[0]?.logType, undefined)
  clock.advance(5_000)
  await settle()
  assert.equal(logged.length, 3)
})

test('a connection that finds no upstream was never connected', async () => {
  const { connect, logged, ended } = await proxied({
    up: [],
    proxy: { accessLogFlush: { intervalMs: 1_000, onConnected: true } },
  })
  connect()
  await settle()
  assert.deepEqual([logged.length, ended.length], [0, 1])
})

test('a connection ends when it has lasted as long as it may', async () => {
  const { connect, ended, clock, reached, listener, cluster } = await proxied({
    proxy: { maxConnectionDurationMs: 60_000 },
  })
  const { client, end } = connect()
  client.write(Buffer.from('still here'))
  await settle()
  clock.advance(59_000)
  await settle()
  assert.equal(end.isOver, false)
  clock.advance(2_000)
  await settle()
  assert.deepEqual([end.isOver, reached[0]?.end.isOver], [true, true])
  assert.equal(ended[0]?.responseFlags, 'DT')
  assert.deepEqual([listener.connections, cluster.limits.inUse().connections], [0, 0])
})

test('an endpoint that refuses is followed by another one, as often as allowed', async () => {
  const endpoints = [at(9_001), at(9_002), at(9_003)]
  const loadBalancer = { kind: 'roundRobin' } as const
  const enough = await proxied({
    endpoints,
    up: [at(9_003)],
    proxy: { maxConnectAttempts: 3 },
    cluster: { loadBalancer },
  })
  enough.connect().client.write(Buffer.from('hello'))
  await settle()
  assert.equal(enough.reached[0]?.end.text, 'hello')
  const attempts = enough.started[0]?.attempts ?? 0
  assert.ok(attempts >= 1 && attempts <= 3)

  const none = await proxied({
    endpoints,
    up: [],
    proxy: { maxConnectAttempts: 3 },
    cluster: { loadBalancer },
  })
  const { end } = none.connect()
  await settle()
  assert.equal(end.isOver, true)
  assert.deepEqual([none.ended[0]?.attempts, none.ended[0]?.responseFlags], [3, 'UF,URX'])
  assert.deepEqual([none.ended[0]?.opened, none.started.length], [false, 0])
  assert.deepEqual(
    none.cluster.hosts.map(({ activeRequests }) => activeRequests),
    [0, 0, 0],
  )
})

test('flags say why there is no upstream', async () => {
  const nowhere = await proxied({ proxy: { targets: [{ cluster: 'gone', weight: 1 }] } })
  nowhere.connect()
  const empty = await proxied({ endpoints: [] })
  empty.connect()
  const limits = { maxConnections: 0, maxPendingRequests: 1, maxRequests: 1, maxRetries: 1 }
  const full = await proxied({ cluster: { limits } })
  full.connect()
  await settle()
  const flags = [nowhere, empty, full].map(({ ended }) => ended[0]?.responseFlags)
  assert.deepEqual(flags, ['NC', 'UH', 'UO'])
})

test('the same client address leads to the same endpoint where the balancer hashes', async () => {
  const endpoints = Array.from({ length: 5 }, (_, i) => at(9_001 + i))
  const { connect, reached } = await proxied({
    endpoints,
    proxy: { hashSourceIp: true },
    cluster: { loadBalancer: { kind: 'maglev', tableSize: 251 } },
  })
  for (let i = 0; i < 8; i++) connect()
  await settle()
  assert.equal(reached.length, 8)
  assert.equal(new Set(reached.map(({ port }) => port)).size, 1)
})

test('the upstream is told both ends of the client’s connection before its bytes', async () => {
  for (const version of ['v1', 'v2'] as const) {
    const { connect, reached, started } = await proxied({ cluster: { proxyProtocol: version } })
    connect().client.write(Buffer.from('query'))
    await settle()
    const bytes = Buffer.from(reached[0]?.end.text ?? '', 'latin1')
    const result = parseProxyHeader(bytes, bytes.length)
    assert.equal(result.kind, 'header')
    if (result.kind !== 'header') return
    assert.deepEqual(result.header.addresses, {
      source: started[0]?.downstreamRemote,
      destination: started[0]?.downstreamLocal,
    })
    assert.equal(bytes.toString('latin1', result.length), 'query')
  }
})

test('a health check speaks for itself', async () => {
  const { reached, cluster } = await proxied({
    cluster: {
      proxyProtocol: 'v2',
      healthChecks: [
        {
          probe: { kind: 'tcp', receive: [Buffer.from('ready')] },
          jitterMs: 0,
          timeoutMs: 1_000,
          intervalMs: 1_000,
          unhealthyThreshold: 1,
          healthyThreshold: 1,
        },
      ],
    },
  })
  await settle()
  assert.ok(reached.length > 0)
  const bytes = Buffer.from(reached[0]?.end.text ?? '', 'latin1')
  const result = parseProxyHeader(bytes, bytes.length)
  assert.deepEqual(result, {
    kind: 'header',
    header: { version: 2, tlvs: [] },
    length: bytes.length,
  })
  cluster.close()
})
