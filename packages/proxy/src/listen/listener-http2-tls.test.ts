/** HTTP/2 over TLS at the listener: what ALPN agrees on, and hosts that are another chain's. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type ClientHttp2Session, connect } from 'node:http2'
import { request as httpsRequest } from 'node:https'
import { test } from 'node:test'
import { type TLSSocket, connect as tlsConnect } from 'node:tls'
import type { Listener, ResourceSet, Secret } from '@weft/model'
import { createTestCa } from '@weft/testkit'
import { openApp, openProxy, REVIEWS } from '../test-proxy.ts'
import { cluster, endpoints, listener, setOf, table } from '../test-resources.ts'

const ca = createTestCa()

function certificate(name: string, dns: readonly string[]): Secret {
  const { certPem, keyPem } = ca.issue({ dns: [...dns] })
  return { kind: 'certificate', name, chainPem: certPem, keyPem }
}

interface ChainOfHosts {
  readonly hosts: readonly string[]
  readonly alpn: readonly string[]
}

/** A proxy with a chain of its own certificate for each list of hosts. */
async function serve(chains: readonly ChainOfHosts[]) {
  const { proxy, publish } = await openProxy('web', { outbound: { host: '127.0.0.1', port: 0 } })
  const app = await openApp((path, headers) => `${headers.host} ${path}`)
  const port = proxy.outbound?.port ?? 0
  const base = listener('weft:outbound', 'outbound', port)
  const [plain] = base.filterChains
  assert.ok(plain)
  const own: Listener = {
    ...base,
    filterChains: chains.map(({ hosts, alpn }, i) => ({
      ...plain,
      name: `chain ${i}`,
      match: { ...plain.match, serverNames: hosts },
      tls: { certificates: [`cert ${i}`], requireClientCertificate: false, alpn: [...alpn] },
    })),
  }
  const secrets = chains.map(({ hosts }, i) => certificate(`cert ${i}`, hosts))
  const set: ResourceSet = {
    ...setOf({
      listener: [own],
      route: [table([REVIEWS])],
      cluster: [cluster(REVIEWS)],
      endpoints: [endpoints(REVIEWS, [`127.0.0.1:${app.port}`], false)],
    }),
    secret: new Map(secrets.map((secret) => [secret.name, secret])),
  }
  publish(set)
  const close = async () => {
    app.server.close()
    await proxy.close()
  }
  return { port, close }
}

async function sessionTo(port: number, servername: string): Promise<ClientHttp2Session> {
  const session = connect(`https://${servername}`, {
    createConnection: () =>
      tlsConnect({
        host: '127.0.0.1',
        port,
        servername,
        ca: ca.caPem,
        ALPNProtocols: ['h2', 'http/1.1'],
      }),
  })
  await once(session, 'connect')
  return session
}

interface Answer {
  readonly status: number
  readonly body: string
}

function ask(session: ClientHttp2Session, authority: string, sent = ''): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const method = sent === '' ? 'GET' : 'POST'
    const stream = session.request({
      ':method': method,
      ':scheme': 'https',
      ':authority': authority,
      ':path': '/x',
    })
    let status = 0
    let body = ''
    stream.on('response', (headers) => {
      status = Number(headers[':status'])
    })
    stream.setEncoding('utf8').on('data', (piece: string) => {
      body += piece
    })
    stream.on('end', () => resolve({ status, body })).on('error', reject)
    if (method === 'POST') stream.end(sent)
  })
}

const BOTH = ['h2', 'http/1.1']

