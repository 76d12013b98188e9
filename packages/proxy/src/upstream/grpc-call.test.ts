import assert from 'node:assert/strict'
import { once } from 'node:events'
import {
  createSecureServer,
  createServer,
  type Http2Server,
  type ServerHttp2Stream,
} from 'node:http2'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { realClock } from '@weft/base'
import type { Cluster, Secret } from '@weft/model'
import { createTestCa } from '@weft/testkit'
import { clusterOf, engineDeps, upstreamOf } from '../exchange/engine-fixture.ts'
import { TlsContexts } from '../tls/tls-contexts.ts'
import { callGrpc } from './grpc-call.ts'

type Answer = (stream: ServerHttp2Stream, asked: Buffer) => void

const framed = (text: string) => {
  const prefix = Buffer.alloc(5)
  prefix.writeUInt32BE(text.length, 1)
  return Buffer.concat([prefix, Buffer.from(text)])
}

/** Answers with a message and a status. */
const says =
  (text: string, status = '0'): Answer =>
  (stream) => {
    stream.respond({ ':status': 200 }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': status }))
    stream.end(framed(text))
  }

async function serve(t: TestContext, server: Http2Server, answer: Answer) {
  const seen: string[] = []
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    const parts: Buffer[] = []
    stream.on('error', () => {})
    stream.on('data', (part: Buffer) => parts.push(part))
    stream.on('end', () => {
      const body = Buffer.concat(parts)
      seen.push(`${headers[':path']} ${headers[':authority']} ${headers.te} ${body.subarray(5)}`)
      answer(stream, body)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  return { port: (server.address() as AddressInfo).port, seen }
}

function target(
  t: TestContext,
  port: number,
  changes: Partial<Cluster> = {},
  secrets: Secret[] = [],
) {
  const tls = new TlsContexts()
  tls.update(new Map(secrets.map((secret) => [secret.name, secret])))
  const cluster = clusterOf('limits', [{ host: '127.0.0.1', port }], changes)
  const upstream = upstreamOf(cluster, { ...engineDeps(), tls })
  t.after(() => upstream.close())
  return upstream
}

const QUESTION = {
  path: '/a.B/C',
  authority: 'limits',
  timeoutMs: 5_000,
  message: Buffer.from('hi'),
}

function ask(upstream: ReturnType<typeof target>, changes: Partial<typeof QUESTION> = {}) {
  return new Promise<string | undefined>((resolve) => {
    callGrpc(upstream, { ...QUESTION, ...changes }, realClock, (bytes) =>
      resolve(bytes === undefined ? undefined : Buffer.from(bytes).toString()),
    )
  })
}

test('calls share a connection, and end with what trailers say', async (t) => {
  const { port, seen } = await serve(t, createServer(), says('yes'))
  const upstream = target(t, port)
  assert.deepEqual(await Promise.all([ask(upstream), ask(upstream)]), ['yes', 'yes'])
  assert.deepEqual(seen, ['/a.B/C limits trailers hi', '/a.B/C limits trailers hi'])
  assert.equal(upstream.hosts[0]?.activeRequests, 0)
})

const refusals: readonly (readonly [string, Answer])[] = [
  ['a status that is not OK', says('no', '14')],
  [
    'trailers only',
    (stream) => stream.respond({ ':status': 200, 'grpc-status': '12' }, { endStream: true }),
  ],
  ['an HTTP error', (stream) => stream.respond({ ':status': 503 }, { endStream: true })],
  [
    'no trailers',
    (stream) => {
      stream.respond({ ':status': 200 })
      stream.end(framed('yes'))
    },
  ],
  ['a reset', (stream) => stream.close(2)],
  ['more than an answer may be', says('x'.repeat(70_000))],
]
for (const [what, answer] of refusals) {
  test(`${what} is no answer`, async (t) => {
    const { port } = await serve(t, createServer(), answer)
    const upstream = target(t, port)
    assert.equal(await ask(upstream), undefined)
    assert.equal(upstream.hosts[0]?.activeRequests, 0)
  })
}

test('nobody there, and nobody who answers in time, is no answer', async (t) => {
  assert.equal(await ask(target(t, 1)), undefined)
  const { port } = await serve(t, createServer(), () => {})
  assert.equal(await ask(target(t, port), { timeoutMs: 30 }), undefined)
})

test('a service with mutual TLS is asked over it, and never in plaintext', async (t) => {
  const ca = createTestCa()
  const other = createTestCa()
  const server = ca.issue({ dns: ['limits.example'] })
  const client = ca.issue({ uri: ['spiffe://mesh/ns/a/sa/gateway'] })
  const { port, seen } = await serve(
    t,
    createSecureServer({
      ...{ cert: server.certPem, key: server.keyPem, ca: ca.caPem },
      ...{ requestCert: true, rejectUnauthorized: true },
    }) as unknown as Http2Server,
    says('yes'),
  )
  const secrets = (rootPem: string): Secret[] => [
    { kind: 'certificate', name: 'own', chainPem: client.certPem, keyPem: client.keyPem },
    { kind: 'validation', name: 'root', caPem: rootPem },
  ]
  const base = clusterOf('limits', [])
  const tls = {
    http: { ...base.http, protocol: 'http2' as const },
    tls: {
      certificate: 'own',
      validation: 'root',
      sni: 'limits.example',
      alpn: ['h2'],
      subjectAltNames: ['limits.example'],
    },
  } satisfies Partial<Cluster>
  assert.equal(await ask(target(t, port, tls, secrets(ca.caPem))), 'yes')
  assert.equal(await ask(target(t, port, tls, secrets(other.caPem))), undefined)
  // While its secrets have not come.
  assert.equal(await ask(target(t, port, tls)), undefined)
  assert.equal(seen.length, 1)
})
