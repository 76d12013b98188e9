import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseDocuments } from '@weft/config'
import type { FilterChain, OfferedPort, ResourceSet } from '@weft/model'
import { FakeClock } from '@weft/testkit'
import type { RegistryState } from '../../registries/registry.ts'
import { SelfRegistration } from '../../registries/self-registration.ts'
import { buildSnapshot } from '../../snapshot/build.ts'
import { DEFAULT_PROXY, type ProxyView } from '../proxy-view.ts'
import { translate } from '../translate.ts'

const OFFER: OfferedPort = {
  service: 'cart',
  port: 80,
  protocol: 'http',
  address: '127.0.0.1',
  listenPort: 4_001,
  appAddress: '127.0.0.1',
  appPort: 8_080,
}
const LABELS = { app: 'cart' }
const CLUSTER = 'outbound|80||cart.shop.svc.cluster.local'

/** Two workloads behind one service: one that takes mutual TLS, one that does not. */
async function registered(): Promise<RegistryState> {
  const registry = new SelfRegistration(
    { domain: 'cluster.local', graceMs: 0, restoredGraceMs: 0 },
    new FakeClock(),
  )
  for (const [id, hasIdentity] of [
    ['a', true],
    ['b', false],
  ] as const) {
    const listenPort = hasIdentity ? 4_001 : 4_002
    const workload = {
      ...{ name: id, namespace: 'shop', serviceAccount: `cart-${id}`, labels: LABELS },
      ...{ locality: { region: '', zone: '', subZone: '' }, cluster: 'weft' },
    }
    const stream = hasIdentity ? 1 : 2
    registry.connected({ id, workload, offers: [{ ...OFFER, listenPort }], hasIdentity }, stream)
    registry.reported(id, true)
  }
  for await (const state of registry.watch(new AbortController().signal)) return state
  throw new Error('there is no state')
}

const registry = await registered()

function resources(view: Partial<ProxyView>, text = ''): ResourceSet {
  const { documents, problems } = parseDocuments(text, { file: 'in.yaml' })
  assert.deepEqual(
    problems.filter(({ severity }) => severity === 'error'),
    [],
  )
  const proxy: ProxyView = {
    ...DEFAULT_PROXY,
    namespace: 'shop',
    labels: LABELS,
    hasIdentity: true,
    capture: { kind: 'explicit' },
    ...view,
  }
  return translate(buildSnapshot({ documents, registries: [registry] }), proxy)
}

const security = (name: string, namespace: string, spec: string) => `---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: ${name}, namespace: ${namespace}}
spec: ${spec}
`
const destination = (tls: string) => `---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: cart, namespace: shop}
spec: {host: cart, trafficPolicy: {tls: ${tls}}}
`
const meshConfig = (text: string) => `---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: "${text}"}
`

test('a caller with an identity has mutual TLS with the endpoints that take it', () => {
  const { cluster, endpoints } = resources({})
  const { tls, autoTls } = cluster.get(CLUSTER) ?? {}
  assert.equal(autoTls, true)
  assert.deepEqual(tls, {
    certificate: 'default',
    validation: 'ROOTCA',
    sni: 'outbound_.80_._.cart.shop.svc.cluster.local',
    subjectAltNames: [
      'spiffe://cluster.local/ns/shop/sa/cart-a',
      'spiffe://cluster.local/ns/shop/sa/cart-b',
    ],
    alpn: ['istio-http/1.1', 'istio', 'http/1.1'],
  })
  const modes = endpoints
    .get(CLUSTER)
    ?.localities.flatMap((locality) => locality.endpoints)
    .map(({ address, tlsMode }) => [address.port, tlsMode])
  assert.deepEqual(modes, [
    [4_001, 'istio'],
    [4_002, undefined],
  ])
})

test('without an identity, or where the mesh says so, callers speak plaintext', () => {
  assert.equal(resources({ hasIdentity: false }).cluster.get(CLUSTER)?.tls, undefined)
  const off = resources({}, meshConfig('enableAutoMtls: false'))
  assert.equal(off.cluster.get(CLUSTER)?.tls, undefined)
})

test('a DestinationRule decides before the mesh', () => {
  const tlsOf = (tls: string) => {
    const { tls: found, autoTls } = resources({}, destination(tls)).cluster.get(CLUSTER) ?? {}
    return [found?.certificate, found?.validation, autoTls]
  }
  assert.deepEqual(tlsOf('{mode: DISABLE}'), [undefined, undefined, undefined])
  assert.deepEqual(tlsOf('{mode: SIMPLE}'), [undefined, 'file-root:system', undefined])
  assert.deepEqual(tlsOf('{mode: ISTIO_MUTUAL}'), ['default', 'ROOTCA', undefined])
})

test('an alias of the trust domain is another name of each account', () => {
  const { cluster } = resources({}, meshConfig('trustDomainAliases: [old.example]'))
  assert.deepEqual(
    cluster.get(CLUSTER)?.tls?.subjectAltNames.filter((name) => name.endsWith('cart-a')),
    ['spiffe://cluster.local/ns/shop/sa/cart-a', 'spiffe://old.example/ns/shop/sa/cart-a'],
  )
})

test('who forbids mutual TLS to a workload is called in plaintext there', () => {
  const text = security('never', 'shop', '{mtls: {mode: DISABLE}}')
  const { endpoints } = resources({}, text)
  const modes = endpoints
    .get(CLUSTER)
    ?.localities.flatMap((locality) => locality.endpoints.map(({ tlsMode }) => tlsMode))
  assert.deepEqual(modes, [undefined, undefined])
})