test('ALPN chooses HTTP/2 or HTTP/1.1 at one TLS listener', async () => {
  const { port, close } = await serve([{ hosts: ['a.test'], alpn: BOTH }])
  const session = await sessionTo(port, 'a.test')
  assert.equal(session.alpnProtocol, 'h2')
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, i) => ask(session, 'a.test', i % 2 === 0 ? '' : 'x'.repeat(i))),
  )
  for (const answer of answers) assert.deepEqual(answer, { status: 200, body: 'a.test /x' })
  session.close()
  const older = await new Promise<number | undefined>((resolve, reject) => {
    const options = {
      host: '127.0.0.1',
      port,
      servername: 'a.test',
      headers: { host: 'a.test' },
      path: '/x',
      agent: false,
      ca: ca.caPem,
      ALPNProtocols: ['http/1.1'],
    }
    httpsRequest(options, (response) => {
      assert.equal(response.httpVersion, '1.1')
      assert.equal((response.socket as TLSSocket).alpnProtocol, 'http/1.1')
      response.resume().on('end', () => resolve(response.statusCode))
    })
      .on('error', reject)
      .end()
  })
  assert.equal(older, 200)
  await close()
})

test('a listener that offers only HTTP/1.1 does not speak HTTP/2 to who would rather', async () => {
  const { port, close } = await serve([{ hosts: ['a.test'], alpn: ['http/1.1'] }])
  const socket = tlsConnect({
    host: '127.0.0.1',
    port,
    servername: 'a.test',
    ca: ca.caPem,
    ALPNProtocols: BOTH,
  })
  await once(socket, 'secureConnect')
  assert.equal(socket.alpnProtocol, 'http/1.1')
  socket.write('GET /x HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n')
  const [answer] = await once(socket, 'data')
  assert.match(String(answer), /^HTTP\/1\.1 200 /)
  socket.destroy()
  await close()
})

test('R49: a host that another chain serves is misdirected; the connection lives on', async () => {
  const { port, close } = await serve([
    { hosts: ['a.test', '*.a.test'], alpn: BOTH },
    { hosts: ['b.test'], alpn: BOTH },
    { hosts: ['*.c.test'], alpn: BOTH },
    { hosts: ['exact.a.test'], alpn: BOTH },
  ])
  const session = await sessionTo(port, 'a.test')
  const statusOf = async (authority: string) => (await ask(session, authority)).status
  assert.equal(await statusOf('a.test'), 200)
  assert.equal(await statusOf('A.test:443'), 200)
  assert.equal(await statusOf('b.test'), 421)
  assert.equal(await statusOf('B.TEST:443'), 421)
  assert.equal(await statusOf('x.c.test'), 421)
  // The certificate of this chain covers it, and no other chain is nearer.
  assert.equal(await statusOf('x.a.test'), 200)
  // A wildcard covers it, but a new connection for it would have another chain.
  assert.equal(await statusOf('exact.a.test'), 421)
  // Nobody's host: the routes decide.
  assert.equal(await statusOf('unknown.test'), 200)
  assert.equal(await statusOf('a.test'), 200)
  assert.deepEqual([session.destroyed, session.closed], [false, false])
  session.close()
  const other = await sessionTo(port, 'b.test')
  assert.equal((await ask(other, 'b.test')).status, 200)
  other.close()
  await close()
})

test('R49: HTTP/1.1 over TLS is misdirected, too, and the connection serves its own host again', async () => {
  const { port, close } = await serve([
    { hosts: ['a.test', '*.a.test'], alpn: ['http/1.1'] },
    { hosts: ['b.test'], alpn: ['http/1.1'] },
  ])
  const socket = tlsConnect({ host: '127.0.0.1', port, servername: 'a.test', ca: ca.caPem })
  await once(socket, 'secureConnect')
  const statusOf = async (host: string) => {
    socket.write(`GET /x HTTP/1.1\r\nhost: ${host}\r\n\r\n`)
    let answer = ''
    // Every answer here is shorter than a record, and ends with its body.
    while (!/\r\n\r\n./s.test(answer)) answer += String((await once(socket, 'data'))[0])
    return Number(answer.slice(9, 12))
  }
  assert.equal(await statusOf('a.test'), 200)
  assert.equal(await statusOf('b.test'), 421)
  assert.equal(await statusOf('x.a.test:443'), 200)
  assert.equal(await statusOf('unknown.test'), 200)
  assert.equal(await statusOf('a.test'), 200)
  socket.destroy()
  await close()
})
