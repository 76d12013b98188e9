/** Who is let in by a listener of the mesh, and whom a caller talks to: over real sockets. */
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, connect as connectTcp, createServer, type Server } from 'node:net'
import { after, test } from 'node:test'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'
import {
  Authority,
  createCertificateRequest,
  createIntermediate,
  createRoot,
  readCertificateRequest,
  writePem,
} from '@weft/identity'
import {
  type DownstreamTls,
  MATCH_ALL,
  type Secret,
  serviceAccountId,
  type UpstreamTls,
} from '@weft/model'
import type { Socket } from '@weft/net'
import { createTestCa } from '@weft/testkit'
import type { TcpRuntime } from '../exchange/contract.ts'
import { clusterOf, engineDeps, upstreamOf } from '../exchange/engine-fixture.ts'
import { openListener } from '../listen/listener.ts'
import { ListenerSlot } from '../listen/listener-slot.ts'
import { connectUpstream, towards } from '../tls/connect-upstream.ts'
import { TlsContexts } from '../tls/tls-contexts.ts'
import { MESH_ROOTS, OWN_CERTIFICATE } from './local-secrets.ts'

const DAY_MS = 86_400_000
const TRUST_DOMAIN = 'cluster.local'

interface Identity {
  readonly cert: string
  readonly key: string
}

/** A CA of the mesh, or of somebody who says so. */
class Mesh {
  readonly rootPem: string
  readonly #signer: Authority

  constructor(trustDomain = TRUST_DOMAIN) {
    const life = { nowMs: Date.now() - 3 * DAY_MS, lifetimeMs: 30 * DAY_MS }
    const files = createRoot(trustDomain, life)
    const root = new Authority(files, trustDomain)
    this.rootPem = files.rootPem
    this.#signer = new Authority(createIntermediate(root, life), trustDomain)
  }

