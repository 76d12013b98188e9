/** TLS at the listener and towards endpoints, with Node's own peers at both ends. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request as httpsRequest, createServer as httpsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { connect, type TLSSocket, createServer as tlsServer } from 'node:tls'
import type { DownstreamTls, Listener, ResourceSet, Secret } from '@weft/model'
import { createTestCa } from '@weft/testkit'
import { get, openApp, openProxy, REVIEWS, until } from '../test-proxy.ts'
import { cluster, endpoints, listener, setOf, table } from '../test-resources.ts'

const ca = createTestCa()
const PORT_NAME = 'weft:outbound'

function certificate(name: string, dns: string): Secret {
  const { certPem, keyPem } = ca.issue({ dns: [dns] })
  return { kind: 'certificate', name, chainPem: certPem, keyPem }
}

const trust: Secret = { kind: 'validation', name: 'ca', caPem: ca.caPem }

function tlsOf(changes: Partial<DownstreamTls> = {}): DownstreamTls {
  return { certificates: ['cert'], requireClientCertificate: false, alpn: ['http/1.1'], ...changes }
}

function withSecrets(set: ResourceSet, secrets: readonly Secret[]): ResourceSet {
  return { ...set, secret: new Map(secrets.map((secret) => [secret.name, secret])) }
}

async function fixture(tls: DownstreamTls) {
  const { proxy, publish } = await openProxy('web', { outbound: { host: '127.0.0.1', port: 0 } })
  const app = await openApp((path) => `app ${path}`)
  const port = proxy.outbound?.port ?? 0
  const base = listener(PORT_NAME, 'outbound', port)
  const own: Listener = {
    ...base,
    filterChains: base.filterChains.map((chain) => ({ ...chain, tls })),
  }
  const set = setOf({
    listener: [own],
    route: [table([REVIEWS])],
    cluster: [cluster(REVIEWS)],
    endpoints: [endpoints(REVIEWS, [`127.0.0.1:${app.port}`], false)],
  })
  const close = async () => {
    app.server.close()
    await proxy.close()
  }
  return { publish, set, port, close }
}

interface Visit {
  readonly cert?: string
  readonly key?: string
  readonly servername?: string
}

function httpsGet(port: number, options: Visit = {}) {
  return new Promise<{ status: number; body: string; name: string }>((resolve, reject) => {
    httpsRequest(
      {
        host: '127.0.0.1',
        port,
        path: '/x',
        agent: false,
        ca: ca.caPem,
        ...options,
        checkServerIdentity: () => undefined,
      },
      (response) => {
        const name = (response.socket as TLSSocket).getPeerCertificate().subjectaltname ?? ''
        let body = ''
        response.on('data', (piece) => {
          body += String(piece)
        })
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body, name }))
      },
    )
      .on('error', reject)
      .end()
  })
}

test('a connection waits for its secret, is served when it comes, and outlives the next', async () => {
  const { publish, set, port, close } = await fixture(tlsOf())
  publish(set)
  const early = httpsGet(port)
  await new Promise((resolve) => setImmediate(resolve))
  publish(withSecrets(set, [certificate('cert', 'one.test')]))
  assert.deepEqual(await early, { status: 200, body: 'app /x', name: 'DNS:one.test' })
  const live = connect({
    host: '127.0.0.1',
    port,
    ca: ca.caPem,
    checkServerIdentity: () => undefined,
  })
  await once(live, 'secureConnect')
  publish(withSecrets(set, [certificate('cert', 'two.test')]))
  assert.equal((await httpsGet(port)).name, 'DNS:two.test')
  live.write('GET /live HTTP/1.1\r\nhost: a\r\n\r\n')
  const [answer] = await once(live, 'data')
  assert.match(String(answer), /^HTTP\/1.1 200/)
  live.destroy()
  await close()
})

test('who has no certificate does not come in where one is needed, and plaintext never', async () => {
  const { publish, set, port, close } = await fixture(
    tlsOf({ requireClientCertificate: true, validation: 'ca' }),
  )
  publish(withSecrets(set, [certificate('cert', 'one.test'), trust]))
  const own = ca.issue({ uri: ['spiffe://mesh/ns/a/sa/b'] })
  await until(() => true)
  assert.equal((await httpsGet(port, { cert: own.certPem, key: own.keyPem })).status, 200)
  await assert.rejects(httpsGet(port))
  const stranger = createTestCa('other').issue({ uri: ['spiffe://mesh/ns/a/sa/b'] })
  await assert.rejects(httpsGet(port, { cert: stranger.certPem, key: stranger.keyPem }))
  await assert.rejects(get(port, '/x'))
  await close()
})

test('the server name chooses the chain; TLS that no chain ends goes through untouched', async () => {
  const behind = ca.issue({ dns: ['through.test'] })
  const server = tlsServer({ cert: behind.certPem, key: behind.keyPem }, (socket) =>
    socket.end('hi'),
  )
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { publish, set, port, close } = await fixture(tlsOf())
  const [own] = set.listener.values()
  assert.ok(own)
  const [chain] = own.filterChains
  assert.ok(chain)
  const named = (name: string, serverNames: readonly string[]) => ({
    ...chain,
    name,
    match: { ...chain.match, serverNames },
  })
  const through = {
    name: 'through',
    match: { ...chain.match, serverNames: ['*.through.test', 'through.test'] },
    filter: {
      kind: 'tcp',
      statPrefix: 'x',
      targets: [{ cluster: 'behind', weight: 1 }],
      idleTimeoutMs: 0,
      accessLogs: [],
    },
  } as const
  const chains = [
    named('wide', ['*.test']),
    { ...named('exact', ['a.test']), tls: tlsOf({ certificates: ['exact'] }) },
    through,
  ]
  const address = (server.address() as AddressInfo).port
  const all: ResourceSet = {
    ...set,
    listener: new Map([[own.name, { ...own, filterChains: chains }]]),
    cluster: new Map([...set.cluster, ['behind', cluster('behind')]]),
    endpoints: new Map([
      ...set.endpoints,
      ['behind', endpoints('behind', [`127.0.0.1:${address}`], false)],
    ]),
  }
  publish(withSecrets(all, [certificate('cert', 'wide'), certificate('exact', 'exact')]))
  await until(() => true)
  assert.equal((await httpsGet(port, { servername: 'a.test' })).name, 'DNS:exact')
  assert.equal((await httpsGet(port, { servername: 'b.test' })).name, 'DNS:wide')
  const client = connect({
    host: '127.0.0.1',
    port,
    servername: 'x.through.test',
    rejectUnauthorized: false,
  })
  const [text] = await once(client, 'data')
  assert.equal(String(text), 'hi')
  assert.equal(client.getPeerCertificate().subjectaltname, 'DNS:through.test')
  client.destroy()
  server.close()
  await close()
})

test('requests go to a TLS endpoint that is who it should be, and to no other', async () => {
  const cert = ca.issue({ uri: ['spiffe://mesh/ns/a/sa/reviews'] })
  const server = httpsServer(
    { cert: cert.certPem, key: cert.keyPem, ca: ca.caPem, requestCert: true },
    (request, response) => {
      const socket = request.socket as TLSSocket
      response.end(`${String(socket.servername)} ${socket.getPeerCertificate().subjectaltname}`)
    },
  )
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { proxy, publish } = await openProxy('web', { outbound: { host: '127.0.0.1', port: 0 } })
  const port = proxy.outbound?.port ?? 0
  const address = (server.address() as AddressInfo).port
  const setFor = (name: string) =>
    withSecrets(
      setOf({
        listener: [listener(PORT_NAME, 'outbound', port)],
        route: [table([REVIEWS])],
        cluster: [
          {
            ...cluster(REVIEWS),
            tls: {
              certificate: 'cert',
              validation: 'ca',
              sni: 'reviews.test',
              subjectAltNames: [name],
              alpn: [],
            },
          },
        ],
        endpoints: [endpoints(REVIEWS, [`127.0.0.1:${address}`], false)],
      }),
      [certificate('cert', 'web.test'), trust],
    )
  publish(setFor('spiffe://mesh/ns/a/sa/reviews'))
  const good = await get(port, '/')
  assert.deepEqual([good.status, good.body], [200, 'reviews.test DNS:web.test'])
  await proxy.close()
  const second = await openProxy('web', { outbound: { host: '127.0.0.1', port: 0 } })
  const secondPort = second.proxy.outbound?.port ?? 0
  const [own] = setFor('').listener.values()
  assert.ok(own)
  second.publish({
    ...setFor('spiffe://mesh/ns/a/sa/ratings'),
    listener: new Map([[own.name, listener(PORT_NAME, 'outbound', secondPort)]]),
  })
  assert.equal((await get(secondPort, '/')).status, 503)
  await second.proxy.close()
  server.close()
})
