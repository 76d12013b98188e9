import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseDocuments } from '@weft/config'
import type { ResourceSet } from '@weft/model'
import { buildSnapshot } from '../snapshot/build.ts'
import { DEFAULT_PROXY, type ProxyView } from './proxy-view.ts'
import { translate } from './translate.ts'

function resources(text: string, proxy: Partial<ProxyView> = {}): ResourceSet {
  const { documents, problems } = parseDocuments(text, { file: 'in.yaml' })
  const errors = problems.filter(({ severity }) => severity === 'error')
  assert.deepEqual(errors, [])
  return translate(buildSnapshot({ documents }), { ...DEFAULT_PROXY, namespace: 'shop', ...proxy })
}

/** Hosts of outbound clusters, without the domain of the cluster. */
function reached(set: ResourceSet): readonly string[] {
  const hosts = [...set.cluster.keys()].flatMap((name) => {
    const [direction, , subset, host = ''] = name.split('|')
    return direction === 'outbound' && subset === '' ? [host] : []
  })
  return [...new Set(hosts)].map((host) => host.replace('.svc.cluster.local', '')).sort()
}

const service = (name: string, namespace: string, ports = '{name: http, port: 80}') => `
apiVersion: v1
kind: Service
metadata: {name: ${name}, namespace: ${namespace}}
spec: {clusterIP: 10.0.0.${name.length}, ports: [${ports}]}
---`

const sidecar = (spec: string, meta = 'name: default, namespace: shop') => `
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {${meta}}
spec: ${spec}
---`

const MESH = [
  service('a', 'shop'),
  service('bb', 'shop', '{name: http, port: 80}, {name: tcp-db, port: 3306}'),
  service('ccc', 'other'),
  service('dddd', 'istio-system'),
].join('')

const imports = (...hosts: readonly string[]) => `{egress: [{hosts: ${JSON.stringify(hosts)}}]}`

test('without a Sidecar a proxy reaches everything', () => {
  assert.deepEqual(reached(resources(MESH)), [
    'a.shop',
    'bb.shop',
    'ccc.other',
    'dddd.istio-system',
  ])
})

test('each form of an egress host imports what it names', () => {
  const rows: readonly (readonly [readonly string[], readonly string[]])[] = [
    [['./*'], ['a.shop', 'bb.shop']],
    [['~/*'], []],
    [
      ['other/*', 'istio-system/*'],
      ['ccc.other', 'dddd.istio-system'],
    ],
    [['*/a.shop.svc.cluster.local'], ['a.shop']],
    [['./ccc.other.svc.cluster.local'], []],
    [['*/*.shop.svc.cluster.local'], ['a.shop', 'bb.shop']],
    [['*/*'], ['a.shop', 'bb.shop', 'ccc.other', 'dddd.istio-system']],
  ]
  for (const [hosts, expected] of rows) {
    assert.deepEqual(reached(resources(MESH + sidecar(imports(...hosts)))), expected, hosts.join())
  }
})

