import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseDocuments } from '@weft/config'
import type { ResourceSet } from '@weft/model'
import { buildSnapshot } from '../../snapshot/build.ts'
import { DEFAULT_PROXY } from '../proxy-view.ts'
import { translate } from '../translate.ts'
import { loopbackEndpoint } from './default-endpoint.ts'

const GATEWAY = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  servers:
`

/** What a proxy gets of a text that has nothing wrong with it. */
function resources(text: string, role: 'gateway' | 'sidecar'): ResourceSet {
  const { documents, problems } = parseDocuments(text, { file: 'in.yaml' })
  assert.deepEqual(problems, [])
  return translate(buildSnapshot({ documents }), { ...DEFAULT_PROXY, role })
}

test('a default endpoint is an address of this host', () => {
  for (const [text, expected] of [
    ['', { host: '127.0.0.1', port: 80 }],
    [':8080', { host: '127.0.0.1', port: 8080 }],
    ['0.0.0.0:8080', { host: '127.0.0.1', port: 8080 }],
    ['[::1]:8080', { host: '::1', port: 8080 }],
    ['unix:///run/app.sock', { host: '/run/app.sock', port: 0 }],
    ['127.0.0.1:http', undefined],
    ['127.0.0.1:0', undefined],
  ] as const) {
    assert.deepEqual(loopbackEndpoint(text, 80), expected, text)
  }
})

test('what no route of a Gateway takes goes to its default endpoint', () => {
  const text = `${GATEWAY}  - {port: {number: 80, name: http, protocol: HTTP}, hosts: ["*.example.com"], defaultEndpoint: "127.0.0.1:8080"}
  - {port: {number: 5432, name: tcp, protocol: TCP}, hosts: ["*"], defaultEndpoint: "127.0.0.1:5433"}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop}
spec: {hosts: [shop.example.com], gateways: [gw], http: [{name: cart, match: [{uri: {prefix: /cart}}], directResponse: {status: 204}}]}
`
  const set = resources(text, 'gateway')
  const names = set.route
    .get('http.80')
    ?.virtualHosts.map(({ domains, routes }) => [domains[0], ...routes.map(({ name }) => name)])
  assert.deepEqual(names, [
    ['shop.example.com', 'cart', 'default-endpoint'],
    ['*.example.com', 'default-endpoint'],
  ])
  const chain = set.listener.get('0.0.0.0_5432')?.filterChains[0]
  const cluster = chain?.filter.kind === 'tcp' ? chain.filter.targets[0].cluster : ''
  assert.equal(cluster, 'inbound|5432||127.0.0.1:5433')
  for (const [name, port] of [
    ['inbound|80||127.0.0.1:8080', 8080],
    ['inbound|5432||127.0.0.1:5433', 5433],
  ] as const) {
    const discovery = set.cluster.get(name)?.discovery
    assert.ok(discovery?.kind === 'static', name)
    assert.equal(discovery.endpoints.localities[0]?.endpoints[0]?.address.port, port)
  }
})

test('a Gateway is served at Unix sockets, each with routes of its own', () => {
  const text = `${GATEWAY}  - {port: {number: 0, name: a, protocol: HTTP}, bind: "unix:///run/a.sock", hosts: ["a.example.com"], defaultEndpoint: "unix:///run/app.sock"}
  - {port: {number: 0, name: b, protocol: HTTP}, bind: "unix:///run/b.sock", hosts: ["b.example.com"], defaultEndpoint: "unix://@b"}
`
  const set = resources(text, 'gateway')
  const hosts = [...set.listener.values()].map(({ address, filterChains: [chain] }) => {
    const routes = chain?.filter.kind === 'http' ? chain.filter.routes : undefined
    const table = routes?.kind === 'rds' ? set.route.get(routes.name) : undefined
    return [address, table?.virtualHosts[0]?.domains[0]]
  })
  assert.deepEqual(hosts, [
    [{ host: '/run/a.sock', port: 0 }, 'a.example.com'],
    [{ host: '/run/b.sock', port: 0 }, 'b.example.com'],
  ])
  const discovery = set.cluster.get('inbound|0||unix://@b')?.discovery
  assert.ok(discovery?.kind === 'static')
  const [place] = discovery.endpoints.localities
  assert.deepEqual(place?.endpoints[0]?.address, { host: '@b', port: 0 })
})

test('two addresses with the same port have routes of their own', () => {
  const text = `${GATEWAY}  - {port: {number: 80, name: a, protocol: HTTP}, bind: 127.0.0.1, hosts: ["a.example.com"], defaultEndpoint: ":1"}
  - {port: {number: 80, name: b, protocol: HTTP}, bind: 127.0.0.2, hosts: ["b.example.com"], defaultEndpoint: ":1"}
`
  const set = resources(text, 'gateway')
  assert.deepEqual(
    [...set.route].map(([name, { virtualHosts }]) => [name, virtualHosts[0]?.domains[0]]),
    [
      ['http.80.127.0.0.1', 'a.example.com'],
      ['http.80.127.0.0.2', 'b.example.com'],
    ],
  )
})

test('a Sidecar serves its application at Unix sockets, for every service that it imports', () => {
  const text = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: cart}
spec:
  hosts: [cart.test]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 8080, name: http, protocol: HTTP}]
  endpoints: [{address: 10.0.0.1}]
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: own}
spec:
  ingress:
  - {port: {number: 9080, protocol: HTTP, name: http}, defaultEndpoint: "unix:///run/app.sock"}
  egress:
  - {port: {number: 0, protocol: HTTP, name: out}, bind: "unix:///run/out.sock", hosts: ["./*"]}
`
  const set = resources(text, 'sidecar')
  const listener = set.listener.get('/run/out.sock_0')
  assert.deepEqual(listener?.address, { host: '/run/out.sock', port: 0 })
  assert.equal(listener?.bindToPort, true)
  const domains = [...set.route.values()].flatMap(({ virtualHosts }) =>
    virtualHosts.flatMap((host) => host.domains),
  )
  assert.ok(domains.includes('cart.test:8080'), domains.join())
})

test('what stands in front of the gateways is for gateways only (R44)', () => {
  const text = `
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    defaultConfig:
      gatewayTopology: {numTrustedProxies: 2, forwardClientCertDetails: APPEND_FORWARD, proxyProtocol: {}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw}
spec: {servers: [{port: {number: 80, name: a, protocol: HTTP}, hosts: ["*"], defaultEndpoint: ":1"}]}
`
  const front = resources(text, 'gateway').listener.get('0.0.0.0_80')
  const filter = front?.filterChains[0]?.filter
  assert.ok(filter?.kind === 'http')
  assert.equal(filter.xffTrustedHops, 2)
  assert.equal(filter.forwardClientCert?.mode, 'appendForward')
  assert.equal(front?.proxyProtocol, 'required')
  for (const { filterChains, proxyProtocol } of resources(text, 'sidecar').listener.values()) {
    assert.equal(proxyProtocol, undefined)
    for (const { filter } of filterChains) {
      assert.equal(filter.kind === 'http' ? filter.xffTrustedHops : 0, 0)
    }
  }
})
