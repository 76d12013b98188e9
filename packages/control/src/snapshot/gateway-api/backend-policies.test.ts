import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseDocuments } from '@weft/config'
import { DEFAULT_PROXY } from '../../translate/proxy-view.ts'
import { translate } from '../../translate/translate.ts'
import { buildSnapshot } from '../build.ts'
import type { MeshSnapshot } from '../mesh-snapshot.ts'

const CA = `-----BEGIN CERTIFICATE-----
MIIBrzCCAVWgAwIBAgIUIwIvc6Sg2rGp/XzKtWzT9IVOgv4wCgYIKoZIzj0EAwIw
GTEXMBUGA1UEAwwOc2VjdXJlLmV4YW1wbGUwIBcNMjYxMTIxMTQ1MDA2WhgPMjEy
NjEwMjgxNDUwMDZaMBkxFzAVBgNVBAMMDnNlY3VyZS5leGFtcGxlMFkwEwYHKoZI
zj0CAQYIKoZIzj0DAQcDQgAErA+DNO6wsHWhMVH33fTKLlFxOHTJncl/dpItYuT5
GungCL9llDGX1Gwx7YmKNdfGik9/ri8JESpV+JcTdDTla6N5MHcwHQYDVR0OBBYE
FLsCu12RNPYJu5ecWPM4dVF/Zr3QMB8GA1UdIwQYMBaAFLsCu12RNPYJu5ecWPM4
dVF/Zr3QMA8GA1UdEwEB/wQFMAMBAf8wJAYDVR0RBB0wG4IOc2VjdXJlLmV4YW1w
bGWCCSouZXhhbXBsZTAKBggqhkjOPQQDAgNIADBFAiEA0epz+IoTBLNwVkR3J4Td
tkKBs0/ebMKYzXVDQ4yxaIMCID8jk7gGxhBHp7yryYL9wSCpmHCmDgTxIkxiaxfj
2+tg
-----END CERTIFICATE-----
`

