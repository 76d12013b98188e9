/** Handshakes with Node's peers, counted at the listener and towards endpoints. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { connect, createServer, type TLSSocket } from 'node:tls'
import { type DownstreamTls, MATCH_ALL, type Secret, type UpstreamTls } from '@weft/model'
import { MetricsRegistry, readStats } from '@weft/telemetry'
import { createTestCa } from '@weft/testkit'
import type { TcpRuntime } from '../exchange/contract.ts'
import { clusterOf, engineDeps, upstreamOf } from '../exchange/engine-fixture.ts'
import { openListener } from '../listen/listener.ts'
import { ListenerSlot } from '../listen/listener-slot.ts'
import { RegistryFilterStats } from '../observe/filter-stats.ts'
import { connectUpstream } from './connect-upstream.ts'
import { TlsContexts } from './tls-contexts.ts'

const ca = createTestCa()
const stranger = createTestCa('Somebody else')

function secretsOf(): ReadonlyMap<string, Secret> {
  const { certPem, keyPem } = ca.issue({ dns: ['a.test'] })
  const secrets: Secret[] = [
    { kind: 'certificate', name: 'cert', chainPem: certPem, keyPem },
    { kind: 'validation', name: 'ca', caPem: ca.caPem },
  ]
  return new Map(secrets.map((secret) => [secret.name, secret]))
}

function counted() {
  const registry = new MetricsRegistry()
  const tls = new TlsContexts()
  tls.update(secretsOf())
  const deps = { ...engineDeps(), tls, filterStats: new RegistryFilterStats(registry) }
  const stats = () =>
    [...readStats(registry, ({ used, name }) => used && name.includes('ssl'))].map(
      ({ name, value }) => `${name.replace(/^listener\.[^ ]*:\d+/, 'listener')} ${value}`,
    )
  return { deps, stats }
}

test('a listener counts handshakes, and why clients were refused', async () => {
  const { deps, stats } = counted()
  const cluster = upstreamOf(clusterOf('nowhere', []), deps)
  const handler: TcpRuntime = {
    kind: 'tcp',
    listener: 'test',
    direction: 'inbound',
    proxy: {
      kind: 'tcp',
      statPrefix: 'x',
      targets: [{ cluster: 'nowhere', weight: 1 }],
      idleTimeoutMs: 0,
      accessLogs: [],
    },
    clusters: new Map([['nowhere', cluster]]),
    observer: { onExchangeEnd() {}, onConnectionEnd() {} },
  }
  const tls: DownstreamTls = {
    certificates: ['cert'],
    validation: 'ca',
    requireClientCertificate: true,
    subjectAltNames: [{ type: 'dns', value: { kind: 'exact', value: 'good', ignoreCase: false } }],
    alpn: [],
  }
  const chain = { name: 'only', match: MATCH_ALL, tls, handler }
  const listener = await openListener(
    { address: { host: '127.0.0.1', port: 0 } },
    new ListenerSlot({ name: 'test', direction: 'inbound', chains: [chain] }),
    deps,
  )
  const visit = async (identity: { cert?: string; key?: string }) => {
    const { port } = listener.address
    const client = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...identity })
    client.on('error', () => undefined)
    client.resume()
    await new Promise((resolve) => client.once('close', resolve))
  }
  const identityOf = (issuer: typeof ca, dns: string) => {
    const { certPem, keyPem } = issuer.issue({ dns: [dns] })
    return { cert: certPem, key: keyPem }
  }
  await visit(identityOf(ca, 'good'))
  await visit({})
  await visit(identityOf(stranger, 'good'))
  await visit(identityOf(ca, 'bad'))
  assert.deepEqual(stats().sort(), [
    'listener.ssl.fail_verify_error 1',
    'listener.ssl.fail_verify_no_cert 1',
    'listener.ssl.fail_verify_san 1',
    'listener.ssl.handshake 1',
  ])
  await listener.close()
})

test('a cluster counts handshakes, refusals, and what is no TLS', async () => {
  const { deps, stats } = counted()
  const { certPem, keyPem } = ca.issue({ dns: ['a.test'] })
  const server = createServer({ cert: certPem, key: keyPem }, (socket: TLSSocket) => socket.end())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = { host: '127.0.0.1', port: (server.address() as AddressInfo).port }
  const dial = (tls: Partial<UpstreamTls>, port = address.port) =>
    new Promise<void>((resolve) => {
      const model = clusterOf('c', [], {
        tls: { validation: 'ca', subjectAltNames: [], alpn: [], ...tls },
      })
      const socket = connectUpstream(
        model,
        { ...address, port },
        {
          onOpen: () => socket.close(),
          onData() {},
          onEnd() {},
          onDrain() {},
          onClose: () => resolve(),
        },
        deps,
      )
    })
  await dial({})
  await dial({ subjectAltNames: ['other.test'] })
  await dial({ verifyHash: ['00'.repeat(32)] })
  await dial({}, 1)
  assert.deepEqual(stats().sort(), [
    'cluster.c.ssl.fail_verify_cert_hash 1',
    'cluster.c.ssl.fail_verify_san 1',
    'cluster.c.ssl.handshake 1',
  ])
  server.close()
})
