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
