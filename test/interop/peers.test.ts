/**
 * Servers that others wrote, behind a gateway and a sidecar of ours, and an Envoy in front of a
 * gateway: HTTP/1.1 and HTTP/2, plain and with TLS, configured as people do it, by Istio's kinds.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { createTestCa, eventually, freePort } from '@weft/testkit'
import { type Ask, ask } from './ask.ts'
import { type App, startApp } from './echo.ts'
import { type Mesh, secretYaml, startMesh } from './mesh.ts'
import {
  clientTls,
  envoyCluster,
  envoyListener,
  missing,
  type Peer,
  type PeerName,
  peers,
  runEnvoy,
} from './peers.ts'

const KINDS = ['http1', 'http2', 'tls', 'tls-http2'] as const
const NAMES = Object.keys(peers) as PeerName[]
const ca = createTestCa()
const server = ca.issue({ dns: ['peer.example'] })
const client = ca.issue({ dns: ['weft.example'], commonName: 'weft' })

describe('servers and clients that others wrote', () => {
  const dir = mkdtempSync(join(tmpdir(), 'weft-peers-'))
  const running = new Map<PeerName, Peer>()
  let app: App
  let mesh: Mesh
  let gateway = 0
  let secure = 0
  let sidecar = 0

  before(async () => {
    app = await startApp('app')
    for (const [file, text] of [
      ['ca.pem', ca.caPem],
      ['client.crt', client.certPem],
      ['client.key', client.keyPem],
    ] as const) {
      writeFileSync(join(dir, file), text)
    }
    for (const name of NAMES) {
      if (missing(name) !== false) continue
      running.set(name, await peers[name](app.port, { dir, server, caPem: ca.caPem }))
    }
    gateway = await freePort()
    secure = await freePort()
    mesh = await startMesh()
    const hosts = [...running].flatMap(([name, { ports }]) =>
      KINDS.map((kind) => hostYaml(name, kind, ports[kind === 'tls-http2' ? 'tls' : kind], dir)),
    )
    mesh.write(
      'mesh.yaml',
      `${hosts.join('')}---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front, namespace: istio-system}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: ${gateway}, name: http, protocol: HTTP}, hosts: ["*"]}
  - {port: {number: ${secure}, name: https, protocol: HTTPS}, hosts: ["*"], tls: {mode: MUTUAL, credentialName: front}}
${secretYaml('front', 'istio-system', { 'tls.crt': server.certPem, 'tls.key': server.keyPem, 'ca.crt': ca.caPem })}`,
    )
    await mesh.startGateway('edge', ['--namespace', 'istio-system'])
    sidecar = (await mesh.startSidecar('caller')).port
    const last = `${[...running.keys()].at(-1)}-http1.example`
    for (const port of [gateway, sidecar]) {
      await eventually(async () => assert.equal((await ask({ port, host: last })).status, 200))
    }
  })
  after(async () => {
    await mesh[Symbol.asyncDispose]()
    for (const peer of running.values()) await peer[Symbol.asyncDispose]()
    await app[Symbol.asyncDispose]()
    rmSync(dir, { recursive: true, force: true })
  })

  for (const name of NAMES) {
    for (const kind of KINDS) {
      for (const way of ['gateway over HTTP/1.1', 'gateway over HTTP/2', 'sidecar'] as const) {
        test(`${name} by ${kind} behind a ${way}`, { skip: missing(name) }, async () => {
          await exercise({
            port: way === 'sidecar' ? sidecar : gateway,
            host: `${name}-${kind}.example`,
            isHttp2: way === 'gateway over HTTP/2',
          })
        })
      }
    }

    test(`${name} keeps connections, takes chunks and answers 100-continue`, {
      skip: missing(name),
    }, async () => {
      // nginx sends no 100 over HTTP/2; its client would wait for as long as it likes.
      const kinds = name === 'nginx' ? (['http1', 'tls'] as const) : KINDS
      for (const kind of kinds) {
        const agent = new Agent({ keepAlive: true, maxSockets: 1 })
        const host = `${name}-${kind}.example`
        const used = new Set<number | undefined>()
        for (let i = 0; i < 5; i++) {
          const { status, text, localPort, continued } = await chunked(agent, gateway, host)
          assert.equal(status, 200)
          assert.equal(JSON.parse(text).body, 150_000)
          assert.equal(continued, true)
          used.add(localPort)
        }
        assert.equal(used.size, 1, 'one connection for all')
        agent.destroy()
      }
    })

    test(`${name} upgrades connections`, { skip: missing(name) }, async () => {
      const headers = { connection: 'upgrade', upgrade: 'websocket' }
      for (const port of [gateway, sidecar]) {
        const answer = await ask({ port, host: `${name}-http1.example`, headers })
        assert.equal(answer.status, 101, answer.error ?? answer.text)
      }
    })
  }

  test('an Envoy in front of a gateway: HTTP/1.1, HTTP/2, HTTP/2 with mutual TLS', {
    skip: missing('envoy'),
  }, async () => {
    const ports = { http1: await freePort(), http2: await freePort(), tls: await freePort() }
    const config = join(dir, 'front.json')
    const tls = clientTls(client, ca.caPem, 'peer.example')
    const bootstrap = {
      static_resources: {
        listeners: Object.entries(ports).map(([name, port]) => envoyListener(name, port, name)),
        clusters: [
          envoyCluster('http1', gateway),
          envoyCluster('http2', gateway, true),
          envoyCluster('tls', secure, true, tls),
        ],
      },
    }
    writeFileSync(config, JSON.stringify(bootstrap))
    const stop = await runEnvoy(config, Object.values(ports))
    try {
      for (const port of Object.values(ports)) {
        for (const isHttp2 of [false, true]) {
          await exercise({ port, host: 'envoy-http1.example', isHttp2 })
          await exercise({ port, host: 'envoy-tls-http2.example', isHttp2 })
        }
      }
    } finally {
      await stop()
    }
  })
})

async function exercise(to: Pick<Ask, 'port' | 'host' | 'isHttp2'>): Promise<void> {
  const at = (path: string, more: Partial<Ask> = {}) => ask({ ...to, path, ...more })
  const plain = await at('/plain?x=1')
  assert.equal(plain.status, 200, plain.error ?? plain.text)
  assert.equal(plain.echo?.path, '/plain?x=1')
  const posted = await at('/post', { method: 'POST', body: 'b'.repeat(300_000) })
  assert.equal(posted.echo?.body, 300_000, posted.error ?? posted.text)
  const large = await at('/large?size=1500000')
  assert.equal(large.text.length, 1_500_000, large.error ?? large.text.slice(0, 200))
  const head = await at('/head', { method: 'HEAD' })
  assert.deepEqual([head.status, head.text], [200, ''])
  const unchanged = await at('/same?status=304')
  assert.deepEqual([unchanged.status, unchanged.text], [304, ''])
  assert.equal((await at('/none?status=204')).status, 204)
  assert.equal((await at('/bad?status=503')).status, 503)
  const many = await Promise.all(Array.from({ length: 12 }, (_, i) => at(`/many/${i}`)))
  assert.deepEqual(
    many.map(({ status, echo }) => `${status} ${echo?.path}`),
    many.map((_, i) => `200 /many/${i}`),
  )
}

interface Chunked {
  readonly status: number | undefined
  readonly text: string
  readonly localPort: number | undefined
  readonly continued: boolean
}

function chunked(agent: Agent, port: number, host: string): Promise<Chunked> {
  return new Promise((resolve, reject) => {
    const headers = { host, expect: '100-continue', 'transfer-encoding': 'chunked' }
    let continued = false
    let localPort: number | undefined
    const options = { agent, host: '127.0.0.1', port, method: 'POST', path: '/chunks', headers }
    const sent = request(options, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part
      })
      response.on('end', () => resolve({ status: response.statusCode, text, localPort, continued }))
    })
    sent.on('error', reject)
    sent.on('socket', (socket) => {
      localPort = socket.localPort
    })
    sent.on('continue', () => {
      continued = true
      for (let i = 0; i < 3; i++) sent.write('c'.repeat(50_000))
      sent.end()
    })
    sent.flushHeaders()
  })
}

function hostYaml(name: PeerName, kind: (typeof KINDS)[number], port: number, dir: string): string {
  const host = `${name}-${kind}.example`
  const isTls = kind.startsWith('tls')
  const protocol = kind.endsWith('http2') ? 'HTTP2' : 'HTTP'
  const own =
    name === 'envoy'
      ? `mode: MUTUAL, clientCertificate: ${dir}/client.crt, privateKey: ${dir}/client.key`
      : 'mode: SIMPLE'
  const rule = `---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ${name}-${kind}, namespace: istio-system}
spec:
  host: ${host}
  trafficPolicy: {tls: {${own}, caCertificates: ${dir}/ca.pem, sni: peer.example, subjectAltNames: [peer.example]}}
`
  return `---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}-${kind}, namespace: istio-system}
spec:
  hosts: [${host}]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{number: 80, name: main, protocol: ${protocol}}]
  endpoints: [{address: 127.0.0.1, ports: {main: ${port}}}]
${isTls ? rule : ''}---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ${name}-${kind}, namespace: istio-system}
spec:
  hosts: [${host}]
  gateways: [front]
  http: [{route: [{destination: {host: ${host}, port: {number: 80}}}]}]
`
}
