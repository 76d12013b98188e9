import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseDocuments } from '@weft/config'
import { buildSnapshot } from '../../snapshot/build.ts'
import { DEFAULT_PROXY } from '../proxy-view.ts'
import { translate } from '../translate.ts'

function gatewayWith(settings: string) {
  const text = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  gatewayClassName: weft
  listeners: [{name: a, port: 80, protocol: HTTP}, {name: b, port: 81, protocol: HTTP}]
---
apiVersion: v1
kind: Service
metadata: {name: api}
spec: {ports: [{port: 80, name: http}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r}
spec:
  parentRefs: [{name: gw, sectionName: a}]
  rules: [{backendRefs: [{name: api, port: 80}], sessionPersistence: ${settings}}]
`
  const { documents, problems } = parseDocuments(text, { file: 'x.yaml' })
  assert.deepEqual(
    problems.filter(({ severity }) => severity === 'error'),
    [],
  )
  const set = translate(buildSnapshot({ documents }), { ...DEFAULT_PROXY, role: 'gateway' })
  const [route] = set.route.get('http.80')?.virtualHosts[0]?.routes ?? []
  const filtersOf = (name: string) => {
    const filter = set.listener.get(name)?.filterChains[0]?.filter
    return filter?.kind === 'http' ? filter.filters.map(({ kind }) => kind) : []
  }
  return { session: route?.filters?.session, filtersOf }
}

for (const [settings, expected] of [
  ['{}', { kind: 'cookie', name: 'weft-session', path: '/', ttlMs: 0 }],
  ['{sessionName: S}', { kind: 'cookie', name: 'S', path: '/', ttlMs: 0 }],
  [
    '{absoluteTimeout: 1h, cookie: {name: C, path: /x, lifetimeType: Permanent}}',
    { kind: 'cookie', name: 'C', path: '/x', ttlMs: 3_600_000 },
  ],
  [
    '{absoluteTimeout: 1h, cookieConfig: {lifetimeType: Session}}',
    { kind: 'cookie', name: 'weft-session', path: '/', ttlMs: 0 },
  ],
  ['{type: Header, header: {name: X-Session}}', { kind: 'header', name: 'x-session' }],
  ['{type: Header, sessionName: X-Old}', { kind: 'header', name: 'x-old' }],
] as const) {
  test(`sessionPersistence ${settings} is kept by the route`, () => {
    assert.deepEqual(gatewayWith(settings).session, expected)
  })
}

test('only the listener whose routes keep sessions has the filter', () => {
  const { filtersOf } = gatewayWith('{}')
  assert.deepEqual(filtersOf('0.0.0.0_80'), ['cors', 'fault', 'statefulSession'])
  assert.deepEqual(filtersOf('0.0.0.0_81'), ['cors', 'fault'])
})

test('the session of an XBackendTrafficPolicy is that of every route to its Service, unless the route has its own', () => {
  const text = (own: string) => `apiVersion: v1
kind: Service
metadata: {name: api}
spec: {ports: [{port: 80, name: http}]}
---
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackendTrafficPolicy
metadata: {name: sticky}
spec:
  targetRefs: [{group: "", kind: Service, name: api}]
  sessionPersistence: {type: Header, sessionName: X-Session}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r}
spec:
  parentRefs: [{group: "", kind: Service, name: api}]
  rules: [{backendRefs: [{name: api, port: 80}]${own}}]
`
  const sessionWith = (own: string) => {
    const { documents } = parseDocuments(text(own), { file: 'x.yaml' })
    const set = translate(buildSnapshot({ documents }), DEFAULT_PROXY)
    const filter = set.listener
      .get('0.0.0.0_80')
      ?.filterChains.map((chain) => chain.filter)
      .find(({ kind }) => kind === 'http')
    assert.ok(
      filter?.kind === 'http' && filter.filters.some(({ kind }) => kind === 'statefulSession'),
    )
    return set.route.get('80')?.virtualHosts[0]?.routes[0]?.filters?.session
  }
  assert.deepEqual(sessionWith(''), { kind: 'header', name: 'x-session' })
  const cookie = { kind: 'cookie', name: 'S', path: '/', ttlMs: 0 }
  assert.deepEqual(sessionWith(', sessionPersistence: {sessionName: S}'), cookie)
})
