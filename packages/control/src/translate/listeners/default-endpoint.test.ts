import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseDocuments } from '@weft/config'
import { buildSnapshot } from '../../snapshot/build.ts'
import { DEFAULT_PROXY } from '../proxy-view.ts'
import { translate } from '../translate.ts'
import { loopbackEndpoint } from './default-endpoint.ts'

test('a default endpoint is an address of this host', () => {
  for (const [text, expected] of [
    ['', { host: '127.0.0.1', port: 80 }],
    [':8080', { host: '127.0.0.1', port: 8080 }],
    ['0.0.0.0:8080', { host: '127.0.0.1', port: 8080 }],
    ['[::1]:8080', { host: '::1', port: 8080 }],
    ['unix:///run/app.sock', undefined],
    ['127.0.0.1:http', undefined],
    ['127.0.0.1:0', undefined],
  ] as const) {
    assert.deepEqual(loopbackEndpoint(text, 80), expected, text)
  }
})

test('what no route of a Gateway takes goes to its default endpoint', () => {
  const text = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  servers:
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: ["*.example.com"], defaultEndpoint: "127.0.0.1:8080"}
  - {port: {number: 5432, name: tcp, protocol: TCP}, hosts: ["*"], defaultEndpoint: "127.0.0.1:5433"}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop}
spec: {hosts: [shop.example.com], gateways: [gw], http: [{name: cart, match: [{uri: {prefix: /cart}}], directResponse: {status: 204}}]}
`
  const { documents, problems } = parseDocuments(text, { file: 'in.yaml' })
  assert.deepEqual(problems, [])
  const set = translate(buildSnapshot({ documents }), { ...DEFAULT_PROXY, role: 'gateway' })
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
