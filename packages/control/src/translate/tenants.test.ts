/** What one namespace may do to others: nothing that they did not agree to. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseDocuments } from '@weft/config'
import { buildSnapshot } from '../snapshot/build.ts'
import { DEFAULT_PROXY, type ProxyView } from './proxy-view.ts'
import { translate } from './translate.ts'

const SERVICES = `
apiVersion: v1
kind: Service
metadata: {name: pay, namespace: shop}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: steal, namespace: evil}
spec: {ports: [{name: http, port: 80}]}
`
const MESH = (text: string) => `
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: "${text}"}
`
const STEAL = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: steal, namespace: evil}
spec:
  hosts: [pay.shop.svc.cluster.local]
  http: [{route: [{destination: {host: steal.evil.svc.cluster.local}}]}]
`

/** Everything that a proxy is told, as text. */
function toldTo(view: Partial<ProxyView>, ...texts: readonly string[]): string {
  const { documents, problems } = parseDocuments(texts.join('\n---\n'), { file: 'in.yaml' })
  const refused = problems.filter(({ severity }) => severity === 'error')
  const bad = new Set(refused.map(({ line }) => line))
  assert.equal(bad.size, refused.length)
  const told = translate(buildSnapshot({ documents }), { ...DEFAULT_PROXY, ...view })
  return JSON.stringify([...told.route.values(), ...told.listener.values()])
}

const caller = (namespace: string): Partial<ProxyView> => ({
  namespace,
  capture: { kind: 'explicit', outbound: { host: '127.0.0.1', port: 15001 } },
})
const PAY = 'outbound|80||pay.shop.svc.cluster.local'
const STOLEN = 'outbound|80||steal.evil.svc.cluster.local'

/** Whether calls of the namespace to shop's service go where evil wants them. */
function isStolenFrom(namespace: string, ...texts: readonly string[]): boolean {
  const told = toldTo(caller(namespace), SERVICES, ...texts)
  assert.ok(told.includes(PAY) || told.includes(STOLEN))
  // Its own service is at its own name; what matters is where shop's name leads.
  const without = toldTo(caller(namespace), SERVICES)
  return told.split(STOLEN).length > without.split(STOLEN).length
}

describe('R55: a namespace has what it was given', () => {
  test('who keeps VirtualServices where they are keeps the calls of others, too', () => {
    const own = MESH('defaultVirtualServiceExportTo: [\\".\\"]')
    assert.equal(isStolenFrom('shop', STEAL), true, 'as in Istio, everybody is told by default')
    assert.equal(isStolenFrom('shop', own, STEAL), false)
    assert.equal(isStolenFrom('other', own, STEAL), false)
    assert.equal(isStolenFrom('evil', own, STEAL), true, 'its own calls are its own')
  })

  test('who imports only what it needs is told nothing by others', () => {
    const sidecar = `
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: shop}
spec: {egress: [{hosts: ["./*"]}]}
`
    assert.equal(isStolenFrom('shop', sidecar, STEAL), false)
  })

  test('a DestinationRule of a third namespace changes nothing', () => {
    const rule = `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: plain, namespace: evil}
spec: {host: pay.shop.svc.cluster.local, subsets: [{name: weak}], trafficPolicy: {tls: {mode: DISABLE}}}
`
    assert.equal(toldTo(caller('shop'), SERVICES, rule), toldTo(caller('shop'), SERVICES))
    assert.equal(toldTo(caller('other'), SERVICES, rule), toldTo(caller('other'), SERVICES))
  })

  test("a gateway's server that names a namespace takes no host from another", () => {
    const gateway = (hosts: string) => `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: infra}
spec:
  selector: {app: edge}
  servers: [{hosts: [${hosts}], port: {name: http, number: 80, protocol: HTTP}}]
`
    const claim = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: claim, namespace: evil}
spec:
  hosts: [pay.example]
  gateways: [infra/edge]
  http: [{route: [{destination: {host: steal.evil.svc.cluster.local}}]}]
`
    const edge = { role: 'gateway', namespace: 'infra', labels: { app: 'edge' } } as const
    const told = (hosts: string) => toldTo(edge, SERVICES, gateway(hosts), claim).includes(STOLEN)
    assert.equal(told('"*"'), true)
    assert.equal(told('shop/*'), false)
    assert.equal(told('./*'), false)
    assert.equal(told('evil/*.other'), false)
  })

  test('a route of the Gateway API leads to another namespace only where that grants it', () => {
    const route = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: evil}
spec:
  gatewayClassName: istio
  listeners: [{name: http, port: 80, protocol: HTTP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: reach, namespace: evil}
spec:
  parentRefs: [{name: edge}]
  rules: [{backendRefs: [{name: pay, namespace: shop, port: 80}]}]
`
    const grant = (from: string) => `
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: grant, namespace: shop}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: ${from}}]
  to: [{group: "", kind: Service}]
`
    const edge = {
      role: 'gateway',
      namespace: 'evil',
      labels: { 'gateway.networking.k8s.io/gateway-name': 'edge' },
    } as const
    assert.equal(toldTo(edge, SERVICES, route).includes(PAY), false)
    assert.equal(toldTo(edge, SERVICES, route, grant('other')).includes(PAY), false)
    assert.equal(toldTo(edge, SERVICES, route, grant('evil')).includes(PAY), true)
  })
})

describe('R68: what a tenant writes is bounded when it is admitted', () => {
  const rule = (regex: string) => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: heavy, namespace: evil}
spec:
  hosts: [steal.evil.svc.cluster.local]
  http:
  - match: [{uri: {regex: ${JSON.stringify(regex)}}}]
    route: [{destination: {host: steal}}]
`
  const heavy: readonly [string, string][] = [
    ['is a megabyte long', 'a'.repeat(1_048_576)],
    ['counts to a billion', '((a{1000}){1000}){1000}'],
    ['is nested beyond all measure', `${'('.repeat(500)}a${')'.repeat(500)}${'{2}'.repeat(9)}`],
    ['looks back', '(a)\\1'],
    ['looks ahead', '(?=a)b'],
  ]
  for (const [what, regex] of heavy) {
    test(`a regex that ${what} is refused, and the objects of others are in force`, () => {
      const good = STEAL.replaceAll('evil', 'shop').replaceAll('steal', 'fine')
      const text = [SERVICES, rule(regex), good].join('\n---\n')
      const { documents, problems } = parseDocuments(text, { file: 'in.yaml' })
      const errors = problems.filter(({ severity }) => severity === 'error')
      assert.deepEqual(
        errors.map(({ code }) => code),
        ['bad-regex'],
      )
      assert.deepEqual(
        documents.flatMap((one) => ('metadata' in one ? [one.metadata.name] : [])),
        ['pay', 'steal', 'fine'],
      )
    })
  }
})
