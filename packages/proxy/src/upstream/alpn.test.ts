/** Clusters whose protocol the TLS handshake decides, with Node's servers as endpoints. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createSecureServer } from 'node:http2'
import { createServer as httpsServer } from 'node:https'
import type { AddressInfo, Server } from 'node:net'
import { test } from 'node:test'
import { createServer as tlsServer } from 'node:tls'
import type { Cluster } from '@weft/model'
import { createTestCa } from '@weft/testkit'
import { get, openProxy, REVIEWS } from '../test-proxy.ts'
import { cluster, endpoints, listener, setOf, table } from '../test-resources.ts'

const { certPem, keyPem } = createTestCa().issue({ dns: ['web'] })
const identity = { cert: certPem, key: keyPem }

/** What clients of a proxy in front of `server` are told, one after the other. */
async function answersOf(server: Server, protocol: Cluster['http']['protocol'], alpn: string[]) {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  let connections = 0
  server.on('connection', () => connections++)
  const { port } = server.address() as AddressInfo
  const { proxy, publish } = await openProxy('web', { outbound: { host: '127.0.0.1', port: 0 } })
  const own = proxy.outbound?.port ?? 0
  const base = cluster(REVIEWS)
  publish(
    setOf({
      listener: [listener('weft:outbound', 'outbound', own)],
      route: [table([REVIEWS])],
      cluster: [{ ...base, http: { ...base.http, protocol }, tls: { subjectAltNames: [], alpn } }],
      endpoints: [endpoints(REVIEWS, [`127.0.0.1:${port}`], false)],
    }),
  )
  const first = await get(own, '/1')
  const second = await get(own, '/2')
  await proxy.close()
  server.close()
  return { texts: [first, second].map(({ status, body }) => `${status} ${body}`), connections }
}

const h2Server = () =>
  createSecureServer({ ...identity, allowHTTP1: true }, (request, response) => {
    response.end(`${request.httpVersion} ${request.url}`)
  }) as unknown as Server

test('an endpoint that takes HTTP/2 gets it, one that does not gets HTTP/1.1', async () => {
  const modern = await answersOf(h2Server(), 'alpn', [])
  assert.deepEqual(modern, { texts: ['200 2.0 /1', '200 2.0 /2'], connections: 1 })
  const classic = httpsServer(identity, (request, response) => {
    response.end(`${request.httpVersion} ${request.url}`)
  })
  const old = await answersOf(classic as unknown as Server, 'alpn', [])
  assert.deepEqual(old, { texts: ['200 1.1 /1', '200 1.1 /2'], connections: 1 })
})

test('HTTP/2 is offered also where the TLS settings name no protocol', async () => {
  const { texts } = await answersOf(h2Server(), 'http2', [])
  assert.deepEqual(texts, ['200 2.0 /1', '200 2.0 /2'])
})

test('an endpoint that agrees on HTTP/1.1 where HTTP/2 is wanted is not sent HTTP/2', async () => {
  const received: Buffer[] = []
  const server = tlsServer({ ...identity, ALPNProtocols: ['http/1.1'] }, (socket) => {
    socket.on('data', (bytes: Buffer) => received.push(bytes)).on('error', () => undefined)
  })
  const { texts } = await answersOf(server, 'http2', ['h2', 'http/1.1'])
  for (const text of texts) assert.match(text, /^503 /)
  assert.deepEqual(received, [])
})
