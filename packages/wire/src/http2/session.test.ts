import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Http2Memory } from './contract.ts'
import { newEnd, settle, taken } from './session-fixture.ts'

const text = (value: string) => Buffer.from(value, 'latin1')

function pair(server = {}, client = {}) {
  const ends = { server: newEnd('server', server), client: newEnd('client', client) }
  settle(ends.client, ends.server)
  return ends
}

const GET = text('GET /a?b HTTP/1.1\r\nHost: weft.test\r\nX-A: 1\r\nConnection: close\r\n\r\n')
const OK = text('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n')

test('a request and its answer arrive as heads of HTTP/1.1', () => {
  const { server, client } = pair()
  const sent = client.session.sendRequestText('http', GET, 0, GET.length, true)
  assert.equal(sent?.id, 1)
  settle(client, server)
  assert.deepEqual(server.told.log, [
    'headers 1 end "GET /a?b HTTP/1.1\\r\\nhost: weft.test\\r\\nx-a: 1\\r\\n\\r\\n"',
  ])
  const stream = server.told.streams.get(1)
  assert.ok(stream)
  server.session.sendResponseText(stream, OK, 0, OK.length, false)
  server.session.sendData(stream, text('ok'), 0, 2, true)
  settle(client, server)
  assert.deepEqual(client.told.log, [
    'headers 1 "HTTP/1.1 200 \\r\\ncontent-length: 2\\r\\n\\r\\n"',
    'end 1 ok',
    'closed 1',
  ])
  assert.equal(server.session.activeStreams + client.session.activeStreams, 0)
})

test('the same fields again are indexed and arrive the same', () => {
  const { server, client } = pair()
  const sizes: number[] = []
  for (let i = 0; i < 4; i++) {
    const { session } = client
    session.sendRequestText('http', GET, 0, GET.length, true)
    sizes.push(session.out.length)
    settle(client, server)
  }
  assert.ok((sizes[3] as number) < (sizes[0] as number) / 2, sizes.join())
  const heads = server.told.log.map((line) => line.replace(/^headers \d+/, ''))
  assert.equal(new Set(heads).size, 1)
})

test('a body waits for the window and its sender is told', () => {
  const { server, client } = pair({ streamWindowBytes: 65_535 })
  server.told.consume = false
  const body = Buffer.alloc(200_000, 0x61)
  const stream = client.session.sendRequestText(
    'http',
    text('POST / HTTP/1.1\r\nhost: a\r\n\r\n'),
    0,
    30,
    false,
  )
  assert.ok(stream)
  assert.equal(client.session.sendData(stream, body, 0, body.length, false), false)
  settle(client, server)
  assert.equal(server.told.bodies.get(1)?.length, 65_535)
  assert.deepEqual(client.told.log, [])
  server.told.consume = true
  const received = server.told.streams.get(1)
  assert.ok(received)
  server.session.consumed(received, 65_535)
  settle(client, server)
  assert.equal(server.told.bodies.get(1)?.length, 200_000)
  assert.deepEqual(client.told.log, ['writable 1'])
  client.session.sendTrailers(stream, text('x-t: 1\r\n'), 0, 8)
  settle(client, server)
  assert.equal(server.told.log.at(-1), 'trailers 1 "x-t: 1\\r\\n"')
})

test('a body that goes on arriving while it waits is joined without moving it each time', () => {
  const { server, client } = pair({ streamWindowBytes: 65_535 })
  server.told.consume = false
  const head = text('POST / HTTP/1.1\r\nhost: a\r\n\r\n')
  const stream = client.session.sendRequestText('http', head, 0, head.length, false)
  assert.ok(stream)
  const queues = new Set<Buffer | undefined>()
  let sent = ''
  for (let i = 0; i < 100; i++) {
    const piece = Buffer.alloc(10_000 + i, 65 + (i % 26))
    sent += piece.toString('latin1')
    client.session.sendData(stream, piece, 0, piece.length, i === 99)
    queues.add(stream.queue)
  }
  assert.ok(queues.size < 12, `${queues.size} buffers for 100 pieces`)
  settle(client, server)
  server.told.consume = true
  const received = server.told.streams.get(1)
  assert.ok(received)
  server.session.consumed(received, 65_535)
  settle(client, server)
  assert.equal(server.told.bodies.get(1), sent)
  assert.equal(stream.queuedBytes, 0)
})

