/** What a log says of bytes on the wire is what both ends saw of them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SocketAddress } from '@weft/model'
import { createMemoryTransport, type Socket } from '@weft/net'
import { End, settle } from '../downstream/tcp-fixture.ts'
import { ExchangeEntry } from '../observe/log-entries.ts'
import { clusterOf, engineDeps, upstreamOf } from './engine-fixture.ts'
import { openEngine } from './open-engine.ts'

interface Told {
  readonly downstreamWire: unknown
  readonly upstreamWire: unknown
  readonly requestFieldBytes: number | undefined
  readonly responseFieldBytes: number | undefined
  readonly responseTrailerBytes: number | undefined
  readonly requestMs: number | undefined
  readonly ids: readonly (number | undefined)[]
}

interface Sides {
  readonly answer?: string
  readonly cutBytes?: number
  /** What ends the request at the upstream; default: an empty line. */
  readonly until?: string
}

/** A proxy between a client and an upstream that answers every whole request. */
async function sides({ answer, cutBytes = 65_536, until = '\r\n\r\n' }: Sides) {
  const transport = createMemoryTransport({ cutBytes })
  const deps = engineDeps(transport)
  const address: SocketAddress = { host: '127.0.0.1', port: 9_000 }
  const seen = { received: '', sent: '' }
  await transport.listen({ address }, (socket: Socket) => {
    const end = new End()
    end.onData = (bytes, length) => {
      seen.received += Buffer.from(bytes.subarray(0, length)).toString('latin1')
      if (!seen.received.endsWith(until) || answer === undefined) return
      seen.sent += answer
      socket.write(Buffer.from(answer, 'latin1'))
    }
    return end
  })
  const told: Told[] = []
  const observer = {
    onExchangeEnd(record: ConstructorParameters<typeof ExchangeEntry>[0]) {
      const entry = new ExchangeEntry(record)
      told.push({
        downstreamWire: entry.downstreamWire,
        upstreamWire: entry.upstreamWire,
        requestFieldBytes: entry.requestFieldBytes,
        responseFieldBytes: entry.responseFieldBytes,
        responseTrailerBytes: entry.responseTrailerBytes,
        requestMs: entry.requestMs,
        ids: [entry.connectionId, entry.upstreamConnectionId],
      })
    },
    onConnectionEnd() {},
  }
  const cluster = upstreamOf(clusterOf('app', answer === undefined ? [] : [address]), deps)
  const { listener } = await openEngine([cluster], observer, {}, deps)
  const client = new End()
  const socket = transport.connect(listener.address, client)
  const ask = async (request: string): Promise<Told> => {
    const before = told.length
    socket.write(Buffer.from(request, 'latin1'))
    for (let i = 0; i < 20_000 && told.length === before; i++) await new Promise(setImmediate)
    await settle()
    const last = told.at(-1)
    assert.ok(last !== undefined && told.length === before + 1)
    return last
  }
  return { ask, client, seen }
}

/** As Envoy counts them: lines that came without their ends, lines that were sent with them. */
const linesOf = (text: string) => text.slice(0, text.indexOf('\r\n\r\n')).split('\r\n').slice(1)
const cameAs = (text: string) => linesOf(text).reduce((sum, line) => sum + line.length, 2)
const sentAs = (text: string) => linesOf(text).reduce((sum, line) => sum + line.length + 2, 0)

test('heads and bodies are counted as both ends see them, in every framing', async () => {
  const chunks = '5\r\nhello\r\n1;x=y\r\n!\r\n0\r\nx-sum: 1\r\n\r\n'
  const requests = [
    ['GET /a HTTP/1.1\r\nHost: app\r\n\r\n', '\r\n\r\n'],
    ['POST /a HTTP/1.1\r\nHost: app\r\nContent-Length: 4\r\n\r\nbody', 'body'],
    [`POST /a HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}`, '0\r\n'],
  ] as const
  const answers = [
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello',
    'HTTP/1.1 204 No Content\r\n\r\n',
    `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}`,
  ]
  for (const [request, until] of requests) {
    for (const answer of answers) {
      for (const cutBytes of [65_536, 9]) {
        const isChunked = until === '0\r\n'
        const { ask, client, seen } = await sides({
          answer,
          cutBytes,
          until: isChunked ? 'x-sum: 1\r\n\r\n' : until,
        })
        const { downstreamWire, upstreamWire } = await ask(request)
        assert.deepEqual(downstreamWire, {
          received: request.length,
          sent: client.text.length,
          headerReceived: cameAs(request),
          headerSent: sentAs(client.text),
        })
        assert.deepEqual(upstreamWire, {
          received: answer.length,
          sent: seen.received.length,
          headerReceived: cameAs(answer),
          headerSent: sentAs(seen.received),
        })
      }
    }
  }
})

test('each exchange of a connection has its own bytes, and the connection one number', async () => {
  const answer = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
  const { ask, client } = await sides({ answer })
  const request = 'GET / HTTP/1.1\r\nHost: app\r\n\r\n'
  const first = await ask(request)
  const sent = client.text.length
  const second = await ask(request)
  assert.deepEqual(second.downstreamWire, { ...(first.downstreamWire as object), sent })
  assert.deepEqual(second.ids, first.ids)
  assert.equal(new Set(first.ids).size, 2)
  assert.equal(first.requestMs, 0)
})

test('an answer of our own has bytes, and nothing was upstream', async () => {
  const { ask, client } = await sides({})
  const request = 'GET / HTTP/1.1\r\nHost: app\r\n\r\n'
  const { downstreamWire, upstreamWire } = await ask(request)
  assert.match(client.text, /^HTTP\/1\.1 503 /)
  assert.deepEqual(downstreamWire, {
    received: request.length,
    sent: client.text.length,
    headerReceived: cameAs(request),
    headerSent: sentAs(client.text),
  })
  assert.deepEqual(upstreamWire, { received: 0, sent: 0, headerReceived: 0, headerSent: 0 })
})

test('fields are counted by their names and values', async () => {
  const answer =
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nx-a:  b\r\n\r\n0\r\nx-sum: 12\r\n\r\n'
  const { ask } = await sides({ answer })
  const told = await ask('GET /p?q HTTP/1.1\r\nHost: app\r\nX-One:  1\r\n\r\n')
  const request = ':methodGET:path/p?q:schemehttp:authorityappX-One1'
  assert.equal(told.requestFieldBytes, request.length)
  assert.equal(told.responseFieldBytes, ':status200Transfer-Encodingchunkedx-ab'.length)
  assert.equal(told.responseTrailerBytes, 'x-sum12'.length)
})
