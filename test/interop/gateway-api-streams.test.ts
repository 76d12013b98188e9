/** GRPCRoute, TLSRoute, TCPRoute, TLS to backends and from clients, through a real gateway. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import * as grpc from '@grpc/grpc-js'
import { createTestCa, eventually, freePort } from '@weft/testkit'
import { ask, exchangeBytes } from './ask.ts'
import { type App, startApp } from './echo.ts'
import { assertInForce, fill, gatewayClass, httpRoute } from './gateway-api-cases.ts'
import { type Mesh, secretYaml, serviceYaml, startMesh } from './mesh.ts'

const ca = createTestCa('Server CA')
const clientsCa = createTestCa('Clients CA')
const strangersCa = createTestCa('Strangers CA')
const server = ca.issue({
  dns: ['a.example', 'b.example', 'c.example', 'backend.example'],
  commonName: 'server',
})
const client = clientsCa.issue({ dns: ['me.example'], commonName: 'me' })
const stranger = strangersCa.issue({ dns: ['me.example'], commonName: 'me' })
const serving = { key: server.keyPem, cert: server.certPem }

const gateway = (listeners: string, more = '') => `---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: $NS}
spec:
  gatewayClassName: weft
${more}  listeners: [${listeners}]
`

const route = (kind: string, name: string, spec: string) => `---
apiVersion: gateway.networking.k8s.io/${kind === 'TCPRoute' ? 'v1alpha2' : 'v1'}
kind: ${kind}
metadata: {name: ${name}, namespace: $NS}
spec: ${spec}
`

const configMap = (name: string, pem: string) => `---
apiVersion: v1
kind: ConfigMap
metadata: {name: ${name}, namespace: $NS}
data: {ca.crt: ${JSON.stringify(pem)}}
`

describe('other routes of Gateway API', () => {
  const apps = new Map<string, App>()
  let rpc: grpc.Server
  let rpcPort = 0
  let mesh: Mesh
  let count = 0

  before(async () => {
    for (const [name, kind] of [
      ['v1', 'http1'],
      ['tcp-a', 'tcp'],
      ['tcp-b', 'tcp'],
      ['tls-a', 'tls'],
      ['tls-b', 'tls'],
      ['https', 'https'],
      ['h2', 'h2'],
      ['h2c', 'h2c'],
    ] as const) {
      apps.set(name, await startApp(name, kind, serving))
    }
    const asked = { ...serving, requestCert: true, ca: clientsCa.caPem, rejectUnauthorized: true }
    apps.set('mutual', await startApp('mutual', 'https', asked))
    rpc = new grpc.Server()
    rpc.addService(service, handlers)
    rpcPort = await new Promise<number>((resolve, reject) => {
      const done = (error: Error | null, port: number) => (error ? reject(error) : resolve(port))
      rpc.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), done)
    })
    mesh = await startMesh()
    mesh.write('class.yaml', gatewayClass)
    await mesh.startGateway('edge')
  })
  after(async () => {
    await mesh[Symbol.asyncDispose]()
    rpc.forceShutdown()
    for (const app of apps.values()) await app[Symbol.asyncDispose]()
  })

  async function open(yaml: string) {
    const namespace = `stream-${++count}`
    const ports = { $P1: await freePort(), $P2: await freePort() }
    const services = [...apps].map(([name, { port }]) =>
      serviceYaml(name, namespace, [
        {
          ...{ name: 'main', port: 8080, to: [port] },
          ...(name === 'h2c' ? { appProtocol: 'kubernetes.io/h2c' } : {}),
        },
      ]),
    )
    services.push(
      serviceYaml('rpc', namespace, [{ name: 'grpc', port: 9000, to: [rpcPort] }]),
      secretYaml('tls', namespace, { 'tls.crt': server.certPem, 'tls.key': server.keyPem }),
      secretYaml('client', namespace, { 'tls.crt': client.certPem, 'tls.key': client.keyPem }),
    )
    mesh.write(`${namespace}.yaml`, fill(services.join('') + yaml, { namespace, ports }))
    await eventually(async () => assertInForce(await mesh.status(), namespace))
    return ports
  }

  const tls = (more: object = {}) => ({ sni: 'a.example', ca: ca.caPem, ...more })

  test('GRPCRoute: methods, services, headers, filters, and what no rule matches', async () => {
    const { $P1 } = await open(
      gateway('{name: http, port: $P1, protocol: HTTP}') +
        route(
          'GRPCRoute',
          'r',
          `
  parentRefs: [{name: gw}]
  rules:
  - {matches: [{method: {service: test.Echo, method: Unary}, headers: [{name: deny, value: "1"}]}], backendRefs: []}
  - {matches: [{method: {service: test.Echo, method: Unary}}], filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-set, value: by-route}]}}], backendRefs: [{name: rpc, port: 9000}]}
  - {matches: [{method: {service: test.Echo, method: Many}}], backendRefs: [{name: rpc, port: 9000}]}`,
        ),
    )
    const caller = new grpc.Client(`127.0.0.1:${$P1}`, grpc.credentials.createInsecure())
    try {
      assert.equal(await unary(caller, '/test.Echo/Unary', 'hi'), 'hi x-set=by-route')
      await assert.rejects(unary(caller, '/test.Echo/Other', 'hi'), {
        code: grpc.status.UNIMPLEMENTED,
      })
      await assert.rejects(unary(caller, '/test.Other/Unary', 'hi'), {
        code: grpc.status.UNIMPLEMENTED,
      })
      const denied = new grpc.Metadata()
      denied.set('deny', '1')
      await assert.rejects(unary(caller, '/test.Echo/Unary', 'hi', denied), {
        code: grpc.status.UNAVAILABLE,
      })
    } finally {
      caller.close()
    }
  })

  test('TLSRoute passes connections by their server name, and terminates them', async () => {
    const { $P1, $P2 } = await open(
      gateway(
        '{name: pass, port: $P1, protocol: TLS, hostname: "*.example", tls: {mode: Passthrough}}, {name: ended, port: $P2, protocol: TLS, tls: {mode: Terminate, certificateRefs: [{name: tls}]}}',
      ) +
        route(
          'TLSRoute',
          'a',
          '{parentRefs: [{name: gw, sectionName: pass}], hostnames: [a.example], rules: [{backendRefs: [{name: tls-a, port: 8080}]}]}',
        ) +
        route(
          'TLSRoute',
          'rest',
          '{parentRefs: [{name: gw, sectionName: pass}], hostnames: ["*.example"], rules: [{backendRefs: [{name: tls-b, port: 8080}]}]}',
        ) +
        route(
          'TLSRoute',
          'ended',
          '{parentRefs: [{name: gw, sectionName: ended}], hostnames: [a.example], rules: [{backendRefs: [{name: tcp-a, port: 8080}]}]}',
        ),
    )
    assert.equal(await exchangeBytes($P1, 'ping', tls()), 'tls-a:ping')
    assert.equal(await exchangeBytes($P1, 'ping', tls({ sni: 'b.example' })), 'tls-b:ping')
    assert.match(await exchangeBytes($P1, 'ping', tls({ sni: 'a.other' })), /error|closed/)
    assert.equal(await exchangeBytes($P2, 'ping', tls()), 'tcp-a:ping')
    assert.match(await exchangeBytes($P2, 'ping', tls({ sni: 'b.example' })), /error|closed/)
  })

  test('TCPRoute: weights, and a backend that is missing', async () => {
    const { $P1, $P2 } = await open(
      gateway('{name: tcp, port: $P1, protocol: TCP}, {name: gone, port: $P2, protocol: TCP}') +
        route(
          'TCPRoute',
          'r',
          '{parentRefs: [{name: gw, sectionName: tcp}], rules: [{backendRefs: [{name: tcp-a, port: 8080, weight: 1}, {name: tcp-b, port: 8080, weight: 1}]}]}',
        ) +
        route(
          'TCPRoute',
          'gone',
          '{parentRefs: [{name: gw, sectionName: gone}], rules: [{backendRefs: [{name: nowhere, port: 8080}]}]}',
        ),
    )
    const got = new Set<string>()
    for (let i = 0; i < 40; i++) got.add(await exchangeBytes($P1, 'ping'))
    assert.deepEqual([...got].toSorted(), ['tcp-a:ping', 'tcp-b:ping'])
    assert.match(await exchangeBytes($P2, 'ping'), /error|closed/)
  })

  test('BackendTLSPolicy: the right CA and name, a wrong name, a wrong CA, names of its own', async () => {
    const policy = (name: string, target: string, hostname: string, config: string, more = '') =>
      route(
        'BackendTLSPolicy',
        name,
        `{targetRefs: [{group: "", kind: Service, name: ${target}}], validation: {hostname: ${hostname}, caCertificateRefs: [{group: "", kind: ConfigMap, name: ${config}}]${more}}}`,
      )
    const rule = (path: string) =>
      `{matches: [{path: {value: /${path}}}], backendRefs: [{name: ${path}, port: 8080}]}`
    const { $P1 } = await open(
      gateway(
        '{name: http, port: $P1, protocol: HTTP}',
        '  tls: {backend: {clientCertificateRef: {group: "", kind: Secret, name: client}}}\n',
      ) +
        httpRoute('r', `  rules: [${['https', 'h2', 'mutual', 'tls-a'].map(rule).join(', ')}]`) +
        policy('good', 'https', 'backend.example', 'server-ca') +
        policy('wrong-name', 'h2', 'other.test', 'server-ca') +
        policy(
          'with-client',
          'mutual',
          'any.name.test',
          'server-ca',
          ', subjectAltNames: [{type: Hostname, hostname: backend.example}]',
        ) +
        policy('wrong-ca', 'tls-a', 'backend.example', 'strangers-ca') +
        configMap('server-ca', ca.caPem) +
        configMap('strangers-ca', strangersCa.caPem),
    )
    const good = await ask({ port: $P1, path: '/https' })
    assert.deepEqual([good.status, good.echo?.sni], [200, 'backend.example'], good.text)
    assert.equal((await ask({ port: $P1, path: '/h2' })).status, 503)
    const mutual = await ask({ port: $P1, path: '/mutual' })
    assert.deepEqual([mutual.status, mutual.echo?.peer], [200, 'me'], mutual.text)
    assert.equal((await ask({ port: $P1, path: '/tls-a' })).status, 503)
  })

  test('appProtocol h2c makes HTTP/2 of HTTP/1.1', async () => {
    const { $P1 } = await open(
      gateway('{name: http, port: $P1, protocol: HTTP}') +
        httpRoute(
          'r',
          '  rules: [{matches: [{path: {value: /h2c}}], backendRefs: [{name: h2c, port: 8080}]}, {backendRefs: [{name: v1, port: 8080}]}]',
        ),
    )
    for (const isHttp2 of [true, false]) {
      const two = await ask({
        port: $P1,
        path: '/h2c',
        isHttp2,
        method: 'POST',
        body: 'x'.repeat(99),
      })
      assert.deepEqual([two.echo?.http, two.echo?.body], ['2.0', 99], two.text)
      const one = await ask({ port: $P1, path: '/x', isHttp2 })
      assert.equal(one.echo?.http, '1.1', JSON.stringify(one))
    }
  })

  test('clients’ certificates are validated per gateway and per port', async () => {
    const { $P1, $P2 } = await open(
      gateway(
        '{name: strict, port: $P1, protocol: HTTPS, tls: {certificateRefs: [{name: tls}]}}, {name: lax, port: $P2, protocol: HTTPS, tls: {certificateRefs: [{name: tls}]}}',
        `  tls:
    frontend:
      default: {validation: {caCertificateRefs: [{group: "", kind: ConfigMap, name: clients-ca}]}}
      perPort: [{port: $P2, tls: {validation: {mode: AllowInsecureFallback, caCertificateRefs: [{group: "", kind: ConfigMap, name: clients-ca}]}}}]
`,
      ) +
        configMap('clients-ca', clientsCa.caPem) +
        httpRoute('r', '  rules: [{backendRefs: [{name: v1, port: 8080}]}]'),
    )
    const me = { cert: client.certPem, key: client.keyPem }
    const other = { cert: stranger.certPem, key: stranger.keyPem }
    for (const isHttp2 of [false, true]) {
      const to = (port: number, more: object) =>
        ask({ port, host: 'a.example', isHttp2, ...tls(more) }).then(({ status }) => status)
      assert.deepEqual(
        [await to($P1, me), await to($P1, {}), await to($P1, other)],
        [200, 0, 0],
        `HTTP/2: ${isHttp2}`,
      )
      assert.deepEqual(
        [await to($P2, me), await to($P2, {}), await to($P2, other)],
        [200, 200, 200],
      )
    }
  })

  test('HTTPS listeners: certificate by name, other hosts on a connection are misdirected', async () => {
    const { $P1 } = await open(
      gateway(
        '{name: a, port: $P1, protocol: HTTPS, hostname: a.example, tls: {certificateRefs: [{name: tls}]}}, {name: b, port: $P1, protocol: HTTPS, hostname: b.example, tls: {certificateRefs: [{name: tls}]}}',
      ) + httpRoute('r', '  rules: [{backendRefs: [{name: v1, port: 8080}]}]'),
    )
    for (const isHttp2 of [false, true]) {
      const at = (sni: string, host: string) =>
        ask({ port: $P1, host, isHttp2, ...tls({ sni }) }).then(({ status }) => status)
      assert.equal(await at('a.example', 'a.example'), 200)
      assert.equal(await at('b.example', 'b.example'), 200)
      assert.equal(await at('a.example', 'b.example'), 421)
      assert.equal(await at('a.example', 'c.example'), 404)
      assert.equal(await at('c.example', 'c.example'), 0)
    }
  })
})

const same = (value: Buffer) => value
const shape = {
  ...{ requestSerialize: same, requestDeserialize: same },
  ...{ responseSerialize: same, responseDeserialize: same },
}
const service = {
  unary: { path: '/test.Echo/Unary', requestStream: false, responseStream: false, ...shape },
} as const

const handlers = {
  unary: (call: grpc.ServerUnaryCall<Buffer, Buffer>, reply: grpc.sendUnaryData<Buffer>) => {
    reply(null, Buffer.from(`${call.request} x-set=${call.metadata.get('x-set').join()}`))
  },
}

function unary(
  caller: grpc.Client,
  path: string,
  message: string,
  metadata = new grpc.Metadata(),
): Promise<string> {
  return new Promise((resolve, reject) => {
    caller.makeUnaryRequest(path, same, same, Buffer.from(message), metadata, (error, value) =>
      error ? reject(error) : resolve(String(value)),
    )
  })
}
