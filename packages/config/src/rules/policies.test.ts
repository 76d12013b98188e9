import assert from 'node:assert/strict'
import { test } from 'node:test'
import { analyze } from '../analyze/analyze.ts'
import { findingsOf, type Json, withValue } from '../fixtures.ts'
import { parseDocuments } from '../parse.ts'

const policy = (kind: string, spec: Json): Json => ({
  apiVersion: 'weft.io/v1',
  kind,
  metadata: { name: 'test', namespace: 'default' },
  spec,
})

const LIMIT = policy('RateLimit', {
  targetRefs: [{ kind: 'HTTPRoute', name: 'shop', sectionName: 'checkout' }],
  limits: [
    { requests: 5, per: '1s', burst: 10, by: [{ type: 'Header', name: 'x-user' }] },
    { requests: 100, per: '1m', match: { path: { prefix: '/api' }, methods: ['POST'] } },
    { requests: 1000, per: '1h' },
  ],
  mode: 'Local',
  status: 429,
  headers: true,
  failureMode: 'Closed',
})

const TRAFFIC = policy('TrafficPolicy', {
  selector: { matchLabels: { app: 'web' } },
  hedging: { after: '50ms', maxAttempts: 2 },
  buffer: { maxRequestBytes: 1_048_576 },
  compression: { encodings: ['gzip'], minBytes: 100 },
  headerCase: 'Proper',
  maxRequestHeaderBytes: 16_384,
  accessLog: { format: { json: { code: '%RESPONSE_CODE%' } } },
  adaptiveConcurrency: {},
  loadBalancer: { type: 'PEAK_EWMA', decay: '5s' },
  csrf: { additionalOrigins: [{ exact: 'https://a.example' }] },
  sessionPersistence: { cookie: { name: 'sid', ttl: '1h' } },
  timeouts: { streamIdle: '30s', maxStreamDuration: '1h', connectionDuration: '2h' },
  serverHeader: { action: 'Remove' },
  healthChecks: [{ http: { path: '/healthz' } }, { grpc: {} }, { tcp: {} }],
  outlierDetection: { successRate: {} },
  slowStart: { window: '30s' },
})

test('policies with every field have nothing to say', () => {
  assert.deepEqual(findingsOf(LIMIT, 'error'), [])
  assert.deepEqual(findingsOf(TRAFFIC, 'error'), [])
})

test('log formats are judged by their operators', () => {
  const at = 'spec.accessLog.format'
  const found = (format: Json) => findingsOf(withValue(TRAFFIC, at, format), 'error')
  assert.deepEqual(found({ text: '%REQ(x-a?:path)% %RESPONSE_CODE% 100%%' }), [])
  assert.deepEqual(found({ text: '%RESPONSE_COD%' }), [`${at}.text bad-format`])
  assert.deepEqual(found({ text: '100 % of' }), [`${at}.text bad-format`])
  assert.deepEqual(found({ json: { a: '%PROTOCOL(x)%' } }), [`${at}.json bad-format`])
})

const REFUSED: readonly (readonly [Json, string, Json, string])[] = [
  [LIMIT, 'spec.limits[0].per', '2s', 'spec.limits[0].per not-allowed'],
  [LIMIT, 'spec.limits[0].requests', 0, 'spec.limits[0].requests out-of-range'],
  [LIMIT, 'spec.limits[0].by[0].type', 'Path', 'spec.limits[0].by[0].name conflicting-fields'],
  [LIMIT, 'spec.limits[0].by[0].name', 'a b', 'spec.limits[0].by[0].name bad-header'],
  [LIMIT, 'spec.limits[0].by[0].v4Bits', 24, 'spec.limits[0].by[0].v4Bits conflicting-fields'],
  [LIMIT, 'spec.limits[1].match.path', { regex: '(' }, 'spec.limits[1].match.path.regex bad-regex'],
  [LIMIT, 'spec.status', 200, 'spec.status out-of-range'],
  [LIMIT, 'spec.limts', [], 'spec.limts unknown-field'],
  [LIMIT, 'spec.targetRefs[0].kind', 'Pod', 'spec.targetRefs[0].kind not-allowed'],
  [LIMIT, 'spec.targetRefs[0].group', 'apps', 'spec.targetRefs[0].group not-allowed'],
  [LIMIT, 'spec.selector', { matchLabels: { a: 'b' } }, 'spec.selector conflicting-fields'],
  [TRAFFIC, 'spec.hedging', { maxAttempts: 2 }, 'spec.hedging crd-rule'],
  [TRAFFIC, 'spec.serverHeader.action', 'Overwrite', 'spec.serverHeader.value missing-field'],
  [TRAFFIC, 'spec.loadBalancer.type', 'PEAK', 'spec.loadBalancer.type not-allowed'],
  [TRAFFIC, 'spec.healthChecks[0]', {}, 'spec.healthChecks[0] missing-field'],
  [TRAFFIC, 'spec.timeouts.streamIdle', '5', 'spec.timeouts.streamIdle bad-format'],
  [
    TRAFFIC,
    'spec.adaptiveConcurrency',
    { minConcurrency: 9, maxConcurrency: 3 },
    'spec.adaptiveConcurrency.minConcurrency out-of-range',
  ],
]