test('an imported VirtualService brings what it sends to, one that is not imported rules nothing', () => {
  const route = (namespace: string) => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a, namespace: ${namespace}}
spec: {hosts: [a.shop.svc.cluster.local], http: [{name: moved, route: [{destination: {host: ccc.other.svc.cluster.local}}]}]}
---`
  const only = sidecar(imports('./*'))
  assert.deepEqual(reached(resources(MESH + only + route('shop'))), [
    'a.shop',
    'bb.shop',
    'ccc.other',
  ])
  const elsewhere = resources(MESH + only + route('other'))
  assert.deepEqual(reached(elsewhere), ['a.shop', 'bb.shop'])
  const names = elsewhere.route
    .get('80')
    ?.virtualHosts.flatMap(({ routes }) => routes.map(({ name }) => name))
  assert.ok(!names?.includes('moved'))
})

test('a Sidecar for chosen workloads goes before that of the namespace, and that before the root one', () => {
  const all = [
    sidecar(imports('istio-system/*'), 'name: root, namespace: istio-system'),
    sidecar(imports('./*')),
    sidecar(
      '{workloadSelector: {labels: {app: x}}, egress: [{hosts: ["other/*"]}]}',
      'name: chosen, namespace: shop',
    ),
  ].join('')
  assert.deepEqual(reached(resources(MESH + all, { labels: { app: 'x' } })), ['ccc.other'])
  assert.deepEqual(reached(resources(MESH + all)), ['a.shop', 'bb.shop'])
  assert.deepEqual(reached(resources(MESH + all, { namespace: 'other' })), ['dddd.istio-system'])
  const gateway = resources(MESH + all, { role: 'gateway', namespace: 'other' })
  assert.equal(reached(gateway).length, 4)
})

test('the "." of a root Sidecar is the namespace of the proxy', () => {
  const root = sidecar(imports('./*'), 'name: root, namespace: istio-system')
  assert.deepEqual(reached(resources(MESH + root, { namespace: 'other' })), ['ccc.other'])
})

test('the oldest of two Sidecars without a selector holds, the other one is in conflict', () => {
  const text = MESH + sidecar(imports('./*')) + sidecar(imports('~/*'), 'name: zz, namespace: shop')
  const { documents } = parseDocuments(text, { file: 'in.yaml' })
  for (const order of [documents, documents.toReversed()]) {
    const snapshot = buildSnapshot({ documents: order })
    assert.deepEqual(reached(translate(snapshot, { ...DEFAULT_PROXY, namespace: 'shop' })), [
      'a.shop',
      'bb.shop',
    ])
    assert.deepEqual(
      snapshot.conditions.get('Sidecar/shop/zz')?.map(({ type, reason }) => `${type} ${reason}`),
      ['Conflicted OverlappingSidecar'],
    )
  }
})

test('what no service claims is refused by a Sidecar that says REGISTRY_ONLY', () => {
  for (const [policy, expected] of [
    ['', 'PassthroughCluster'],
    [', outboundTrafficPolicy: {mode: REGISTRY_ONLY}', 'BlackHoleCluster'],
    [', outboundTrafficPolicy: {}', 'BlackHoleCluster'],
    [', outboundTrafficPolicy: {mode: ALLOW_ANY}', 'PassthroughCluster'],
  ] as const) {
    const set = resources(MESH + sidecar(`{egress: [{hosts: ["./*"]}]${policy}}`))
    const last = set.listener.get('virtualOutbound')?.filterChains.at(-1)?.filter
    assert.equal(last?.kind === 'tcp' ? last.targets[0]?.cluster : undefined, expected, policy)
  }
})

test('an egress port has imports of its own, and the rest serves the others', () => {
  const set = resources(
    MESH +
      sidecar(
        '{egress: [{port: {number: 3306, protocol: TCP, name: db}, hosts: ["./bb.shop.svc.cluster.local"]}, {hosts: ["other/*"]}]}',
      ),
  )
  assert.deepEqual(reached(set), ['bb.shop', 'ccc.other'])
  assert.ok(set.listener.has('10.0.0.2_3306'))
  const domains = set.route.get('80')?.virtualHosts.map(({ name }) => name)
  assert.deepEqual(domains, ['ccc.other.svc.cluster.local:80', 'allow_any'])
})

test('an egress port that captures nothing is bound, on the loopback unless it says where', () => {
  const egress = (bind: string) =>
    `{egress: [{port: {number: 80, protocol: HTTP, name: web}, captureMode: NONE${bind}, hosts: ["./*"]}]}`
  const loopback = resources(MESH + sidecar(egress(''))).listener.get('127.0.0.1_80')
  assert.deepEqual(loopback?.address, { host: '127.0.0.1', port: 80 })
  assert.equal(loopback?.bindToPort, true)
  assert.equal(loopback?.origins[0]?.path, 'spec.egress[0]')
  const named = resources(MESH + sidecar(egress(', bind: 127.1.2.3')))
  assert.ok(named.listener.has('127.1.2.3_80'))
  assert.deepEqual(
    named.route.get('127.1.2.3_80')?.virtualHosts.map(({ name }) => name),
    ['a.shop.svc.cluster.local:80', 'bb.shop.svc.cluster.local:80', 'allow_any'],
  )
})

test('ingress listeners take the place of what services say of the workload', () => {
  const text = `${MESH}
apiVersion: v1
kind: Endpoints
metadata: {name: a, namespace: shop}
subsets: [{addresses: [{ip: 10.1.1.1}], ports: [{name: http, port: 80}]}]
---${sidecar(`{
    inboundConnectionPool: {http: {http2MaxRequests: 7}},
    ingress: [
      {port: {number: 9080, protocol: HTTP, name: http}, defaultEndpoint: "127.0.0.1:8080"},
      {port: {number: 9999, protocol: TCP, name: tcp}, captureMode: NONE, bind: 10.1.1.1, connectionPool: {tcp: {maxConnections: 3}}}]}`)}`
  const set = resources(text, { addresses: ['10.1.1.1'] })
  const inbound = set.listener.get('virtualInbound')
  const ports = inbound?.filterChains.map(({ match }) => match.destinationPort)
  assert.deepEqual(ports, [15_006, 9080, undefined])
  assert.equal(set.listener.get('10.1.1.1_9999')?.bindToPort, true)
  const { discovery, limits } = set.cluster.get('inbound|9080||') ?? {}
  const endpoint =
    discovery?.kind === 'static' ? discovery.endpoints.localities[0]?.endpoints[0] : undefined
  assert.deepEqual(endpoint?.address, { host: '127.0.0.1', port: 8080 })
  assert.equal(limits?.maxRequests, 7)
  assert.equal(set.cluster.get('inbound|9999||')?.limits.maxConnections, 3)
  assert.equal(set.cluster.get('inbound|9999||')?.limits.maxRequests, 4_294_967_295)
})

test('a ServiceEntry private to its namespace is what that namespace sees of the host', () => {
  const entry = (namespace: string, address: string, exportTo = '["."]') => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api, namespace: ${namespace}}
spec: {hosts: [api.example.com], exportTo: ${exportTo}, resolution: STATIC, location: MESH_EXTERNAL, ports: [{number: 80, name: http, protocol: HTTP}], endpoints: [{address: ${address}}]}
---`
  const addressIn = (text: string, namespace: string) => {
    const name = 'outbound|80||api.example.com'
    const { localities = [] } = resources(text, { namespace }).endpoints.get(name) ?? {}
    return localities[0]?.endpoints[0]?.address.host
  }
  const both = entry('one', '1.1.1.1') + entry('two', '2.2.2.2')
  assert.equal(addressIn(both, 'one'), '1.1.1.1')
  assert.equal(addressIn(both, 'two'), '2.2.2.2')
  assert.equal(addressIn(both, 'three'), undefined)
  const open = entry('one', '1.1.1.1', '["*"]') + entry('two', '2.2.2.2')
  assert.equal(addressIn(open, 'two'), '2.2.2.2')
  assert.equal(addressIn(open, 'three'), '1.1.1.1')
})

