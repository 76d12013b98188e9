/** Who calls, by the certificate of a real handshake, as what a limit counts. */
import assert from 'node:assert/strict'
import { connect as connectHttp2 } from 'node:http2'
import { Agent, request as httpsRequest } from 'node:https'
import { test } from 'node:test'
import type { DownstreamTls, LocalRateLimit, Secret } from '@weft/model'
import { createTestCa } from '@weft/testkit'
import { openApp, openProxy, REVIEWS } from '../test-proxy.ts'
import { cluster, endpoints, listener, setOf, table } from '../test-resources.ts'

const ca = createTestCa()
const server = ca.issue({ dns: ['web.test'] })
const SECRETS: readonly Secret[] = [
  { kind: 'certificate', name: 'cert', chainPem: server.certPem, keyPem: server.keyPem },
  { kind: 'validation', name: 'ca', caPem: ca.caPem },
]
const TLS: DownstreamTls = {
  certificates: ['cert'],
  validation: 'ca',
  requireClientCertificate: false,
  alpn: ['h2', 'http/1.1'],
}
const NONE = { maxTokens: 1_000, tokensPerFill: 1_000, fillIntervalMs: 1_000 }
/** Two requests for each identity; others are free. */
const LIMIT: LocalRateLimit = {
  statPrefix: 'identity',
  bucket: NONE,
  enabledPercent: 100,
  enforcedPercent: 100,
  status: 429,
  descriptors: [
    {
      entries: [{ key: 'source_principal', value: '' }],
      bucket: { maxTokens: 2, tokensPerFill: 1, fillIntervalMs: 3_600_000 },
    },
  ],
  actions: [{ stage: 0, actions: [{ kind: 'sourcePrincipal' }] }],
  perConnection: false,
  headers: false,
  responseHeaders: [],
}

function identity(account: string) {
  const { certPem, keyPem } = ca.issue({ uri: [`spiffe://cluster.local/ns/shop/sa/${account}`] })
  return { cert: certPem, key: keyPem }
}

function overHttp1(port: number, client: object): Promise<number> {
  const options = { host: '127.0.0.1', port, agent: false, ca: ca.caPem, ...client }
  return new Promise((resolve, reject) => {
    const checkServerIdentity = () => undefined
    httpsRequest({ ...options, checkServerIdentity }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode ?? 0))
    })
      .on('error', reject)
      .end()
  })
}

/** Several requests on one connection. */
async function overHttp2(port: number, client: object, count: number): Promise<number[]> {
  const session = connectHttp2(`https://127.0.0.1:${port}`, {
    ca: ca.caPem,
    checkServerIdentity: () => undefined,
    ...client,
  })
  const statuses: number[] = []
  for (let i = 0; i < count; i++) {
    const stream = session.request({ ':path': '/', ':authority': 'reviews' })
    const status = await new Promise<number>((resolve, reject) => {
      stream.on('response', (headers) => resolve(headers[':status'] ?? 0)).on('error', reject)
    })
    stream.resume()
    statuses.push(status)
  }
  session.close()
  return statuses
}

test('each identity has a bucket of its own, over HTTP/1.1 and HTTP/2 together', async (t) => {
  const { proxy, publish } = await openProxy('web', { outbound: { host: '127.0.0.1', port: 0 } })
  const app = await openApp(() => 'ok')
  t.after(async () => {
    app.server.close()
    await proxy.close()
  })
  const port = proxy.outbound?.port ?? 0
  const base = listener('weft:outbound', 'outbound', port)
  const filterChains = base.filterChains.map((chain) => {
    assert.equal(chain.filter.kind, 'http')
    const filters = [{ kind: 'localRateLimit', limit: LIMIT }] as const
    const filter = chain.filter.kind === 'http' ? { ...chain.filter, filters } : chain.filter
    return { ...chain, tls: TLS, filter }
  })
  const set = setOf({
    listener: [{ ...base, filterChains }],
    route: [table([REVIEWS])],
    cluster: [cluster(REVIEWS)],
    endpoints: [endpoints(REVIEWS, [`127.0.0.1:${app.port}`], false)],
  })
  publish({ ...set, secret: new Map(SECRETS.map((secret) => [secret.name, secret])) })
  const [cart, web] = [identity('cart'), identity('web')]
  assert.equal(await overHttp1(port, cart), 200)
  assert.deepEqual(await overHttp2(port, cart, 3), [200, 429, 429])
  assert.equal(await overHttp1(port, cart), 429)
  assert.deepEqual(await overHttp2(port, web, 3), [200, 200, 429])
  // A connection that resumes a session brings no certificate, but is the same peer.
  const resuming = { ...identity('batch'), agent: new Agent({ keepAlive: false }) }
  const resumed = [200, 200, 429]
  for (const status of resumed) assert.equal(await overHttp1(port, resuming), status)
  // Without a certificate there is no identity to count by.
  for (let i = 0; i < 3; i++) assert.equal(await overHttp1(port, {}), 200)
})