const MESH = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  gatewayClassName: weft
  listeners: [{name: http, port: 80, protocol: HTTP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r}
spec:
  parentRefs: [{name: gw}]
  rules: [{backendRefs: [{name: db, port: 443}]}]
---
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {ports: [{port: 443, name: secure}, {port: 80, name: http}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: ca}
data:
  ca.crt: |
${CA.trimEnd().replace(/^/gm, '    ')}
`

interface Policy {
  readonly name: string
  readonly section?: string
  readonly validation?: string
  readonly age?: string
}

const GOOD = '{hostname: db.example, caCertificateRefs: [{group: "", kind: ConfigMap, name: ca}]}'

function policy({ name, section, validation = GOOD, age }: Policy): string {
  const stamp = age === undefined ? '' : `, creationTimestamp: "${age}"`
  const target = section === undefined ? '' : `, sectionName: ${section}`
  return `---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: ${name}${stamp}}
spec:
  targetRefs: [{group: "", kind: Service, name: db${target}}]
  validation: ${validation}
`
}

function snapshotOf(...policies: readonly string[]): MeshSnapshot {
  const { documents, problems } = parseDocuments(MESH + policies.join(''), { file: 'x.yaml' })
  assert.deepEqual(
    problems.filter(({ severity }) => severity === 'error'),
    [],
  )
  return buildSnapshot({ documents })
}

function clusterOf(snapshot: MeshSnapshot, port = 443, role: 'gateway' | 'sidecar' = 'gateway') {
  const set = translate(snapshot, { ...DEFAULT_PROXY, role })
  return { cluster: set.cluster.get(`outbound|${port}||db.default.svc.cluster.local`), set }
}

function conditionsOf(snapshot: MeshSnapshot, name: string): readonly string[] {
  const found = snapshot.conditions.get(`BackendTLSPolicy/default/${name}`) ?? []
  return found.map(({ type, status, reason }) => `${type}=${status} ${reason}`)
}

test('gateways check the certificate of a backend by the name and CA of its policy', () => {
  const snapshot = snapshotOf(policy({ name: 'p' }))
  const { cluster, set } = clusterOf(snapshot)
  assert.deepEqual(cluster?.tls, {
    sni: 'db.example',
    validation: 'kubernetes-ca://configmap/default/ca',
    subjectAltNames: [],
    subjectAltNameMatches: [
      { type: 'dns', value: { kind: 'exact', value: 'db.example', ignoreCase: false } },
    ],
    alpn: [],
  })
  const secret = set.secret.get('kubernetes-ca://configmap/default/ca')
  assert.equal(secret?.kind === 'validation' ? secret.caPem : '', CA)
  assert.equal(clusterOf(snapshot, 443, 'sidecar').cluster?.tls, undefined)
  const parts = snapshot.parts.get('BackendTLSPolicy/default/p')
  assert.deepEqual(parts?.kind === 'ancestors' ? parts.ancestors.map(({ ref }) => ref) : [], [
    { group: 'gateway.networking.k8s.io', kind: 'Gateway', namespace: 'default', name: 'gw' },
  ])
})

test('names of its own take the place of the host name', () => {
  const names =
    'subjectAltNames: [{type: Hostname, hostname: "*.example"}, {type: URI, uri: "spiffe://td/x"}]'
  const validation = `{hostname: db.example, wellKnownCACertificates: System, ${names}}`
  const { cluster, set } = clusterOf(snapshotOf(policy({ name: 'p', validation })))
  assert.equal(cluster?.tls?.sni, 'db.example')
  assert.deepEqual(
    cluster?.tls?.subjectAltNameMatches?.map(({ type, value }) => `${type} ${value.value}`),
    ['dns [^.]+\\.example', 'uri spiffe://td/x'],
  )
  assert.equal(set.secret.get('file-root:system')?.kind, 'validation')
})

test('a policy for one port goes before the policy for the service', () => {
  const other = GOOD.replace('db.example', 'port.example')
  const snapshot = snapshotOf(
    policy({ name: 'all' }),
    policy({ name: 'one', section: 'secure', validation: other }),
  )
  assert.equal(clusterOf(snapshot, 443).cluster?.tls?.sni, 'port.example')
  assert.equal(clusterOf(snapshot, 80).cluster?.tls?.sni, 'db.example')
})

test('of two policies for one target the older holds, and the other says Conflicted', () => {
  const young = GOOD.replace('db.example', 'young.example')
  const snapshot = snapshotOf(
    policy({ name: 'a', age: '2026-02-01T00:00:00Z', validation: young }),
    policy({ name: 'b', age: '2026-01-01T00:00:00Z' }),
  )
  assert.equal(clusterOf(snapshot).cluster?.tls?.sni, 'db.example')
  assert.deepEqual(conditionsOf(snapshot, 'a'), [
    'Accepted=false Conflicted',
    'ResolvedRefs=true ResolvedRefs',
  ])
  assert.deepEqual(conditionsOf(snapshot, 'b'), [
    'Accepted=true Accepted',
    'ResolvedRefs=true ResolvedRefs',
  ])
})

for (const [kind, name, reason] of [
  ['ConfigMap', 'gone', 'InvalidCACertificateRef'],
  ['Secret', 'gone', 'InvalidCACertificateRef'],
  ['Bundle', 'ca', 'InvalidKind'],
] as const) {
  test(`a CA from ${kind} ${name} is ${reason}, and connections fail`, () => {
    const validation = `{hostname: a.b, caCertificateRefs: [{group: "", kind: ${kind}, name: ${name}}]}`
    const snapshot = snapshotOf(policy({ name: 'p', validation }))
    assert.deepEqual(conditionsOf(snapshot, 'p'), [
      'Accepted=false NoValidCACertificate',
      `ResolvedRefs=false ${reason}`,
    ])
    const { cluster } = clusterOf(snapshot)
    assert.ok(cluster?.discovery.kind === 'static')
    assert.deepEqual(cluster.discovery.endpoints.localities, [])
  })
}

test('a retry constraint becomes the budget of every port of the service, for sidecars too', () => {
  const snapshot = snapshotOf(`---
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackendTrafficPolicy
metadata: {name: t}
spec:
  targetRefs: [{group: "", kind: Service, name: db}]
  retryConstraint: {budget: {percent: 30}, minRetryRate: {count: 30, interval: 10s}}
`)
  for (const role of ['gateway', 'sidecar'] as const) {
    const { cluster } = clusterOf(snapshot, 80, role)
    assert.deepEqual(cluster?.retryBudget, {
      percent: 30,
      minRetryConcurrency: 3,
      intervalMs: 10_000,
    })
  }
})