test('what goes to nobody of the mesh goes to the egress proxy, which nobody has to import', () => {
  const policy = (egressProxy: string, mode = 'ALLOW_ANY') =>
    sidecar(
      `{egress: [{hosts: ["~/*"]}], outboundTrafficPolicy: {mode: ${mode}${egressProxy === '' ? '' : `, egressProxy: ${egressProxy}`}}}`,
    )
  const unknown = (text: string, view: Partial<ProxyView> = {}) => {
    const set = resources(MESH + text, view)
    const hosts = [...set.route.values()].flatMap(({ virtualHosts }) => virtualHosts)
    const action = hosts.find(({ name }) => name === 'allow_any')?.routes.at(-1)?.action
    const to = action?.kind === 'forward' ? action.targets[0].cluster : undefined
    return { to, reached: reached(set) }
  }
  const explicit: Partial<ProxyView> = {
    role: 'sidecar',
    capture: { kind: 'explicit', outbound: { host: '127.0.0.1', port: 1 } },
  }
  assert.deepEqual(unknown(policy(''), explicit), { to: 'PassthroughCluster', reached: [] })
  const other = 'ccc.other.svc.cluster.local'
  assert.deepEqual(unknown(policy(`{host: ${other}}`), explicit), {
    to: `outbound|80||${other}`,
    reached: ['ccc.other'],
  })
  const subset = policy(`{host: bb, port: {number: 3306}, subset: v1}`)
  assert.equal(unknown(subset, explicit).to, 'outbound|3306|v1|bb.shop.svc.cluster.local')
})