  identity(account: string, issuedMs = Date.now(), lifetimeMs = DAY_MS): Identity {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const read = readCertificateRequest(createCertificateRequest(privateKey))
    assert.ok(read.ok)
    const id = serviceAccountId(this.#signer.trustDomain, 'shop', account)
    const { chain } = this.#signer.issue(read.request, id, { nowMs: issuedMs, lifetimeMs })
    return {
      cert: chain.map((der) => writePem('CERTIFICATE', der)).join(''),
      key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    }
  }
}

const mesh = new Mesh()
/** Federated: its root is in the bundle, and vouches for its own names only. */
const partner = new Mesh('partner.example')
/** Has the mesh's name and not its root. */
const impostor = new Mesh()
const web = mesh.identity('web')

function secretsOf({ cert, key }: Identity): ReadonlyMap<string, Secret> {
  const secrets: Secret[] = [
    { kind: 'certificate', name: OWN_CERTIFICATE, chainPem: cert, keyPem: key },
    { kind: 'validation', name: MESH_ROOTS, caPem: mesh.rootPem + partner.rootPem },
  ]
  return new Map(secrets.map((secret) => [secret.name, secret]))
}

function depsOf(identity: Identity) {
  const tls = new TlsContexts()
  tls.update(secretsOf(identity))
  return { ...engineDeps(), tls }
}

const servers: Server[] = []
const app = createServer((socket) => {
  socket.on('error', () => undefined)
  socket.end('hello')
})
servers.push(app)
app.listen(0, '127.0.0.1')
await once(app, 'listening')
after(() => {
  for (const server of servers) server.close()
})

const INBOUND: DownstreamTls = {
  certificates: [OWN_CERTIFICATE],
  validation: MESH_ROOTS,
  requireClientCertificate: true,
  subjectAltNames: [
    {
      type: 'uri',
      value: { kind: 'prefix', value: `spiffe://${TRUST_DOMAIN}/`, ignoreCase: false },
    },
  ],
  alpn: ['istio'],
}

/** The inbound listener of the workload `cart`. */
async function openInbound(
  mode: 'STRICT' | 'PERMISSIVE',
  deps = depsOf(mesh.identity('cart')),
  behind = app,
) {
  const { port } = behind.address() as AddressInfo
  const endpoint = { host: '127.0.0.1', port }
  const cluster = upstreamOf(clusterOf('app', [endpoint]), deps)
  const handler: TcpRuntime = {
    kind: 'tcp',
    listener: 'inbound',
    direction: 'inbound',
    proxy: {
      kind: 'tcp',
      statPrefix: 'x',
      targets: [{ cluster: 'app', weight: 1 }],
      idleTimeoutMs: 0,
      accessLogs: [],
    },
    clusters: new Map([['app', cluster]]),
    observer: { onExchangeEnd() {}, onConnectionEnd() {} },
  }
  const secured = { ...MATCH_ALL, transportProtocol: 'tls' as const }
  const mutual = { name: 'mtls', match: secured, tls: INBOUND, handler }
  const chains =
    mode === 'STRICT'
      ? [mutual]
      : [
          { ...mutual, match: { ...secured, applicationProtocols: ['istio'] } },
          {
            name: 'plain',
            match: { ...MATCH_ALL, transportProtocol: 'raw_buffer' as const },
            handler,
          },
        ]
  const listener = await openListener(
    { address: { host: '127.0.0.1', port: 0 } },
    new ListenerSlot({ name: 'inbound', direction: 'inbound', chains }),
    deps,
  )
  return listener
}

/** What a client hears, or that it was put out. */
function hear(port: number, options: ConnectionOptions | 'plaintext'): Promise<string> {
  const where = { host: '127.0.0.1', port }
  const socket =
    options === 'plaintext'
      ? connectTcp(where)
      : connectTls({ ...where, rejectUnauthorized: false, ALPNProtocols: ['istio'], ...options })
  let heard = ''
  socket.on('error', () => undefined)
  socket.on('data', (bytes: Buffer) => {
    heard += String(bytes)
  })
  // Whoever is silent is waited for.
  if (options === 'plaintext') socket.write('x')
  return new Promise((resolve) => {
    socket.once('close', () => resolve(heard === 'hello' ? 'in' : 'out'))
  })
}

const plainCa = createTestCa()
const unnamed = plainCa.issue({ dns: ['web.shop'] })
const CLIENTS: readonly (readonly [string, ConnectionOptions | 'plaintext', string, string])[] = [
  // Who, with what, in STRICT, in PERMISSIVE.
  ['a workload of the mesh', web, 'in', 'in'],
  ['plaintext', 'plaintext', 'out', 'in'],
  ['TLS without a certificate', {}, 'out', 'out'],
  ['one whose certificate has expired', expired(), 'out', 'out'],
  ['a foreign CA under the mesh’s name', impostor.identity('web'), 'out', 'out'],
  ['a federated workload', partner.identity('web'), 'out', 'out'],
  ['a certificate of somebody else', { cert: unnamed.certPem, key: unnamed.keyPem }, 'out', 'out'],
]

function expired(): Identity {
  return mesh.identity('web', Date.now() - 2 * DAY_MS, DAY_MS)
}

for (const [at, mode] of (['STRICT', 'PERMISSIVE'] as const).entries()) {
  test(`${mode}: who comes in`, async () => {
    const listener = await openInbound(mode)
    for (const [who, options, ...expected] of CLIENTS) {
      assert.equal(await hear(listener.address.port, options), expected[at], who)
    }
    await listener.close()
  })
}

const UPSTREAM: UpstreamTls = {
  certificate: OWN_CERTIFICATE,
  validation: MESH_ROOTS,
  sni: 'outbound_.80_._.cart.shop.svc.cluster.local',
  subjectAltNames: [`spiffe://${TRUST_DOMAIN}/ns/shop/sa/cart`],
  alpn: ['istio'],
}

/** Why a call fails; empty: it does not. */
async function call(
  port: number,
  tls: UpstreamTls,
  tlsMode?: 'istio',
  deps = depsOf(web),
): Promise<string> {
  const address = { host: '127.0.0.1', port }
  const endpoint = {
    ...{ address, weight: 1, health: 'healthy' as const },
    ...(tlsMode === undefined ? {} : { tlsMode }),
  }
  const cluster = towards(clusterOf('c', [address], { tls, autoTls: true }), endpoint)
  return new Promise((resolve) => {
    const socket: Socket = connectUpstream(
      cluster,
      address,
      {
        onOpen: () => {
          const secured = socket.tls === undefined ? 'plaintext' : 'mutual TLS'
          socket.close()
          resolve(secured)
        },
        onData() {},
        onEnd() {},
        onDrain() {},
        onClose: (error) => resolve(error?.message ?? 'closed'),
      },
      deps,
    )
  })
}

test('a caller has mutual TLS with endpoints that take it, with those it means, and with nobody else', async () => {
  const listener = await openInbound('PERMISSIVE')
  const { port } = listener.address
  assert.equal(await call(port, UPSTREAM, 'istio'), 'mutual TLS')
  assert.equal(await call(port, UPSTREAM), 'plaintext')
  const other = { ...UPSTREAM, subjectAltNames: [`spiffe://${TRUST_DOMAIN}/ns/shop/sa/pay`] }
  assert.match(await call(port, other, 'istio'), /none of its names is wanted: .*sa\/cart/)
  await listener.close()
})

test('F12: certificates of both sides are replaced under load, no call is lost and no connection closed', async () => {
  const server = depsOf(mesh.identity('cart'))
  const client = depsOf(mesh.identity('web'))
  // Answers nobody: the connection stays until one side is tired of it.
  const silent = createServer((socket) => void socket.on('error', () => undefined))
  servers.push(silent)
  silent.listen(0, '127.0.0.1')
  await once(silent, 'listening')
  const listener = await openInbound('STRICT', server, silent)
  const { port } = listener.address
  const { cert, key } = mesh.identity('web')
  const options = { host: '127.0.0.1', port, rejectUnauthorized: false, ALPNProtocols: ['istio'] }
  const standing = connectTls({ ...options, cert, key })
  await once(standing, 'secureConnect')
  const shown = new Set<string>()
  for (let round = 0; round < 8; round++) {
    server.tls.update(secretsOf(mesh.identity('cart')))
    client.tls.update(secretsOf(mesh.identity('web')))
    const calls = Array.from({ length: 5 }, () => call(port, UPSTREAM, 'istio', client))
    assert.deepEqual(new Set(await Promise.all(calls)), new Set(['mutual TLS']))
    const visitor = connectTls({ ...options, cert, key })
    await once(visitor, 'secureConnect')
    shown.add(visitor.getPeerCertificate().fingerprint256)
    visitor.destroy()
  }
  assert.equal(shown.size, 8)
  assert.equal(standing.closed, false)
  standing.destroy()
  await listener.close()
})
