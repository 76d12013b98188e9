/**
 * Mutual TLS as people get it: `weft up` in one process, workloads in others, no setting but
 * PeerAuthentication. Callers: a workload of the mesh, nobody in particular, and a real Envoy that
 * has its certificate from files.
 */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { get, type IncomingHttpHeaders } from 'node:http'
import { get as getSecurely } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { ConnectionOptions } from 'node:tls'
import { eventually, freePort } from '@weft/testkit'
import { type Running, startWeft } from '../e2e/weft.ts'
import { loopback, skip, startEnvoy } from './envoy.ts'

const folder = mkdtempSync(join(tmpdir(), 'weft-mtls-'))
const mesh = join(folder, 'mesh')
const started: Running[] = []
/** Answers with the headers that it gets. */
const APP = `require('node:http')
  .createServer((request, response) => response.end(JSON.stringify(request.headers)))
  .listen(process.env.PORT, '127.0.0.1', () => console.log('the application is up'))`
/** Allows what comes with a certificate of the cart's, and `/asked/in`. */
const JUDGE = `require('node:http')
  .createServer((request, response) => {
    const peer = String(request.headers['x-forwarded-client-cert'])
    const isAsked = peer.includes('URI=spiffe://cluster.local/ns/default/sa/cart')
    response.writeHead(isAsked && request.url === '/asked/in' ? 200 : 403, { 'x-peer': peer }).end('judged')
  })
  .listen(process.env.PORT, '127.0.0.1', () => console.log('the judge is up'))`
/** An issuer of tokens: its keys for everybody, and who asked for them. */
const ISSUER = `const pair = require('node:crypto').generateKeyPairSync('ec', { namedCurve: 'P-256' })
const asked = []
require('node:http').createServer((request, response) => {
  if (request.url === '/jwks') {
    asked.push(request.headers['x-forwarded-client-cert'] ?? 'nobody')
    const jwk = pair.publicKey.export({ format: 'jwk' })
    return response.end(JSON.stringify({ keys: [{ ...jwk, kid: 'k', alg: 'ES256' }] }))
  }
  const pack = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const exp = Math.floor(Date.now() / 1000) + 600
  const text = pack({ alg: 'ES256', kid: 'k' }) + '.' + pack({ iss: 'issuer', sub: 'ann', exp })
  const key = { key: pair.privateKey, dsaEncoding: 'ieee-p1363' }
  const signature = require('node:crypto').sign('sha256', Buffer.from(text), key)
  response.end(JSON.stringify({ token: text + '.' + signature.toString('base64url'), asked: asked.join(' ') }))
}).listen(process.env.PORT, '127.0.0.1', () => console.log('the issuer is up'))`
let outbound = 0
let inbound = 0

before(async () => {
  mkdirSync(mesh)
  const [xds, admin] = [await freePort(), await freePort()]
  const env = { XDG_STATE_HOME: join(folder, 'state') }
  const start = async (args: readonly string[], seen: string) => {
    const running = startWeft(args, { env })
    started.push(running)
    await running.saw(seen)
  }
  await start(
    [
      ...['up', mesh, '--xds', `127.0.0.1:${xds}`, '--admin', `127.0.0.1:${admin}`],
      ...['--http', `${await freePort()}`],
    ],
    'The mesh is up',
  )
  const control = ['--control', `127.0.0.1:${xds}`, '--admin', '127.0.0.1:0']
  outbound = await freePort()
  inbound = await freePort()
  await start(
    [
      ...['run', ...control.slice(0, 2), '--service', 'judge', '--port', '80', '--app-port', '0'],
      ...['--service-account', 'judge', '--', process.execPath, '--eval', JUDGE],
    ],
    'the judge is up',
  )
  await start(
    [
      ...['run', ...control.slice(0, 2), '--service', 'issuer', '--port', '80', '--app-port', '0'],
      ...['--service-account', 'issuer', '--', process.execPath, '--eval', ISSUER],
    ],
    'the issuer is up',
  )
  await start(
    [
      ...['run', ...control.slice(0, 2), '--service', 'cart', '--port', '80', '--app-port', '0'],
      ...['--service-account', 'cart', '--inbound', `127.0.0.1:${inbound}`],
      ...['--', process.execPath, '--eval', APP],
    ],
    'the application is up',
  )
  await start(
    [
      ...['proxy', ...control, '--name', 'web', '--service-account', 'web'],
      ...['--outbound', `127.0.0.1:${outbound}`],
    ],
    'It has its configuration',
  )
})

