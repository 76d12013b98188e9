/** The xDS port over TLS, and the certificate service on it, asked by `node:http2`. */
import assert from 'node:assert/strict'
import { type ClientHttp2Session, connect, type SecureClientSessionOptions } from 'node:http2'
import { after, describe, type TestContext, test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import { silentLogger } from '@weft/base'
import { createTestCa, FakeClock } from '@weft/testkit'
import {
  decodeCertificateResponse,
  encodeCertificateRequest,
} from '../certificates/certificate-messages.ts'
import { frame } from '../wire/grpc-frames.ts'
import type { XdsPeer } from './ads-server.ts'
import { openAdsServer } from './open-ads-server.ts'
import { CREATE_CERTIFICATE } from './side-services.ts'

const DELTA = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources'
const QUESTION = { csrPem: 'please', validitySeconds: 60, metadata: { NODE_ID: 'a' } }

const ca = createTestCa('xds')
const tlsOf = (host: string) => {
  const { certPem, keyPem } = ca.issue({ dns: [host] })
  return { chainPem: certPem, keyPem }
}
const clock = new FakeClock()
const peers: XdsPeer[] = []
const server = openAdsServer(
  {},
  {
    clock,
    log: silentLogger,
    viewOf: () => 'v',
    admit: (peer) => (peer.chain.length === 0 ? 'show a certificate' : undefined),
    async onCertificate({ csrPem, validitySeconds, metadata }, peer) {
      peers.push(peer)
      if (peer.authorization === undefined && peer.chain.length === 0) {
        return { ok: false, code: 'unauthenticated', problem: 'who are you?' }
      }
      return { ok: true, chainPem: [csrPem, String(validitySeconds), JSON.stringify(metadata)] }
    },
  },
)
const target = await server.listen({ host: '127.0.0.1', port: 0 }, tlsOf('one.example'))
if (!('port' in target)) throw new Error('Cannot test: no port')
const { port } = target
after(() => server.close())

function open(t: TestContext, options: SecureClientSessionOptions = {}): ClientHttp2Session {
  const session = connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false, ...options })
  session.on('error', () => {})
  t.after(() => session.destroy())
  return session
}

interface Outcome {
  readonly status: string
  readonly message: Buffer
}

function call(
  session: ClientHttp2Session,
  path: string,
  body: Buffer,
  headers: Record<string, string> = {},
): Promise<Outcome> {
  const { promise, resolve, reject } = Promise.withResolvers<Outcome>()
  const stream = session.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    ...headers,
  })
  let status = ''
  const chunks: Buffer[] = []
  const take = (fields: Record<string, unknown>) => {
    status = String(fields['grpc-status'] ?? status)
  }
  stream.on('response', take)
  stream.on('trailers', take)
  stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  stream.on('close', () => resolve({ status, message: Buffer.concat(chunks).subarray(5) }))
  stream.on('error', reject)
  stream.end(body)
  return promise
}

const asked = frame([encodeCertificateRequest(QUESTION)])

describe('the certificate service', () => {
  test('takes the question and what proves who asks, and answers with a chain', async (t) => {
    const { status, message } = await call(open(t), CREATE_CERTIFICATE, asked, {
      authorization: 'Bearer x',
    })
    assert.equal(status, '0')
    assert.deepEqual(decodeCertificateResponse(message), ['please', '60', '{"NODE_ID":"a"}'])
    const peer = peers.at(-1)
    assert.deepEqual(
      [peer?.isTls, peer?.isLocal, peer?.authorization, peer?.chain.length],
      [true, true, 'Bearer x', 0],
    )
  })

  test('passes on who shows a certificate', async (t) => {
    const { certPem, keyPem } = ca.issue({ uri: ['spiffe://x/y'] })
    const session = open(t, { cert: `${certPem}${ca.caPem}`, key: keyPem })
    assert.equal((await call(session, CREATE_CERTIFICATE, asked)).status, '0')
    const pems = [certPem, ca.caPem].map((pem) => pem.replaceAll(/-----.*-----|\n/g, ''))
    assert.deepEqual(
      peers.at(-1)?.chain.map((der) => der.toString('base64')),
      pems,
    )
  })

  test('says with the right code what is wrong', async (t) => {
    const session = open(t)
    assert.equal((await call(session, CREATE_CERTIFICATE, asked)).status, '16')
    assert.equal((await call(session, CREATE_CERTIFICATE, Buffer.alloc(0))).status, '3')
    assert.equal((await call(session, CREATE_CERTIFICATE, frame([Buffer.of(0xff)]))).status, '3')
    const large = frame([Buffer.alloc(65_537)])
    assert.equal((await call(session, CREATE_CERTIFICATE, large)).status, '8')
  })
})

describe('R67: a stranger', () => {
  test('gets nothing but the certificate service', async (t) => {
    assert.equal((await call(open(t), DELTA, Buffer.alloc(0))).status, '16')
  })

  test('that begins a request and does not go on is told so after ten seconds', async (t) => {
    const plain = await server.listen({ host: '127.0.0.1', port: 0 })
    const session = connect(`http://127.0.0.1:${'port' in plain ? plain.port : 0}`)
    t.after(() => session.destroy())
    const stream = session.request({ ':method': 'POST', ':path': CREATE_CERTIFICATE })
    const status = new Promise((resolve) => {
      stream.on('response', (fields) => resolve(fields['grpc-status']))
    })
    stream.write(asked.subarray(0, 8))
    // That a second call was answered shows that the first has arrived.
    await call(session, CREATE_CERTIFICATE, asked)
    clock.advance(10_000)
    assert.equal(await status, '4')
  })

  test('that only connects is cut off after ten seconds', async (t) => {
    const session = open(t)
    await new Promise((resolve) => session.once('remoteSettings', resolve))
    const ended = new Promise((resolve) => session.on('close', resolve))
    clock.advance(10_000)
    await ended
  })

  test('is one no more once something was given', async (t) => {
    const { certPem, keyPem } = ca.issue({ uri: ['spiffe://x/y'] })
    const session = open(t, { cert: certPem, key: keyPem })
    const stream = session.request({ ':method': 'POST', ':path': DELTA })
    await new Promise((resolve) => stream.on('response', resolve))
    clock.advance(20_000)
    assert.equal((await call(session, CREATE_CERTIFICATE, asked)).status, '0')
  })
})

test('another certificate is shown at the next handshake, and no connection ends', async (t) => {
  const shown = (session: ClientHttp2Session) => {
    const socket = session.socket as TLSSocket
    return socket.getPeerCertificate().subjectaltname
  }
  const old = open(t)
  await new Promise((resolve) => old.once('remoteSettings', resolve))
  server.setTls(tlsOf('two.example'))
  const fresh = open(t)
  await new Promise((resolve) => fresh.once('remoteSettings', resolve))
  assert.deepEqual([shown(old), shown(fresh)], ['DNS:one.example', 'DNS:two.example'])
  assert.equal((await call(old, CREATE_CERTIFICATE, asked)).status, '16')
})
