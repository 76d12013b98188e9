/**
 * What leaves the mesh: with REGISTRY_ONLY nothing that was not declared, however it is asked for,
 * and what is declared through an egress gateway, which speaks TLS for the application (Istio's
 * recipe). Whether something was reached is asked of the server that must not be.
 */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import { createTestCa, eventually, freePort } from '@weft/testkit'
import { type App, startApp } from './echo.ts'
import { type Mesh, serviceYaml, startMesh } from './mesh.ts'

const ca = createTestCa('outside')
const certificate = (host: string) => {
  const { certPem, keyPem } = ca.issue({ dns: [host] })
  return { cert: certPem, key: keyPem }
}

const entry = (host: string, ports: string, endpoints: string) => `---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${host.replaceAll(/[^a-z]/g, '-').replace(/^-+/, '')}}
spec:
  hosts: ["${host}"]
  location: MESH_EXTERNAL
  ports: [${ports}]
  ${endpoints}
`

let mesh: Mesh
/** Where the application's HTTP_PROXY points. */
let proxy = 0
let allowed: App
let secure: App
let forbidden: App
let forbiddenTls: App

before(async () => {
  allowed = await startApp('allowed')
  secure = await startApp('secure', 'https', certificate('secure.test'))
  forbidden = await startApp('forbidden')
  forbiddenTls = await startApp('forbidden', 'https', certificate('forbidden.test'))
  mesh = await startMesh()
  mesh.write(
    'mesh.yaml',
    [
      `apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: "outboundTrafficPolicy: {mode: REGISTRY_ONLY}"}
`,
      entry(
        'allowed.test',
        '{number: 80, name: http, protocol: HTTP}',
        `resolution: STATIC\n  endpoints: [{address: 127.0.0.1, ports: {http: ${allowed.port}}}]`,
      ),
      entry(
        'secure.test',
        '{number: 443, name: tls, protocol: TLS}',
        `resolution: STATIC\n  endpoints: [{address: 127.0.0.1, ports: {tls: ${secure.port}}}]`,
      ),
      entry(
        '*.wild.test',
        '{number: 80, name: http, protocol: HTTP}, {number: 443, name: tls, protocol: TLS}',
        'resolution: NONE',
      ),
    ].join(''),
  )
  proxy = (await mesh.startSidecar('caller')).port
  await eventually(async () => {
    assert.match(
      await say(`GET http://allowed.test/ready HTTP/1.1\r\nHost: allowed.test\r\n`),
      /200/,
    )
  })
})

after(async () => {
  await mesh[Symbol.asyncDispose]()
  for (const app of [allowed, secure, forbidden, forbiddenTls]) await app[Symbol.asyncDispose]()
})

/** Everything that comes back for the bytes, until the end or a silence. */
function say(head: string, more = ''): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(proxy, '127.0.0.1')
    let heard = ''
    const end = () => {
      socket.destroy()
      resolve(heard)
    }
    socket.setTimeout(5_000, end)
    socket.setEncoding('latin1').on('data', (text: string) => {
      heard += text
      // A tunnel that is open is used for what it was asked for.
      if (more !== '' && heard.startsWith('HTTP/1.1 200')) socket.write(more)
    })
    socket.on('error', () => undefined).once('close', end)
    socket.write(`${head}Connection: close\r\n\r\n`)
  })
}

const PROBE = 'GET /reached HTTP/1.1\r\nHost: forbidden.test\r\nConnection: close\r\n\r\n'

