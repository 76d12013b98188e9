import assert from 'node:assert/strict'
import { test } from 'node:test'
import { documentsOf, parseDocuments } from '@weft/config'
import type { JudgedListener } from './listeners.ts'
import { withTlsOverlap } from './tls-overlap.ts'

/** Listeners that are served, with a certificate unless they pass TLS on. */
function overlapping(listeners: string): readonly string[] {
  const text = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw}
spec: {gatewayClassName: weft, listeners: [${listeners}]}
`
  const { documents } = parseDocuments(text, { file: 'x.yaml' })
  const [gateway] = documentsOf(documents, 'KubernetesGateway')
  assert.ok(gateway !== undefined)
  const judged = gateway.spec.listeners.map((spec, index): JudgedListener => {
    const tls = { certificates: ['c'], requireClientCertificate: false }
    return {
      gateway,
      owner: gateway,
      index,
      spec,
      supportedKinds: ['HTTPRoute'],
      conditions: [],
      isServed: true,
      ...(spec.tls?.mode === 'Passthrough' ? {} : { tls }),
    }
  })
  return judged
    .map(withTlsOverlap)
    .filter(({ conditions }) => conditions.some(({ type }) => type === 'OverlappingTLSConfig'))
    .map(({ spec }) => spec.name)
}

const https = (name: string, hostname: string, port = 443) =>
  `{name: ${name}, port: ${port}, protocol: HTTPS, hostname: "${hostname}", tls: {certificateRefs: [{name: c}]}}`

test('every listener whose host names overlap with those of another one of its port says so', () => {
  const all = [
    https('a', 'foo.example.com'),
    https('b', 'foo.example.org'),
    https('c', '*.example.com'),
    https('d', '*.example.com', 8443),
  ]
  assert.deepEqual(overlapping(all.join(', ')), ['a', 'c'])
  assert.deepEqual(overlapping(all.slice(0, 2).join(', ')), [])
})

test('a listener without a host name overlaps with all, one that passes TLS on with none', () => {
  const any = '{name: any, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: c}]}}'
  assert.deepEqual(overlapping([https('a', 'foo.example.com'), any].join(', ')), ['a', 'any'])
  const passed =
    '{name: p, port: 443, protocol: TLS, hostname: foo.example.com, tls: {mode: Passthrough}}'
  assert.deepEqual(overlapping([https('a', '*.example.com'), passed].join(', ')), [])
})