/** `tls alpn,… → filter` of each chain, `m` for mutual TLS. */
function inbound(text: string, view: Partial<ProxyView> = {}): readonly string[] {
  const { listener } = resources({ offers: [OFFER], ...view }, text)
  const chains = listener.get('weft:inbound|80')?.filterChains ?? []
  return chains.map(({ match, tls, filter }: FilterChain) =>
    [
      match.transportProtocol ?? 'any',
      match.applicationProtocols.length === 0 ? '' : 'mesh',
      tls?.requireClientCertificate === true ? 'm' : '',
      filter.kind,
    ].join(' '),
  )
}

const STRICT = ['tls  m http']
const PERMISSIVE = ['tls mesh m http', 'tls   tcp', 'raw_buffer   http']
const DISABLE = ['any   http']

test('a workload takes both unless a policy says otherwise; without an identity it takes plaintext', () => {
  assert.deepEqual(inbound(''), PERMISSIVE)
  assert.deepEqual(inbound('', { hasIdentity: false }), DISABLE)
})

test('the nearest PeerAuthentication holds: port, workload, namespace, mesh; UNSET inherits', () => {
  const ofMesh = security('a', 'istio-system', '{mtls: {mode: STRICT}}')
  const ofNamespace = security('b', 'shop', '{mtls: {mode: DISABLE}}')
  const selector = 'selector: {matchLabels: {app: cart}}'
  const ofWorkload = (more: string) => security('c', 'shop', `{${selector}, ${more}}`)
  assert.deepEqual(inbound(ofMesh), STRICT)
  assert.deepEqual(inbound(ofMesh + ofNamespace), DISABLE)
  assert.deepEqual(inbound(ofMesh + security('b', 'shop', '{mtls: {mode: UNSET}}')), STRICT)
  assert.deepEqual(inbound(ofMesh + security('b', 'other', '{mtls: {mode: DISABLE}}')), STRICT)
  assert.deepEqual(inbound(ofNamespace + ofWorkload('mtls: {mode: PERMISSIVE}')), PERMISSIVE)
  assert.deepEqual(
    inbound(ofMesh + ofWorkload('portLevelMtls: {"8080": {mode: DISABLE}}')),
    DISABLE,
  )
  assert.deepEqual(inbound(ofMesh + ofWorkload('portLevelMtls: {"8080": {}}')), STRICT)
  assert.deepEqual(inbound(ofMesh + ofWorkload('portLevelMtls: {"9999": {mode: DISABLE}}')), STRICT)
  const other = security('c', 'shop', '{selector: {matchLabels: {app: x}}, mtls: {mode: DISABLE}}')
  assert.deepEqual(inbound(ofMesh + other), STRICT)
})

test('of two PeerAuthentications for the same workloads the older one holds', () => {
  const dated = (name: string, year: number, mode: string) =>
    security(name, 'shop', `{mtls: {mode: ${mode}}}`).replace(
      `{name: ${name},`,
      `{name: ${name}, creationTimestamp: "${year}-01-01T00:00:00Z",`,
    )
  assert.deepEqual(inbound(dated('a', 2_026, 'DISABLE') + dated('b', 2_020, 'STRICT')), STRICT)
})

test('whom a workload lets in is of its trust domain, and the application hears who it is', () => {
  const { listener } = resources(
    { offers: [OFFER] },
    meshConfig('trustDomainAliases: [old.example]'),
  )
  const [mutual] = listener.get('weft:inbound|80')?.filterChains ?? []
  assert.deepEqual(
    mutual?.tls?.subjectAltNames?.map(({ value }) => value.kind === 'prefix' && value.value),
    ['spiffe://cluster.local/', 'spiffe://old.example/'],
  )
  assert.ok(mutual?.filter.kind === 'http')
  assert.equal(mutual.filter.forwardClientCert?.mode, 'appendForward')
})

test('captured ports that no service names take the mutual TLS of the workload, and nothing is left over', () => {
  const strict = `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: strict, namespace: shop}
spec: {mtls: {mode: STRICT}}`
  const listenerOf = (hasIdentity: boolean) =>
    resources({ capture: { kind: 'redirect' }, hasIdentity, offers: [] }, strict).listener.get(
      'virtualInbound',
    )
  const guarded = listenerOf(true)
  assert.equal(guarded?.defaultFilterChain, undefined)
  const plain = guarded?.filterChains.filter(({ tls }) => tls === undefined)
  assert.deepEqual(
    plain?.map(({ name }) => name),
    ['virtualInbound-blackhole'],
  )
  assert.equal(listenerOf(false)?.defaultFilterChain?.name, 'virtualInbound')
})

test('a listener names the PeerAuthentications that decide about its ports', () => {
  const text =
    security('all', 'istio-system', '{mtls: {mode: STRICT}}') +
    security(
      'cart',
      'shop',
      '{selector: {matchLabels: {app: cart}}, portLevelMtls: {8080: {mode: DISABLE}}}',
    )
  const originsOf = (view: Partial<ProxyView>, name: string) =>
    resources(view, text)
      .listener.get(name)
      ?.origins.map(({ kind, namespace, name: own, path }) => [kind, `${namespace}/${own}`, path])
  const all = ['PeerAuthentication', 'istio-system/all', 'spec.mtls']
  const ofPort = ['PeerAuthentication', 'shop/cart', 'spec.portLevelMtls[8080]']
  assert.deepEqual(originsOf({ offers: [OFFER] }, 'weft:inbound|80'), [ofPort])
  const other = { ...OFFER, port: 81, appPort: 81 }
  assert.deepEqual(originsOf({ offers: [other] }, 'weft:inbound|81'), [all])
  assert.deepEqual(originsOf({ capture: { kind: 'redirect' } }, 'virtualInbound'), [all])
  assert.deepEqual(originsOf({ offers: [OFFER], hasIdentity: false }, 'weft:inbound|80'), [])
})