after(async () => {
  for (const one of started.reverse()) await one[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

/** What the application heard; `undefined`: nothing. */
function call(
  port: number,
  host: string,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<IncomingHttpHeaders | undefined> {
  return new Promise((resolve) => {
    const options = { host: '127.0.0.1', port, path, headers: { host, ...headers }, agent: false }
    const request = get(options, (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (text: string) => {
        body += text
      })
      response.on('end', () => {
        resolve(response.statusCode === 200 ? (JSON.parse(body) as IncomingHttpHeaders) : undefined)
      })
    })
    request.on('error', () => resolve(undefined))
  })
}

const FORGED = { 'x-forwarded-client-cert': 'By=a;URI=spiffe://cluster.local/ns/default/sa/admin' }
const throughMesh = () => call(outbound, 'cart', 'http://cart/', FORGED)
const plainly = () => call(inbound, 'cart', '/', FORGED)

function policy(mode: string): void {
  const text = `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: ${mode}}}
`
  writeFileSync(join(mesh, 'peer-authentication.yaml'), text)
}

test('without a setting workloads have mutual TLS, and the application hears who calls (R43)', async () => {
  await eventually(async () => assert.ok((await throughMesh()) !== undefined))
  const told = (await throughMesh())?.['x-forwarded-client-cert']
  const wanted =
    /^By=spiffe:\/\/cluster\.local\/ns\/default\/sa\/cart;Hash=[0-9a-f]{64};Subject="";URI=spiffe:\/\/cluster\.local\/ns\/default\/sa\/web$/
  assert.match(String(told), wanted)
})

test('who has no certificate comes in as long as that is allowed, and is believed nothing', async () => {
  const heard = await plainly()
  assert.ok(heard !== undefined)
  assert.equal(heard['x-forwarded-client-cert'], undefined)
})

test('STRICT shuts plaintext out and DISABLE mutual TLS, while it runs (R41)', async () => {
  policy('STRICT')
  await eventually(async () => assert.equal(await plainly(), undefined))
  assert.ok((await throughMesh())?.['x-forwarded-client-cert'] !== undefined)
  policy('DISABLE')
  await eventually(async () => {
    const heard = await throughMesh()
    assert.ok(heard !== undefined)
    assert.equal(heard['x-forwarded-client-cert'], undefined)
  })
  assert.ok((await plainly()) !== undefined)
})

test('an authorization service in the mesh is asked over mutual TLS, also where nothing else is let in (R57)', async () => {
  policy('STRICT')
  writeFileSync(
    join(mesh, 'judge.yaml'),
    `apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    extensionProviders:
    - name: judge
      envoyExtAuthzHttp: {service: judge.default.svc.cluster.local, port: 80, timeout: 5s}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: asked, namespace: default}
spec:
  selector: {matchLabels: {app: cart}}
  action: CUSTOM
  provider: {name: judge}
  rules: [{to: [{operation: {paths: ["/asked/*"]}}]}]
`,
  )
  await eventually(async () => {
    assert.equal(await call(outbound, 'cart', 'http://cart/asked/out'), undefined)
    assert.ok((await call(outbound, 'cart', 'http://cart/asked/in')) !== undefined)
  })
  assert.ok((await throughMesh()) !== undefined)
})

test('keys of an issuer in the mesh are fetched over mutual TLS, also where nothing else is let in (R62)', async () => {
  policy('STRICT')
  writeFileSync(
    join(mesh, 'tokens.yaml'),
    `apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: tokens, namespace: default}
spec:
  selector: {matchLabels: {app: cart}}
  jwtRules: [{issuer: issuer, jwksUri: "http://issuer.default.svc.cluster.local/jwks"}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: tokens, namespace: default}
spec:
  selector: {matchLabels: {app: cart}}
  action: DENY
  rules: [{from: [{source: {notRequestPrincipals: ["issuer/ann"]}}], to: [{operation: {paths: ["/token/*"]}}]}]
`,
  )
  const issued = async () => {
    const heard = await call(outbound, 'issuer', 'http://issuer/token')
    assert.ok(heard !== undefined)
    return heard as { readonly token?: string; readonly asked?: string }
  }
  await eventually(async () => {
    assert.equal(await call(outbound, 'cart', 'http://cart/token/none'), undefined)
    const authorization = `Bearer ${(await issued()).token}`
    assert.ok(await call(outbound, 'cart', 'http://cart/token/good', { authorization }))
  })
  const { asked = '' } = await issued()
  assert.match(asked, /URI=spiffe:\/\/cluster\.local\/ns\/default\/sa\/cart/)
  assert.doesNotMatch(asked, /nobody/)
})

test('a real Envoy with a certificate of the mesh is let in where plaintext is not', {
  skip,
}, async () => {
  policy('STRICT')
  await eventually(async () => assert.equal(await plainly(), undefined))
  const port = await freePort()
  await using _envoy = startEnvoy(folder, envoyBootstrap(port))
  await eventually(async () => {
    const told = (await call(port, 'cart', '/'))?.['x-forwarded-client-cert']
    assert.match(String(told), /;URI=spiffe:\/\/cluster\.local\/ns\/default\/sa\/web$/)
  })
})

test('gateways of the mesh: AUTO_PASSTHROUGH leads by server name, ISTIO_MUTUAL ends TLS itself', async () => {
  policy('STRICT')
  const [through, ends] = [await freePort(), await freePort()]
  writeFileSync(join(mesh, 'gateways.yaml'), gateways(through, ends))
  const { chainPem, keyPem, rootsPem } = ownIdentity()
  const who = { cert: chainPem, key: keyPem, ca: rootsPem, checkServerIdentity: () => undefined }
  const name = 'outbound_.80_._.cart.default.svc.cluster.local'
  const passed = { ...who, servername: name, ALPNProtocols: ['istio-http/1.1', 'istio'] }
  await eventually(async () => {
    const heard = await callSecurely(through, 'cart', passed)
    assert.match(String(heard?.['x-forwarded-client-cert']), /;URI=spiffe:\S+\/sa\/web$/)
  })
  // Nobody of the mesh says so, or names what is not there.
  for (const other of [
    { ...passed, ALPNProtocols: ['http/1.1'] },
    { ...passed, servername: name.replace('_.80_', '_.81_') },
    { ...passed, servername: 'cart.default.svc.cluster.local' },
  ]) {
    assert.equal(await callSecurely(through, 'cart', other), undefined)
  }
  const ended = { ...who, servername: 'cart.mesh', ALPNProtocols: ['http/1.1'] }
  await eventually(async () => {
    const heard = await callSecurely(ends, 'cart.mesh', ended)
    // The application hears the gateway, which is who called it.
    assert.ok(heard?.['x-forwarded-client-cert'] !== undefined)
  })
  const { cert: _cert, key: _key, ...nobody } = ended
  assert.equal(await callSecurely(ends, 'cart.mesh', nobody), undefined)
})

function gateways(through: number, ends: number): string {
  return `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: eastwest, namespace: default}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: ${through}, name: tls, protocol: TLS}
    tls: {mode: AUTO_PASSTHROUGH}
    hosts: ["*.local"]
  - port: {number: ${ends}, name: https, protocol: HTTPS}
    tls: {mode: ISTIO_MUTUAL}
    hosts: [cart.mesh]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: through, namespace: default}
spec:
  hosts: [cart.mesh]
  gateways: [eastwest]
  http: [{route: [{destination: {host: cart}}]}]
`
}

/** Over TLS; what the application heard, `undefined`: nothing. */
function callSecurely(
  port: number,
  host: string,
  tls: ConnectionOptions,
): Promise<IncomingHttpHeaders | undefined> {
  return new Promise((resolve) => {
    const options = { host: '127.0.0.1', port, path: '/', headers: { host }, agent: false, ...tls }
    const request = getSecurely(options, (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (text: string) => {
        body += text
      })
      response.on('end', () => {
        resolve(response.statusCode === 200 ? (JSON.parse(body) as IncomingHttpHeaders) : undefined)
      })
    })
    request.on('error', () => resolve(undefined))
  })
}

/** The caller's. */
function ownIdentity(): Readonly<Record<'chainPem' | 'keyPem' | 'rootsPem', string>> {
  const state = join(folder, 'state', 'weft', 'proxies')
  const [own = ''] = readdirSync(state).filter((name) => name.includes('web'))
  return JSON.parse(readFileSync(join(state, own, 'svid.json'), 'utf8'))
}

/** As the caller's, of which the certificate is. */
function envoyBootstrap(port: number): object {
  const { chainPem, keyPem, rootsPem } = ownIdentity()
  const type = 'type.googleapis.com/envoy.extensions'
  const transport_socket = {
    name: 'tls',
    typed_config: {
      '@type': `${type}.transport_sockets.tls.v3.UpstreamTlsContext`,
      sni: 'outbound_.80_._.cart.default.svc.cluster.local',
      common_tls_context: {
        alpn_protocols: ['istio-http/1.1', 'istio', 'http/1.1'],
        tls_certificates: [
          {
            certificate_chain: { inline_string: chainPem },
            private_key: { inline_string: keyPem },
          },
        ],
        validation_context: {
          trusted_ca: { inline_string: rootsPem },
          match_typed_subject_alt_names: [
            { san_type: 'URI', matcher: { exact: 'spiffe://cluster.local/ns/default/sa/cart' } },
          ],
        },
      },
    },
  }
  const manager = {
    '@type': `${type}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: 'web',
    http_filters: [
      { name: 'router', typed_config: { '@type': `${type}.filters.http.router.v3.Router` } },
    ],
    route_config: {
      virtual_hosts: [
        {
          name: 'cart',
          domains: ['*'],
          routes: [{ match: { prefix: '/' }, route: { cluster: 'cart' } }],
        },
      ],
    },
  }
  const endpoint = { address: loopback(inbound) }
  return {
    static_resources: {
      listeners: [
        {
          address: loopback(port),
          filter_chains: [{ filters: [{ name: 'http', typed_config: manager }] }],
        },
      ],
      clusters: [
        {
          name: 'cart',
          type: 'STATIC',
          transport_socket,
          load_assignment: {
            cluster_name: 'cart',
            endpoints: [{ lb_endpoints: [{ endpoint }] }],
          },
        },
      ],
    },
  }
}
