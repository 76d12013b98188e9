import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ProxyHeaderRules, ProxyTlvs, SocketAddress } from '@weft/model'
import { createMemoryTransport, type Socket } from '@weft/net'
import type { LogFacts } from '@weft/telemetry'
import { FakeClock } from '@weft/testkit'
import { type ProxyTlv, parseProxyHeader, renderProxyHeader } from '@weft/wire'
import { End, settle } from '../downstream/tcp-fixture.ts'
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

interface Options {
  readonly mode?: 'required' | 'optional'
  readonly cutBytes?: number
  /** What the proxy announces itself as to the upstream. */
  readonly upstream?: 'v1' | 'v2'
  readonly xffTrustedHops?: number
  readonly rules?: ProxyHeaderRules
  readonly tlvs?: ProxyTlvs
}

/** An edge listener in front of an application that answers every request. */
async function edge(options: Options) {
  const { mode, cutBytes = 65_536, upstream, xffTrustedHops = 0, rules, tlvs } = options
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
  const model = clusterOf('web', [address], {
    ...(upstream === undefined ? {} : { proxyProtocol: upstream }),
    ...(tlvs === undefined ? {} : { proxyTlvs: tlvs }),
  })
  const cluster = upstreamOf(model, deps)
  const clients: SocketAddress[] = []
  const told: Pick<LogFacts, 'downstreamDirectAddress' | 'downstreamRemoteAddress'>[] = []
  const metadata: unknown[] = []
  const handler = httpRuntime(tableOf([routeOf(forwardTo('web'))]), [cluster], {
    manager: { ...MANAGER, useRemoteAddress: true, xffTrustedHops },
    observer: {
      onExchangeEnd(record: ExchangeRecord) {
        clients.push(record.downstreamRemote)
        metadata.push(record.metadata?.('edge'))
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
    ...(rules === undefined ? {} : { proxyHeader: rules }),
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
  return { connect, clients, told, metadata, requests, clock, listener, cluster }
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

/** What the upstream's connections began with, in the order of the connections. */
function tlvsOf(requests: readonly string[]): readonly (readonly [number, string])[][] {
  return requests.map((text) => {
    const bytes = Buffer.from(text, 'latin1')
    const result = parseProxyHeader(bytes, bytes.length)
    assert.equal(result.kind, 'header')
    if (result.kind !== 'header') return []
    return result.header.tlvs.map(({ type, value }) => [type, Buffer.from(value).toString()])
  })
}

const AUTHORITY = { type: 0x02, value: Buffer.from('shop.example.com') }
const VPC = { type: 0xea, value: Buffer.from('vpce-1') }
const ENDS = { source: CLIENT, destination: SERVICE }
const withTlvs = (...tlvs: ProxyTlv[]) => Buffer.from(renderProxyHeader('v2', ENDS, tlvs))

test('TLVs are passed on that the listener keeps and the cluster passes', async () => {
  const cases: [
    ProxyHeaderRules | undefined,
    ProxyTlvs | undefined,
    (readonly [number, string])[],
  ][] = [
    [
      { keeps: 'all' },
      { passes: 'all' },
      [
        [2, 'shop.example.com'],
        [0xea, 'vpce-1'],
      ],
    ],
    [{ keeps: [0xea] }, { passes: 'all' }, [[0xea, 'vpce-1']]],
    [{ keeps: 'all' }, { passes: [0x02] }, [[2, 'shop.example.com']]],
    [{ keeps: [0xea] }, { passes: [0x02] }, []],
    [undefined, { passes: 'all' }, []],
    [{ keeps: 'all' }, undefined, []],
  ]
  for (const [rules, tlvs, expected] of cases) {
    for (const cutBytes of [65_536, 5]) {
      const { connect, requests } = await edge({
        mode: 'required',
        upstream: 'v2',
        cutBytes,
        ...(rules && { rules }),
        ...(tlvs && { tlvs }),
      })
      const { end } = connect(withTlvs(AUTHORITY, VPC), REQUEST)
      await until(() => end.text.endsWith('ok'))
      assert.deepEqual(tlvsOf(requests), [expected])
    }
  }
})

test('an added TLV stands in place of a passed one of its type, and v1 has none', async () => {
  const adds = [{ type: 0xea, value: Buffer.from('ours') }]
  const tlvs = { passes: 'all', adds } as const
  const { connect, requests } = await edge({
    mode: 'optional',
    upstream: 'v2',
    rules: { keeps: 'all' },
    tlvs,
  })
  const relayed = connect(withTlvs(VPC, AUTHORITY), REQUEST)
  await until(() => relayed.end.text.endsWith('ok'))
  const plain = connect(REQUEST)
  await until(() => plain.end.text.endsWith('ok'))
  assert.deepEqual(tlvsOf(requests), [
    [
      [0xea, 'ours'],
      [2, 'shop.example.com'],
    ],
    [[0xea, 'ours']],
  ])
  const old = await edge({ mode: 'required', upstream: 'v1', rules: { keeps: 'all' }, tlvs })
  const { end } = old.connect(withTlvs(VPC), REQUEST)
  await until(() => end.text.endsWith('ok'))
  assert.match(old.requests[0] ?? '', /^PROXY TCP4 192\.0\.2\.7 198\.51\.100\.1 4711 443\r\nGET /)
})

test('clients with the same ends and other TLVs do not share a connection', async () => {
  const { connect, requests } = await edge({
    mode: 'required',
    upstream: 'v2',
    rules: { keeps: 'all' },
    tlvs: { passes: 'all' },
  })
  for (const name of ['vpce-1', 'vpce-2', 'vpce-1']) {
    const { end, socket } = connect(withTlvs({ type: 0xea, value: Buffer.from(name) }), REQUEST)
    await until(() => end.text.endsWith('ok'))
    socket.close()
    await settle()
  }
  assert.deepEqual(tlvsOf(requests), [[[0xea, 'vpce-1']], [[0xea, 'vpce-2']]])
  assert.equal(requests[0]?.split('GET /').length, 3)
})

test('TLVs that a rule names are metadata of the connection', async () => {
  const rules = {
    metadata: [
      { type: 0xea, namespace: 'edge', key: 'endpoint' },
      { type: 0x05, namespace: 'edge', key: 'unique' },
    ],
  } as const
  const { connect, metadata } = await edge({ mode: 'optional', rules })
  for (const first of [withTlvs(VPC), HEADERS.v1, Buffer.alloc(0)]) {
    const { end } = connect(first, REQUEST)
    await until(() => end.text.endsWith('ok'))
  }
  assert.deepEqual(JSON.parse(JSON.stringify(metadata)), [{ endpoint: 'vpce-1' }, null, null])
})

test('a version that is not allowed is no header: refused, or the connection’s own bytes', async () => {
  const strict = await edge({ mode: 'required', rules: { refuses: 'v1' } })
  const refused = strict.connect(HEADERS.v1, REQUEST)
  await until(() => refused.end.isOver)
  const taken = strict.connect(HEADERS.v2, REQUEST)
  await until(() => taken.end.text.endsWith('ok'))
  assert.deepEqual(strict.clients, [CLIENT])
  const open = await edge({ mode: 'optional', rules: { refuses: 'v1' } })
  const { end } = open.connect(HEADERS.v1, REQUEST)
  await until(() => end.isOver)
  assert.match(end.text, /^HTTP\/1\.1 400 /)
})
