import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MATCH_ALL } from '@weft/model'
import { createMemoryTransport, type Socket } from '@weft/net'
import { FakeClock } from '@weft/testkit'
import { End, settle, tcpRuntime } from '../downstream/tcp-fixture.ts'
import type { ConnectionRecord, ListenerRuntime } from '../exchange/contract.ts'
import {
  clusterOf,
  engineDeps,
  forwardTo,
  httpRuntime,
  routeOf,
  tableOf,
  upstreamOf,
} from '../exchange/engine-fixture.ts'
import { openListener } from './listener.ts'
import { ListenerSlot } from './listener-slot.ts'

const GREETING = Buffer.from('4a0000000a382e342e3000', 'hex').toString('latin1')
const HTTP_ANSWER = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'

interface Server {
  /** What it says as soon as somebody connects; absent: it waits. */
  readonly greeting?: string
  readonly isUp?: boolean
}

/** An outbound listener whose unnamed port may carry anything; time stands still. */
async function meshPort({ greeting, isUp = true }: Server) {
  const transport = createMemoryTransport()
  const clock = new FakeClock()
  const deps = engineDeps(transport, clock)
  const address = { host: '127.0.0.1', port: 9_000 }
  const app = { sockets: [] as Socket[], ends: [] as End[] }
  const serve = (socket: Socket) => {
    const end = new End()
    app.sockets.push(socket)
    app.ends.push(end)
    if (greeting !== undefined) socket.write(Buffer.from(greeting, 'latin1'))
    return end
  }
  if (isUp) await transport.listen({ address }, serve)
  const cluster = upstreamOf(clusterOf('db', [address]), deps)
  const records: ConnectionRecord[] = []
  const opaque = tcpRuntime(cluster, records)
  const runtime: ListenerRuntime = {
    name: 'test',
    direction: 'outbound',
    chains: [
      {
        name: 'http',
        match: { ...MATCH_ALL, applicationProtocols: ['http/1.1', 'h2c'] },
        handler: httpRuntime(tableOf([routeOf(forwardTo('db'))]), [cluster]),
      },
    ],
    defaultChain: { name: 'opaque', match: MATCH_ALL, handler: opaque },
  }
  const listener = await openListener(
    { address: { host: '127.0.0.1', port: 0 } },
    new ListenerSlot(runtime),
    deps,
  )
  const end = new End()
  const connect = () => transport.connect(listener.address, end)
  return { connect, end, app, records, listener, cluster, clock }
}

test('a server that speaks first is heard without any time passing', async () => {
  for (const greeting of [GREETING, '220 mail.example.com ESMTP\r\n', '+OK POP3 ready\r\n']) {
    const { connect, end, app, records, listener, cluster } = await meshPort({ greeting })
    const client = connect()
    await settle()
    assert.equal(end.text, greeting)
    client.write(Buffer.from('EHLO client\r\n'))
    await settle()
    assert.equal(app.ends[0]?.text, 'EHLO client\r\n')
    assert.equal(app.sockets.length, 1, 'one connection, the dialled one, serves')
    client.close()
    app.sockets[0]?.close()
    await settle()
    assert.deepEqual(
      records.map(({ sentBytes, receivedBytes }) => [sentBytes, receivedBytes]),
      [[greeting.length, 13]],
    )
    assert.deepEqual([listener.connections, cluster.limits.inUse().connections], [0, 0])
  }
})

test('a client that speaks an opaque protocol first is relayed at once', async () => {
  const { connect, app } = await meshPort({})
  const client = connect()
  client.write(Buffer.from('*1\r\n$4\r\nPING\r\n'))
  await settle()
  assert.equal(app.ends[0]?.text, '*1\r\n$4\r\nPING\r\n')
  assert.equal(app.sockets.length, 1)
})

test('an opaque client that thinks first gets the connection that was dialled meanwhile', async () => {
  const { connect, app } = await meshPort({})
  const client = connect()
  await settle()
  assert.equal(app.sockets.length, 1, 'dialled while the client is silent')
  client.write(Buffer.from('\0\0\0\x08\x04\xd2\x16\x2f', 'latin1'))
  await settle()
  assert.equal(app.ends[0]?.text, '\0\0\0\x08\x04\xd2\x16\x2f')
  assert.equal(app.sockets.length, 1)
})

test('an HTTP client that connects early is still HTTP, and the dialled connection is let go', async () => {
  const { connect, end, app, cluster } = await meshPort({})
  const client = connect()
  await settle()
  assert.equal(app.sockets.length, 1)
  client.write(Buffer.from('GET / HTTP/1.1\r\nhost: db\r\n\r\n'))
  await settle()
  assert.equal(app.ends[0]?.ended, true, 'the first connection was not needed')
  assert.match(app.ends[1]?.text ?? '', /^GET \/ HTTP\/1\.1\r\n/)
  app.sockets[1]?.write(Buffer.from(HTTP_ANSWER))
  await settle()
  assert.match(end.text, /^HTTP\/1\.1 200 OK\r\n/)
  assert.equal(cluster.limits.inUse().connections, 1)
})

test('an HTTP client that speaks at once costs no second connection', async () => {
  const { connect, app } = await meshPort({})
  connect().write(Buffer.from('GET / HTTP/1.1\r\nhost: db\r\n\r\n'))
  await settle()
  assert.equal(app.sockets.length, 1)
  assert.match(app.ends[0]?.text ?? '', /^GET/)
})

test('a server that ends the connection without a word ends it for the client, too', async () => {
  const { connect, end, app } = await meshPort({})
  connect()
  await settle()
  app.sockets[0]?.end()
  await settle()
  assert.equal(end.ended, true)
})

test('a refused upstream leaves an HTTP client the time to speak, and closes a silent one', async () => {
  const { connect, end, records, clock } = await meshPort({ isUp: false })
  connect()
  await settle()
  assert.deepEqual([end.ended, end.closed], [false, false])
  clock.advance(1_500)
  await settle()
  assert.equal(end.ended || end.closed, true)
  assert.equal(records[0]?.responseFlags, 'UF,URX')
  const other = await meshPort({ isUp: false })
  const client = other.connect()
  await settle()
  client.write(Buffer.from('GET / HTTP/1.1\r\nhost: db\r\n\r\n'))
  await settle()
  // Its repeats.
  for (let i = 0; i < 10 && other.end.text === ''; i++) {
    other.clock.advance(1_000)
    await settle()
  }
  assert.match(other.end.text, /^HTTP\/1\.1 503 /)
})

test('a client that leaves while its upstream is dialled leaves nothing behind', async () => {
  const { connect, app, listener, cluster } = await meshPort({})
  const client = connect()
  await settle()
  client.close()
  await settle()
  assert.equal(app.ends[0]?.ended, true)
  assert.deepEqual([listener.connections, cluster.limits.inUse().connections], [0, 0])
  assert.equal(cluster.hosts[0]?.activeRequests, 0)
})

test('the end that a client sends right behind its first bytes reaches the server', async () => {
  const { connect, end, app } = await meshPort({})
  const client = connect()
  client.write(Buffer.from('A'))
  client.end()
  await settle()
  assert.deepEqual([app.ends[0]?.text, app.ends[0]?.ended], ['A', true])
  app.sockets[0]?.write(Buffer.from('done'))
  await settle()
  assert.equal(end.text, 'done')
})
