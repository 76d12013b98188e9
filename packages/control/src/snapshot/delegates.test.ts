import assert from 'node:assert/strict'
import { test } from 'node:test'
import { documentsOf, parseDocuments } from '@weft/config'
import { withDelegates } from './delegates.ts'
import { DEFAULT_MESH } from './mesh-settings.ts'

const ROOT = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: bookinfo}
spec:
  hosts: [bookinfo.com]
  http:
  - match: [{uri: {prefix: /productpage}}]
    timeout: 5s
    delegate: {name: productpage, namespace: ns-a}
  - match: [{uri: {prefix: /reviews}}]
    delegate: {name: reviews, namespace: ns-b}
  - match: [{uri: {prefix: /gone}}]
    delegate: {name: nobody}
  - route: [{destination: {host: rest}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: productpage, namespace: ns-a}
spec:
  http:
  - match: [{uri: {prefix: /productpage/v1/}}]
    route: [{destination: {host: productpage-v1}}]
  - match: [{uri: {prefix: /other}}]
    route: [{destination: {host: never}}]
  - timeout: 1s
    route: [{destination: {host: productpage.ns-a.svc.cluster.local}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: ns-b}
spec:
  exportTo: ["."]
  http: [{route: [{destination: {host: reviews}}]}]
`

const { documents } = parseDocuments(ROOT, { file: 'in.yaml' })
const services = documentsOf(documents, 'VirtualService')

test('the rules of delegates take the place of the rule that delegates', () => {
  const [root] = withDelegates(services, DEFAULT_MESH, 'cluster.local')
  const rules = (root?.spec.http ?? []).map(({ match, timeout, route }) => [
    match?.[0]?.uri?.prefix,
    timeout,
    route?.[0]?.destination.host,
  ])
  assert.deepEqual(rules, [
    ['/productpage/v1/', '5s', 'productpage-v1.ns-a.svc.cluster.local'],
    ['/productpage', '1s', 'productpage.ns-a.svc.cluster.local'],
    [undefined, undefined, 'rest'],
  ])
  assert.equal(root?.lineOf('spec.http[1]'), services[0]?.lineOf('spec.http[0]'))
  assert.equal(root?.lineOf('spec.http[2]'), services[0]?.lineOf('spec.http[3]'))
})

test('nothing is new while nothing changed', () => {
  const [first, second] = [1, 2].map(() => withDelegates(services, DEFAULT_MESH, 'cluster.local'))
  assert.equal(first?.[0], second?.[0])
  assert.equal(first?.[1], services[1])
})