test('what comes while much waits for the peer is its stream’s, and goes with it', () => {
  const kept = new Set<Buffer>()
  const memory: Http2Memory = {
    outBytes: 10_000,
    take: Buffer.allocUnsafeSlow,
    give: () => undefined,
    keep(bytes) {
      const one = Buffer.alloc(bytes)
      kept.add(one)
      return one
    },
    letGo: (one) => void kept.delete(one),
  }
  const { server, client } = pair({ streamWindowBytes: 1_000_000 }, { memory })
  const head = text('POST / HTTP/1.1\r\nhost: a\r\n\r\n')
  const open = () => {
    const stream = client.session.sendRequestText('http', head, 0, head.length, false)
    assert.ok(stream)
    return stream
  }
  const [first, second, third] = [open(), open(), open()]
  settle(client, server)
  const body = Buffer.alloc(20_000, 0x61)
  assert.equal(client.session.keeps(first), false)
  assert.equal(client.session.sendData(first, body, 0, body.length, false), false)
  assert.equal(client.session.keeps(second), true)
  const waits = client.session.out.length
  assert.equal(client.session.sendData(second, body, 0, body.length, false), false)
  assert.equal(client.session.sendData(third, body, 0, body.length, true), false)
  assert.equal(client.session.out.length, waits)
  assert.deepEqual([first.queuedBytes, second.queuedBytes, kept.size], [0, body.length, 2])
  client.session.resetStream(second, 8)
  assert.equal(kept.size, 1)
  settle(client, server)
  assert.equal(kept.size, 0)
  assert.deepEqual(
    [1, 3, 5].map((id) => server.told.bodies.get(id)?.length),
    [body.length, undefined, body.length],
  )
})

test('what only HTTP/1.1 has stays here, however often it comes', () => {
  const { server, client } = pair()
  const lines = 'connection: close\r\nkeep-alive: a\r\ntransfer-encoding:\r\nte: gzip\r\n'
  const head = text(`GET / HTTP/1.1\r\nhost: a\r\n${lines}X-Y: z \r\n\r\n`)
  for (const id of [1, 3, 5]) {
    client.session.sendRequestText('http', head, 0, head.length, true)
    settle(client, server)
    assert.equal(server.told.text(id), 'GET / HTTP/1.1\r\nhost: a\r\nx-y: z\r\n\r\n')
  }
})

test('an upgrade goes as extended CONNECT and arrives as one', () => {
  const { server, client } = pair({ allowConnect: true })
  assert.equal(client.session.peerAllowsConnect, true)
  const upgrade = text(
    'GET /chat HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n',
  )
  client.session.sendRequestText('http', upgrade, 0, upgrade.length, false)
  settle(client, server)
  assert.equal(server.told.streams.get(1)?.extendedConnect, true)
  assert.equal(
    server.told.text(1),
    'GET /chat HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n',
  )
})

test('GOAWAY lets running streams finish and opens no more', () => {
  const { server, client } = pair()
  client.session.sendRequestText('http', GET, 0, GET.length, true)
  settle(client, server)
  server.session.drain()
  server.session.goaway(0)
  settle(client, server)
  assert.equal(client.session.canOpen, false)
  const stream = server.told.streams.get(1)
  assert.ok(stream)
  const answer = Buffer.from('HTTP/1.1 204 No Content\r\n\r\n', 'latin1')
  server.session.sendResponseText(stream, answer, 0, answer.length, true)
  settle(client, server)
  assert.deepEqual(client.told.log.slice(-2), [
    'headers 1 end "HTTP/1.1 204 \\r\\n\\r\\n"',
    'closed 1',
  ])
})

test('pings are answered', () => {
  const { server, client } = pair()
  client.session.ping()
  settle(client, server)
  assert.deepEqual(client.told.log, ['ping ack'])
  assert.equal(taken(server).length, 0)
})
