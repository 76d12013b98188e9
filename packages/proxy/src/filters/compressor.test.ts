import assert from 'node:assert/strict'
import { createServer, get, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import { connect } from 'node:http2'
import type { AddressInfo } from 'node:net'
import type { Readable } from 'node:stream'
import { after, test } from 'node:test'
import { brotliDecompressSync, createGunzip, gunzipSync, zstdDecompressSync } from 'node:zlib'
import type { Compression, FilterOverrides } from '@weft/model'
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

const SETTINGS: Compression = {
  encodings: ['gzip', 'br', 'zstd'],
  minBytes: 30,
  contentTypes: ['text/plain', 'text/event-stream', 'application/grpc'],
  disableOnEtag: false,
  removeAcceptEncoding: false,
}
const TEXT = 'all work and no play makes jack a dull boy\n'.repeat(100)
const DECODE = { gzip: gunzipSync, br: brotliDecompressSync, zstd: zstdDecompressSync } as const

const closers: (() => unknown)[] = []
after(() => {
  for (const close of closers) close()
})

type Serve = (response: ServerResponse, headers: IncomingHttpHeaders) => void
type Version = 'h1' | 'h2'

interface Incoming {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: Readable
}

interface Setup {
  readonly settings?: Partial<Compression>
  readonly overrides?: FilterOverrides
}

async function proxyFor(serve: Serve, { settings, overrides = {} }: Setup = {}): Promise<number> {
  const app = createServer((request, response) => serve(response, request.headers))
  await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve))
  const { port } = app.address() as AddressInfo
  const deps = engineDeps()
  const cluster = upstreamOf(clusterOf('app', [{ host: '127.0.0.1', port }]), deps)
  const table = tableOf([routeOf(forwardTo('app'), { filters: overrides })])
  const filters = [{ kind: 'compressor', settings: { ...SETTINGS, ...settings } }] as const
  const runtime = httpRuntime(table, [cluster], { manager: { ...MANAGER, filters } })
  const slot = new ListenerSlot(listenerRuntime(runtime))
  const listener = await openListener({ address: { host: '127.0.0.1', port: 0 } }, slot, deps)
  closers.push(() => {
    app.closeAllConnections()
    app.close()
    return listener.close()
  })
  return listener.address.port
}

function open(
  version: Version,
  port: number,
  acceptEncoding: string,
  method = 'GET',
): Promise<Incoming> {
  const headers = acceptEncoding === '' ? {} : { 'accept-encoding': acceptEncoding }
  return new Promise((resolve, reject) => {
    if (version === 'h1') {
      get({ port, host: '127.0.0.1', method, headers, agent: false }, (body) =>
        resolve({ status: body.statusCode ?? 0, headers: body.headers, body }),
      ).on('error', reject)
      return
    }
    const session = connect(`http://127.0.0.1:${port}`)
    const stream = session.request({ ':path': '/', ':method': method, ...headers })
    closers.push(() => session.destroy())
    stream.on('error', reject)
    stream.on('response', ({ ':status': status = 0, ...rest }) =>
      resolve({ status, headers: rest, body: stream }),
    )
  })
}

async function bytesOf(body: Readable): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const part of body) parts.push(part as Buffer)
  return Buffer.concat(parts)
}

const plain: Serve = (response) => {
  response.setHeader('content-type', 'text/plain; charset=utf-8')
  response.setHeader('content-length', TEXT.length)
  response.setHeader('etag', '"v1"')
  response.setHeader('vary', 'origin')
  response.end(TEXT)
}

