/** What a log says of an HTTP/2 stream's bytes is what a relay on either side saw of its frames. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import http2 from 'node:http2'
import { type AddressInfo, connect, createServer } from 'node:net'
import { after, test } from 'node:test'
import { createHandleTransport } from '@weft/net'
import { ExchangeEntry } from '../observe/log-entries.ts'
import type { ExchangeRecord } from './contract.ts'
import { clusterOf, engineDeps, upstreamOf } from './engine-fixture.ts'
import { openEngine } from './open-engine.ts'
import type { WireBytes } from './wire-bytes.ts'

const PREFACE_BYTES = 24
const HEADER_BYTES = 9
const [DATA, HEADERS, WINDOW_UPDATE, CONTINUATION] = [0, 1, 8, 9]

interface Seen {
  /** Of HEADERS and CONTINUATION. */
  heads: number
  data: number
  windows: number
}

/** Frames that go by, by stream. */
class Frames {
  readonly streams = new Map<number, Seen>()
  #bytes = Buffer.alloc(0)
  #skip: number

  constructor(skip: number) {
    this.#skip = skip
  }

  take(chunk: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, chunk])
    const skipped = Math.min(this.#skip, this.#bytes.length)
    this.#skip -= skipped
    this.#bytes = this.#bytes.subarray(skipped)
    while (this.#bytes.length >= HEADER_BYTES) {
      const size = HEADER_BYTES + this.#bytes.readUIntBE(0, 3)
      if (this.#bytes.length < size) return
      const type = this.#bytes[3]
      const id = this.#bytes.readUInt32BE(5)
      const seen = this.streams.get(id) ?? { heads: 0, data: 0, windows: 0 }
      this.streams.set(id, seen)
      if (type === DATA) seen.data += size
      if (type === HEADERS || type === CONTINUATION) seen.heads += size
      if (type === WINDOW_UPDATE) seen.windows += size
      this.#bytes = this.#bytes.subarray(size)
    }
  }
}

const cleanups: (() => unknown)[] = []
after(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup()
})

async function openRelay(port: () => number) {
  const there = new Frames(PREFACE_BYTES)
  const back = new Frames(0)
  const server = createServer((near) => {
    const far = connect(port(), '127.0.0.1')
    near.on('data', (chunk: Buffer) => there.take(chunk))
    far.on('data', (chunk: Buffer) => back.take(chunk))
    near.pipe(far).pipe(near)
    for (const end of [near, far]) end.on('error', () => end.destroy())
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanups.push(() => server.close())
  return { port: (server.address() as AddressInfo).port, there, back }
}

const LONG = Array.from({ length: 30_000 }, (_, i) => ((i * 7_919) % 36).toString(36)).join('')

function serve(stream: http2.ServerHttp2Stream, path: string): void {
  stream.on('error', () => undefined)
  stream.resume()
  stream.on('end', () => {
    const fields = path === '/long-head' ? { 'x-long': LONG } : {}
    stream.respond({ ':status': 200, ...fields }, { waitForTrailers: path === '/trailers' })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '12' }))
    stream.end(path === '/big' ? Buffer.alloc(300_000) : 'hello')
  })
}

test('frames are counted as both ends see them', async () => {
  const server = http2.createServer()
  server.on('stream', (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders) =>
    serve(stream, headers[':path'] ?? ''),
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  cleanups.push(() => server.close())
  const up = await openRelay(() => (server.address() as AddressInfo).port)
  const deps = engineDeps(createHandleTransport())
  const http = {
    protocol: 'http2',
    idleTimeoutMs: 0,
    maxRequestsPerConnection: 0,
    maxConcurrentStreams: 0,
  } as const
  const cluster = upstreamOf(
    clusterOf('up', [{ host: '127.0.0.1', port: up.port }], { http }),
    deps,
  )
  const told: { downstream: WireBytes; upstream: WireBytes }[] = []
  const observer = {
    onExchangeEnd(record: ExchangeRecord) {
      const { downstreamWire, upstreamWire } = new ExchangeEntry(record)
      assert.ok(downstreamWire !== undefined && upstreamWire !== undefined)
      told.push({ downstream: downstreamWire, upstream: upstreamWire })
    },
    onConnectionEnd() {},
  }
  const { listener } = await openEngine([cluster], observer, {}, deps)
  cleanups.push(async () => {
    cluster.close()
    await listener.close()
  })
  const down = await openRelay(() => listener.address.port)
  const client = http2.connect(`http://127.0.0.1:${down.port}`)
  const ask = async (path: string, body: Buffer | undefined, fields: Record<string, string>) => {
    const method = body === undefined ? 'GET' : 'POST'
    const request = { ':method': method, ':path': path, ...fields }
    const stream = client.request(request, { endStream: body === undefined })
    if (body !== undefined) stream.end(body)
    stream.resume()
    await once(stream, 'close')
    return stream.id ?? 0
  }
  const calls = [
    ['/', undefined, {}],
    ['/', Buffer.from('body'), {}],
    ['/', Buffer.alloc(3_000_000), {}],
    ['/trailers', undefined, {}],
    ['/big', undefined, {}],
    ['/long-head', undefined, { 'x-long': LONG }],
  ] as const
  for (const [index, [path, body, fields]] of calls.entries()) {
    const id = await ask(path, body, fields)
    const wire = told[index]
    assert.ok(wire)
    const check = (name: string, bytes: WireBytes, came: Seen, went: Seen) => {
      const received = came.heads + came.data
      const { sent = 0, ...others } = bytes
      const expected = { received, headerReceived: came.heads, headerSent: went.heads }
      assert.deepEqual({ name, ...others }, { name, ...expected })
      // When the line was written the end of the answer had waited for its window, in no frames yet.
      const off = Math.abs(sent - went.heads - went.data - went.windows)
      assert.ok(
        off <= (path === '/big' ? 20 * HEADER_BYTES : 0),
        `${name}: ${sent} is off by ${off}`,
      )
    }
    const at = (frames: Frames, stream: number) => {
      const seen = frames.streams.get(stream)
      assert.ok(seen)
      return seen
    }
    check(`down ${path}`, wire.downstream, at(down.there, id), at(down.back, id))
    const upId = 1 + 2 * index
    check(`up ${path}`, wire.upstream, at(up.back, upId), at(up.there, upId))
  }
  client.close()
  await once(client, 'close')
})