for (const [object, path, value, expected] of REFUSED) {
  test(`${path}: ${JSON.stringify(value)} is refused`, () => {
    const findings = findingsOf(withValue(object, path, value), 'error')
    assert.ok(findings.includes(expected), `${expected} is not in ${findings.join(', ')}`)
  })
}

test('limits behind one that counts everything are warned about', () => {
  const object = withValue(LIMIT, 'spec.limits[0]', { requests: 1, per: '1s' })
  assert.deepEqual(findingsOf(object, 'warning'), [
    'spec.limits[1] no-effect',
    'spec.limits[2] no-effect',
  ])
})

test('targets that do not exist, and older policies for the same one, are named', () => {
  const limit = (name: string, target: string, created: string) => `
apiVersion: weft.io/v1
kind: RateLimit
metadata: {name: ${name}, creationTimestamp: "${created}"}
spec: {targetRefs: [${target}], limits: [{requests: 1, per: 1s}]}
---`
  const text = `
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{name: http, port: 80}]}
---${limit('young', '{kind: Service, name: web}', '2026-02-01T00:00:00Z')}
${limit('old', '{kind: Service, name: web}', '2026-01-01T00:00:00Z')}
${limit('gone', '{kind: VirtualService, name: nobody}', '2026-01-01T00:00:00Z')}
${limit('part', '{kind: Service, name: web, sectionName: grpc}', '2026-01-01T00:00:00Z')}`
  const { documents, problems } = parseDocuments(text, { file: 'in.yaml' })
  assert.deepEqual(problems, [])
  const found = analyze(documents).map(
    ({ object, path, code }) => `${object?.name} ${path} ${code}`,
  )
  assert.deepEqual(found.sort(), [
    'gone spec.targetRefs[0].name missing-target',
    'part spec.targetRefs[0].sectionName missing-target',
    'young spec.targetRefs[0] conflicting-policies',
  ])
})

test('PROXY protocol is for Gateways', () => {
  const on = (kind: string) =>
    policy('TrafficPolicy', {
      targetRefs: [{ kind, name: 'a' }],
      proxyProtocol: { mode: 'Required' },
    })
  assert.deepEqual(findingsOf(on('Gateway'), 'warning'), [])
  assert.deepEqual(findingsOf(on('Service'), 'warning'), ['spec.proxyProtocol.mode no-effect'])
})

test('TLVs are kept by Gateways and told to Services', () => {
  const on = (kind: string, proxyProtocol: Parameters<typeof policy>[1]) =>
    policy('TrafficPolicy', { targetRefs: [{ kind, name: 'a' }], proxyProtocol })
  const passThroughTlvs = { match: 'Listed', types: [234] }
  const addedTlvs = [{ type: 224, value: 'edge' }]
  const kept = on('Gateway', { mode: 'Required', passThroughTlvs })
  assert.deepEqual([...findingsOf(kept, 'warning'), ...findingsOf(kept, 'error')], [])
  const told = on('Service', { passThroughTlvs: {}, addedTlvs })
  assert.deepEqual([...findingsOf(told, 'warning'), ...findingsOf(told, 'error')], [])
  assert.deepEqual(findingsOf(on('Gateway', { passThroughTlvs }), 'error'), [
    'spec.proxyProtocol.mode missing-field',
  ])
  assert.deepEqual(findingsOf(on('Gateway', { mode: 'Optional', addedTlvs }), 'warning'), [
    'spec.proxyProtocol.addedTlvs no-effect',
  ])
  assert.deepEqual(findingsOf(on('Service', { passThroughTlvs: { types: [1] } }), 'error'), [
    'spec.proxyProtocol.passThroughTlvs.types conflicting-fields',
  ])
})
