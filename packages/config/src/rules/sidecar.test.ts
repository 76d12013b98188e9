import assert from 'node:assert/strict'
import { test } from 'node:test'
import { accepts, findingsOf, type Json, refuses } from '../fixtures.ts'
import { validateDocuments } from '../validate.ts'

const SIDECAR: Json = {
  apiVersion: 'networking.istio.io/v1',
  kind: 'Sidecar',
  metadata: { name: 'default', namespace: 'shop' },
  spec: {
    workloadSelector: { labels: { app: 'cart' } },
    ingress: [
      {
        port: { number: 9080, protocol: 'HTTP', name: 'http' },
        defaultEndpoint: '127.0.0.1:8080',
        connectionPool: { http: { http2MaxRequests: 10 } },
      },
    ],
    egress: [
      {
        port: { number: 3306, protocol: 'TCP', name: 'db' },
        hosts: ['data/db.data.svc.cluster.local'],
      },
      { hosts: ['./*', 'istio-system/*', '*/*.example.com'] },
    ],
    outboundTrafficPolicy: { mode: 'REGISTRY_ONLY' },
  },
}

test('a Sidecar with everything in it is valid', () => {
  assert.deepEqual(findingsOf(SIDECAR, 'error'), [])
  assert.deepEqual(findingsOf(SIDECAR, 'warning'), [])
  accepts(SIDECAR, [
    ['spec.egress[1].hosts', ['~/*']],
    ['spec.egress[0].captureMode', 'NONE'],
    ['spec.ingress[0].defaultEndpoint', ':8080'],
    ['spec.ingress[0].defaultEndpoint', '[::1]:8080'],
    ['spec.ingress[0].defaultEndpoint', 'unix:///run/app.sock'],
    ['spec.ingress[0].bind', '127.0.0.1'],
    [
      'spec.egress[0]',
      { port: { number: 0, protocol: 'HTTP' }, bind: 'unix:///a', hosts: ['*/*'] },
    ],
    ['spec.outboundTrafficPolicy', {}],
  ])
})

test('what Istio refuses in a Sidecar is refused with the field named', () => {
  refuses(SIDECAR, [
    ['spec', {}],
    ['spec.egress[1].hosts[0]', 'reviews'],
    ['spec.egress[1].hosts[0]', 'shop/reviews'],
    ['spec.egress[1].hosts[0]', '/*'],
    ['spec.egress[1].hosts[0]', 'a_b/*'],
    ['spec.egress[1].hosts[0]', 'shop/a.*.com'],
    ['spec.egress[1].hosts', []],
    ['spec.egress[0].port', undefined],
    ['spec.egress[0].port.protocol', 'SMTP'],
    ['spec.egress[0].port.number', 70_000],
    ['spec.egress[0].bind', 'localhost'],
    ['spec.egress[1].port', { number: 3306, protocol: 'TCP' }, 'spec.egress[1].port.number'],
    ['spec.egress[0].port.number', 0, 'spec.egress[0].bind'],
    ['spec.ingress[0].port', undefined],
    ['spec.ingress[0].port.number', 0],
    ['spec.ingress[0].defaultEndpoint', '10.0.0.1:80'],
    ['spec.ingress[0].defaultEndpoint', '127.0.0.1:http'],
    ['spec.ingress[0].tls', { mode: 'SIMPLE' }],
    ['spec.workloadSelector.labels', { 'a*': 'b' }, 'spec.workloadSelector.labels["a*"]'],
    ['spec.outboundTrafficPolicy.egressProxy', { host: 'egress.shop.svc.cluster.local' }],
  ])
})

test('the ingress of a Sidecar terminates TLS with files only', () => {
  const files = { mode: 'SIMPLE', serverCertificate: '/a.pem', privateKey: '/k.pem' }
  const ingress = (tls: Json) => [{ port: { number: 443, protocol: 'HTTPS', name: 'https' }, tls }]
  accepts(SIDECAR, [['spec.ingress', ingress(files)]])
  refuses(SIDECAR, [
    ['spec.ingress', ingress({ mode: 'ISTIO_MUTUAL' }), 'spec.ingress[0].tls.mode'],
    [
      'spec.ingress',
      ingress({ mode: 'SIMPLE', credentialName: 'a' }),
      'spec.ingress[0].tls.credentialName',
    ],
    ['spec.ingress', ingress({ mode: 'SIMPLE' }), 'spec.ingress[0].tls.privateKey'],
  ])
})

test('two Sidecars for the same workloads, and imports of nothing, are warned about', () => {
  const text = `
apiVersion: v1
kind: Service
metadata: {name: a, namespace: shop}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: one, namespace: shop}
spec: {egress: [{hosts: ["./a.shop.svc.cluster.local", "./b.shop.svc.cluster.local"]}]}
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: two, namespace: shop}
spec: {egress: [{hosts: ["~/*"]}]}
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: three, namespace: shop}
spec: {workloadSelector: {labels: {app: x}}, egress: [{hosts: ["*/*"]}]}
`
  const { problems } = validateDocuments([{ file: 'in.yaml', text }])
  assert.deepEqual(
    problems.map((one) => [one.object?.name, one.path, one.code, one.alias, one.line]),
    [
      ['one', 'spec.egress[0].hosts[1]', 'missing-host', 'IST0101', 10],
      ['two', 'spec', 'conflicting-rules', 'IST0111', 15],
    ],
  )
})
