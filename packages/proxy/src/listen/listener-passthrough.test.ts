/** TLS that is routed by its server name and not ended here. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { connect as tlsConnect, createServer as tlsServer } from 'node:tls'
import { type FilterChainMatch, MATCH_ALL } from '@weft/model'
import { createMemoryTransport, type SocketHandler, type Transport } from '@weft/net'
import { createTestCa, FakeClock } from '@weft/testkit'
import type { ConnectionRecord, TcpRuntime } from '../exchange/contract.ts'
import { clusterOf, engineDeps, upstreamOf } from '../exchange/engine-fixture.ts'
import { openListener } from './listener.ts'
import { ListenerSlot } from './listener-slot.ts'

/** What Node's client sends first, with a post-quantum key share. */
async function realHello(servername: string | undefined): Promise<Buffer> {
  const server = (await import('node:net')).createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const accepted = once(server, 'connection')
  const client = tlsConnect({
    host: '127.0.0.1',
    port,
    ...(servername === undefined ? {} : { servername }),
    ecdhCurve: 'X25519MLKEM768:X25519',
  })
  client.on('error', () => undefined)
  const [socket] = await accepted
  const [bytes] = (await once(socket, 'data')) as [Buffer]
  client.destroy()
  socket.destroy()
  server.close()
  return bytes
}

/** The same handshake message, in records of at most `size` bytes. */
function inRecords(hello: Buffer, size: number): Buffer {
  const message = hello.subarray(5)
  const records: Buffer[] = []
  for (let at = 0; at < message.length; at += size) {
    const part = message.subarray(at, at + size)
    records.push(Buffer.from([22, 3, 1, part.length >> 8, part.length & 255]), part)
  }
  return Buffer.concat(records)
}

async function settle(turns = 60): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise(setImmediate)
}

const HOSTS = ['a.test', '*.b.test', 'other']

/** Chains for two server names, and one for everything else; each leads to a cluster of its own. */
async function gateway(transport: Transport, ports: readonly number[]) {
  const clock = new FakeClock()
  const deps = engineDeps(transport, transport.name === 'memory' ? clock : undefined)
  const records: ConnectionRecord[] = []
  const chainOf = (name: string, port: number, match: FilterChainMatch) => {
    const cluster = upstreamOf(clusterOf(name, [{ host: '127.0.0.1', port }]), deps)
    const handler: TcpRuntime = {
      kind: 'tcp',
      listener: 'test',
      direction: 'unspecified',
      proxy: {
        kind: 'tcp',
        statPrefix: name,
        targets: [{ cluster: name, weight: 1 }],
        idleTimeoutMs: 0,
        accessLogs: [],
      },
      clusters: new Map([[name, cluster]]),
      observer: { onExchangeEnd() {}, onConnectionEnd: (record) => void records.push(record) },
    }
    return { name, match, handler }
  }
  const chains = HOSTS.map((host, i) =>
    chainOf(
      host,
      ports[i] ?? 0,
      host === 'other' ? MATCH_ALL : { ...MATCH_ALL, serverNames: [host] },
    ),
  )
  const slot = new ListenerSlot({ name: 'test', direction: 'unspecified', chains })
  const listener = await openListener({ address: { host: '127.0.0.1', port: 0 } }, slot, deps)
  return { listener, records, clock }
}

/** Endpoints that only keep what they get. */
async function recording(cutBytes: number) {
  const transport = createMemoryTransport({ cutBytes })
  const got: string[] = ['', '', '']
  const ports = [9_001, 9_002, 9_003]
  for (const [i, port] of ports.entries()) {
    await transport.listen({ address: { host: '127.0.0.1', port } }, () => ({
      onOpen() {},
      onData(bytes, length) {
        got[i] += Buffer.from(bytes.subarray(0, length)).toString('latin1')
      },
      onEnd() {},
      onDrain() {},
      onClose() {},
    }))
  }
  const made = await gateway(transport, ports)
  const nobody: SocketHandler = { onOpen() {}, onData() {}, onEnd() {}, onDrain() {}, onClose() {} }
  const send = async (bytes: Buffer) => {
    const client = transport.connect(made.listener.address, nobody)
    client.write(bytes)
    await settle(60 + (4 * bytes.length) / cutBytes)
    return client
  }
  return { ...made, got, send }
}

test('a hello over any segments and records goes, untouched, where its name says', async () => {
  const hellos = [
    await realHello('a.test'),
    await realHello('x.b.test'),
    await realHello(undefined),
  ]
  for (const [i, hello] of hellos.entries()) {
    assert.ok(hello.length > 1_300)
    for (const [cutBytes, recordBytes] of [
      [65_536, 16_384],
      [1_448, 600],
      [7, 16_384],
      [1, 100],
    ] as const) {
      const { got, send } = await recording(cutBytes)
      const bytes = inRecords(hello, recordBytes)
      await send(bytes)
      assert.equal(got[i]?.length, bytes.length, `chain ${i}, cut at ${cutBytes}`)
      assert.equal(got[i], bytes.toString('latin1'))
      assert.equal(got.filter((text) => text !== '').length, 1)
    }
  }
})

test('what begins as TLS and is none goes where bytes of no protocol go', async () => {
  for (const bytes of [
    Buffer.from([22, 3, 1, 0, 5, 2, 0, 0, 1, 0]),
    Buffer.from([22, 3, 1, 0xff, 0xff, 1]),
    Buffer.from([22, 9, 9, 9, 9]),
    Buffer.from('SSH-2.0-OpenSSH_9.6\r\n'),
  ]) {
    const { got, send } = await recording(3)
    await send(bytes)
    assert.deepEqual(got, ['', '', bytes.toString('latin1')])
  }
})

test('a hello that does not go on is given up', async () => {
  const { got, send, clock, listener } = await recording(65_536)
  const hello = await realHello('a.test')
  await send(hello.subarray(0, 900))
  assert.equal(listener.connections, 1)
  for (let i = 0; i < 12; i++) clock.advance(1_000)
  await settle()
  assert.deepEqual([got.join(''), listener.connections], ['', 0])
})

test('Node’s own peers shake hands through it, and the log knows the server name', async () => {
  const { certPem, keyPem } = createTestCa().issue({ dns: ['a.test'] })
  const server = tlsServer({ cert: certPem, key: keyPem }, (socket) => socket.end('hello'))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const { listener, records } = await gateway(engineDeps().transport, [port, 1, 1])
  const client = tlsConnect({
    host: '127.0.0.1',
    port: listener.address.port,
    servername: 'a.test',
    rejectUnauthorized: false,
  })
  const [bytes] = await once(client, 'data')
  assert.equal(String(bytes), 'hello')
  client.destroy()
  while (records.length === 0) await new Promise(setImmediate)
  assert.equal(records[0]?.serverName, 'a.test')
  assert.equal(records[0]?.cluster?.name, 'a.test')
  await listener.close()
  server.close()
})
