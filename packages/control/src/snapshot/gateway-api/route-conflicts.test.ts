import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseDocuments } from '@weft/config'
import { buildSnapshot } from '../build.ts'

const GATEWAY = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  gatewayClassName: weft
  listeners:
  - {name: a, port: 80, protocol: HTTP}
  - {name: b, port: 81, protocol: HTTP}
---
apiVersion: v1
kind: Service
metadata: {name: api}
spec: {ports: [{port: 80, name: http}]}
---
`

function route(kind: string, name: string, age: string, parent: string, hostnames: string): string {
  return `apiVersion: gateway.networking.k8s.io/v1
kind: ${kind}
metadata: {name: ${name}, creationTimestamp: "2026-01-${age}T00:00:00Z"}
spec:
  parentRefs: [${parent}]
  hostnames: [${hostnames}]
  rules: [{backendRefs: [{name: api, port: 80}]}]
---
`
}

function acceptedOf(...routes: readonly string[]): Readonly<Record<string, string>> {
  const { documents, problems } = parseDocuments(GATEWAY + routes.join(''), { file: 'x.yaml' })
  assert.deepEqual(
    problems.filter(({ severity }) => severity === 'error'),
    [],
  )
  const { conditions } = buildSnapshot({ documents })
  return Object.fromEntries(
    [...conditions].flatMap(([key, found]) =>
      key.includes('Route/')
        ? [[key, found.find(({ type }) => type === 'Accepted')?.reason ?? '']]
        : [],
    ),
  )
}

const ON_A = '{name: gw, sectionName: a}'

test('of an HTTPRoute and a GRPCRoute with a host name in common the older one is accepted', () => {
  for (const [http, grpc, hosts] of [
    ['01', '02', ['x.example.com', 'x.example.com']],
    ['01', '02', ['"*.example.com"', 'x.example.com']],
    ['02', '01', ['x.example.com', '"*.example.com"']],
  ] as const) {
    const accepted = acceptedOf(
      route('HTTPRoute', 'h', http, ON_A, hosts[0]),
      route('GRPCRoute', 'g', grpc, ON_A, hosts[1]),
    )
    const isHttpFirst = http < grpc
    assert.equal(accepted['HTTPRoute/default/h'], isHttpFirst ? 'Accepted' : 'HostnameConflict')
    assert.equal(accepted['GRPCRoute/default/g'], isHttpFirst ? 'HostnameConflict' : 'Accepted')
  }
})

test('without a host name or a listener in common both are accepted', () => {
  const both = { 'HTTPRoute/default/h': 'Accepted', 'GRPCRoute/default/g': 'Accepted' }
  const http = route('HTTPRoute', 'h', '01', ON_A, 'x.example.com')
  assert.deepEqual(acceptedOf(http, route('GRPCRoute', 'g', '02', ON_A, 'y.example.com')), both)
  const onB = '{name: gw, sectionName: b}'
  assert.deepEqual(acceptedOf(http, route('GRPCRoute', 'g', '02', onB, 'x.example.com')), both)
  // Where one of two listeners is free the route is accepted there.
  const onBoth = acceptedOf(http, route('GRPCRoute', 'g', '02', '{name: gw}', 'x.example.com'))
  assert.deepEqual(onBoth, both)
})

test('a refused route keeps nobody else away', () => {
  const accepted = acceptedOf(
    route('HTTPRoute', 'h', '01', ON_A, 'x.example.com'),
    route('GRPCRoute', 'g', '02', ON_A, 'x.example.com, y.example.com'),
    route('HTTPRoute', 'later', '03', ON_A, 'y.example.com'),
  )
  assert.deepEqual(accepted, {
    'HTTPRoute/default/h': 'Accepted',
    'GRPCRoute/default/g': 'HostnameConflict',
    'HTTPRoute/default/later': 'Accepted',
  })
})