for (const version of ['h1', 'h2'] as const) {
  for (const encoding of ['gzip', 'br', 'zstd'] as const) {
    test(`${version}: an answer is compressed with ${encoding}, and its head says so`, async () => {
      const port = await proxyFor(plain)
      const { status, headers, body } = await open(version, port, encoding)
      const bytes = await bytesOf(body)
      assert.equal(status, 200)
      assert.equal(headers['content-encoding'], encoding)
      assert.equal(headers['content-length'], undefined)
      assert.equal(headers.etag, 'W/"v1"')
      assert.equal(headers.vary, 'origin, accept-encoding')
      assert.ok(bytes.length < TEXT.length / 4)
      assert.equal(DECODE[encoding](bytes).toString(), TEXT)
    })
  }

  test(`${version}: a client that asks for nothing gets the answer as it is`, async () => {
    const port = await proxyFor(plain)
    const { headers, body } = await open(version, port, '')
    assert.equal(headers['content-encoding'], undefined)
    assert.equal(headers['content-length'], String(TEXT.length))
    assert.equal(headers.etag, '"v1"')
    assert.equal(headers.vary, 'origin, accept-encoding')
    assert.equal((await bytesOf(body)).toString(), TEXT)
  })

  test(`${version}: each event of a stream comes before the next one is sent`, async () => {
    let app: ServerResponse | undefined
    const port = await proxyFor((response) => {
      app = response
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write('data: 0\n\n')
    })
    const { headers, body } = await open(version, port, 'gzip')
    assert.equal(headers['content-encoding'], 'gzip')
    let count = 0
    for await (const part of body.pipe(createGunzip())) {
      assert.equal(String(part), `data: ${count}\n\n`)
      count++
      if (count < 5) app?.write(`data: ${count}\n\n`)
      else app?.end()
    }
    assert.equal(count, 5)
  })

  test(`${version}: a long answer to a slow client arrives whole`, async () => {
    const noise = Buffer.alloc(4_194_304)
    for (let i = 0, seed = 1; i < noise.length; i++) {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0
      noise[i] = seed >>> 24
    }
    let stalled = false
    const port = await proxyFor((response) => {
      response.writeHead(200, { 'content-type': 'text/plain' })
      stalled = !response.write(noise)
      response.end()
    })
    const { body } = await open(version, port, 'gzip')
    await new Promise((resolve) => setImmediate(resolve))
    assert.ok(stalled)
    assert.ok(gunzipSync(await bytesOf(body)).equals(noise))
  })

  test(`${version}: an answer that the upstream cuts is not taken for complete`, async () => {
    const port = await proxyFor((response) => {
      response.writeHead(200, { 'content-type': 'text/plain', 'content-length': 10_000 })
      response.write(TEXT)
      setImmediate(() => response.destroy())
    })
    // The cut may come before the client has read the head, too.
    await assert.rejects(open(version, port, 'gzip').then(({ body }) => bytesOf(body)))
  })
}

const UNFIT: readonly [name: string, serve: Serve, method?: string][] = [
  ['a short answer', (r) => r.writeHead(200, { 'content-type': 'text/plain' }).end('short')],
  ['another content type', (r) => r.writeHead(200, { 'content-type': 'image/png' }).end(TEXT)],
  ['no content type', (r) => r.writeHead(200).end(TEXT)],
  [
    'what is coded already',
    (r) => r.writeHead(200, { 'content-type': 'text/plain', 'content-encoding': 'x' }).end(TEXT),
  ],
  [
    'no-transform',
    (r) =>
      r
        .writeHead(200, { 'content-type': 'text/plain', 'cache-control': 'public, no-transform' })
        .end(TEXT),
  ],
  ['206', (r) => r.writeHead(206, { 'content-type': 'text/plain' }).end(TEXT)],
  ['204', (r) => r.writeHead(204, { 'content-type': 'text/plain' }).end()],
  ['304', (r) => r.writeHead(304, { 'content-type': 'text/plain' }).end()],
  ['HEAD', plain, 'HEAD'],
  ['gRPC', (r) => r.writeHead(200, { 'content-type': 'application/grpc' }).end(TEXT)],
]

for (const [name, serve, method] of UNFIT) {
  test(`${name} goes as it is`, async () => {
    const port = await proxyFor((response, headers) => {
      if (name === 'a short answer') response.setHeader('content-length', 5)
      serve(response, headers)
    })
    const { headers, body } = await open('h1', port, 'gzip', method)
    const text = (await bytesOf(body)).toString()
    assert.notEqual(headers['content-encoding'], 'gzip')
    assert.ok(['', 'short', TEXT].includes(text))
  })
}

test('settings of the route: switched off, a strong validator kept, accept-encoding kept back', async () => {
  const off = await proxyFor(plain, { overrides: { compressor: { disabled: true } } })
  const unchanged = await open('h1', off, 'gzip')
  assert.equal(unchanged.headers['content-encoding'], undefined)
  assert.equal(unchanged.headers.vary, 'origin')
  unchanged.body.resume()

  const strict = await proxyFor(plain, { settings: { disableOnEtag: true } })
  const validated = await open('h1', strict, 'gzip')
  assert.equal(validated.headers.etag, '"v1"')
  assert.equal(validated.headers['content-encoding'], undefined)
  validated.body.resume()

  const seen: (string | undefined)[] = []
  const hiding = await proxyFor(
    (response, headers) => {
      seen.push(headers['accept-encoding'] as string | undefined)
      plain(response, headers)
    },
    { overrides: { compressor: { removeAcceptEncoding: true } } },
  )
  const hidden = await open('h1', hiding, 'gzip')
  assert.equal(hidden.headers['content-encoding'], 'gzip')
  assert.equal(gunzipSync(await bytesOf(hidden.body)).toString(), TEXT)
  assert.deepEqual(seen, [undefined])
})