describe('REGISTRY_ONLY is not got around', () => {
  const tricks = (): readonly [string, string][] => {
    const at = (host: string) => `${host}:${forbidden.port}`
    const get = (target: string, host: string, more = '') =>
      `GET ${target} HTTP/1.1\r\nHost: ${host}\r\n${more}`
    const addresses = [
      '127.0.0.1',
      '127.1',
      '0x7f.0.0.1',
      '0177.0.0.1',
      '2130706433',
      '[::ffff:127.0.0.1]',
      '[::ffff:7f00:1]',
      '0.0.0.0',
      'localhost',
      'localhost.',
      'LOCALHOST',
      'forbidden.test',
      // Declared, but not with this port.
      'allowed.test',
      'secure.test',
      'allowed.test.',
      'a.wild.test',
      'wild.test',
      '127.0.0.1.wild.test',
      'allowed.test@127.0.0.1',
      'allowed.test%2f@127.0.0.1',
    ]
    return [
      ...addresses.flatMap((host): [string, string][] => [
        [`an absolute target at ${host}`, get(`http://${at(host)}/reached`, at(host))],
        [`a Host field with ${host}`, get('/reached', at(host))],
        [`a tunnel to ${host}`, `CONNECT ${at(host)} HTTP/1.1\r\nHost: ${at(host)}\r\n`],
        [
          `a tunnel to ${host} that names a declared host`,
          `CONNECT ${at(host)} HTTP/1.1\r\nHost: allowed.test\r\n`,
        ],
        [
          `an absolute target at ${host} with a declared Host`,
          get(`http://${at(host)}/reached`, 'allowed.test'),
        ],
        [`a wild Host for ${host}`, get(`http://${at(host)}/reached`, 'a.wild.test')],
      ]),
      ...['x-envoy-original-dst-host', 'x-forwarded-host', 'forwarded', 'x-original-url'].flatMap(
        (field): [string, string][] =>
          ['allowed.test', 'a.wild.test'].map((host) => [
            `${field} at ${host}`,
            get(`http://${host}/elsewhere`, host, `${field}: ${at('127.0.0.1')}\r\n`),
          ]),
      ),
      ['two Hosts', get('/reached', 'allowed.test', `Host: ${at('127.0.0.1')}\r\n`)],
      ['a Host with a space', get('/reached', `allowed.test ${at('127.0.0.1')}`)],
      ['a Host with a comma', get('/reached', `allowed.test,${at('127.0.0.1')}`)],
    ]
  }

  test('by any spelling of host, address or port', async () => {
    const all = tricks()
    for (let from = 0; from < all.length; from += 8) {
      await Promise.all(
        all.slice(from, from + 8).map(async ([what, head]) => {
          const heard = await say(head, PROBE)
          assert.doesNotMatch(heard, /"backend": ?"forbidden"/, what)
        }),
      )
    }
    assert.deepEqual(forbidden.seen, [])
  })

  test('by another name inside of a tunnel: it leads where it was asked to lead', async () => {
    const seenBefore = secure.seen.length
    const heard = await new Promise<string>((resolve) => {
      const raw = connect(proxy, '127.0.0.1')
      raw.on('error', () => resolve(''))
      raw.once('data', () => {
        const inside = connectTls({
          socket: raw,
          servername: 'forbidden.test',
          rejectUnauthorized: false,
        })
        let text = ''
        inside.setEncoding('latin1').on('data', (part: string) => {
          text += part
        })
        inside.on('error', () => resolve(text)).once('close', () => resolve(text))
        inside.write(PROBE)
      })
      raw.write('CONNECT secure.test:443 HTTP/1.1\r\nHost: secure.test:443\r\n\r\n')
    })
    assert.deepEqual(forbiddenTls.seen, [])
    // Its certificate and its answer are those of the host that is declared.
    assert.match(heard, /"backend": ?"secure"/)
    assert.equal(secure.seen.length, seenBefore + 1)
  })

  test('the target counts, not the Host field that contradicts it (RFC 9112, section 3.2.2)', async () => {
    const head = `GET http://allowed.test/right HTTP/1.1\r\nHost: 127.0.0.1:${forbidden.port}\r\n`
    const heard = await say(head)
    assert.match(heard, /"backend": ?"allowed"/)
    assert.match(heard, /"host": ?"allowed\.test"/)
    assert.deepEqual(forbidden.seen, [])
  })

  test('and what is refused says nothing about what is there', async () => {
    const open = await say(`GET http://127.0.0.1:${forbidden.port}/ HTTP/1.1\r\nHost: x\r\n`)
    const shut = await say(`GET http://127.0.0.1:${await freePort()}/ HTTP/1.1\r\nHost: x\r\n`)
    const plain = (text: string) => text.replaceAll(/^(?:date|x-request-id|x-envoy-\S+):.*$/gim, '')
    assert.equal(plain(open), plain(shut))
    assert.match(open, /^HTTP\/1\.1 502 /)
  })
})

test('an egress gateway is on the way, and speaks TLS for the application', async () => {
  const outside = await startApp('outside', 'https', certificate('ext.test'))
  const port = await freePort()
  const roots = join(mesh.folder, 'outside-roots.pem')
  writeFileSync(roots, ca.caPem)
  try {
    mesh.write(
      'egress.yaml',
      [
        serviceYaml('istio-egressgateway', 'default', [
          { name: 'http', port: 80, to: [port], appProtocol: 'http' },
        ]),
        entry(
          'ext.test',
          '{number: 80, name: http, protocol: HTTP}, {number: 443, name: https, protocol: HTTPS}',
          `resolution: STATIC\n  endpoints: [{address: 127.0.0.1, ports: {http: ${forbidden.port}, https: ${outside.port}}}]`,
        ),
        `---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: egress}
spec:
  selector: {app: egress}
  servers: [{port: {number: ${port}, name: http, protocol: HTTP}, hosts: [ext.test]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ext}
spec:
  hosts: [ext.test]
  gateways: [mesh, egress]
  http:
  - match: [{gateways: [mesh], port: 80}]
    route: [{destination: {host: istio-egressgateway.default.svc.cluster.local, port: {number: 80}}}]
  - match: [{gateways: [egress], port: ${port}}]
    headers: {request: {set: {x-egress: "yes"}}}
    route: [{destination: {host: ext.test, port: {number: 443}}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ext}
spec:
  host: ext.test
  trafficPolicy:
    portLevelSettings:
    - port: {number: 443}
      tls: {mode: SIMPLE, sni: ext.test, caCertificates: ${roots}}
`,
      ].join(''),
    )
    await mesh.startGateway('egress')
    const heard = await eventually(async () => {
      const text = await say('GET http://ext.test/out HTTP/1.1\r\nHost: ext.test\r\n')
      assert.match(text, /^HTTP\/1\.1 200 /)
      return text
    })
    const answer = JSON.parse(heard.slice(heard.indexOf('\r\n{') + 2).split('\r\n')[0] ?? '')
    assert.equal(answer.backend, 'outside')
    assert.equal(answer.sni, 'ext.test')
    assert.equal(answer.host, 'ext.test')
    assert.equal(answer.headers['x-egress'], 'yes', 'it came by the gateway')
    assert.deepEqual(forbidden.seen, [], 'and nobody was asked in plaintext')
  } finally {
    await outside[Symbol.asyncDispose]()
  }
})
