import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseDocuments } from '@weft/config'
import { parseCalls } from './call.ts'
import { perspectiveOf } from './perspective.ts'
import { readWorkloadTemplates } from './workload-templates.ts'

const TEXT = `
apiVersion: v1
kind: Service
metadata: {name: reviews}
spec: {selector: {app: reviews}, ports: [{name: http, port: 9080}]}
---
apiVersion: v1
kind: Service
metadata: {name: edge, namespace: edge}
spec: {selector: {istio: ingressgateway}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {template: {metadata: {labels: {app: shop, tier: front}}}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: vm, namespace: vms}
spec: {address: 10.1.2.3, labels: {app: legacy}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: in}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: infra}
spec:
  gatewayClassName: istio
  listeners: [{name: http, port: 8081, protocol: HTTP}]
`
const scene = {
  documents: parseDocuments(TEXT, { file: 'mesh.yaml' }).documents,
  templates: readWorkloadTemplates([{ text: TEXT }]),
}

function perspective(call: object, from?: string) {
  const [parsed] = parseCalls(JSON.stringify(call)).calls
  assert.ok(parsed)
  return perspectiveOf(scene, parsed, from)
}

describe('perspectiveOf()', () => {
  const froms: [string, string, object][] = [
    ['a Deployment’s template', 'default/web', { app: 'shop', tier: 'front' }],
    ['a pod of a Deployment', 'web-7d9f-x2', { app: 'shop', tier: 'front' }],
    ['a WorkloadEntry', 'vms/vm', { app: 'legacy' }],
    [
      'the selector of a Service and a version',
      'default/reviews-v2',
      { app: 'reviews', version: 'v2' },
    ],
    ['its name alone', 'else/where', { app: 'where' }],
  ]
  for (const [what, from, labels] of froms) {
    test(`--from ${from} has the labels of ${what}`, () => {
      const { proxy } = perspective({}, from)
      assert.equal(proxy.role, 'sidecar')
      assert.deepEqual(proxy.labels, labels)
    })
  }

  test('a call from outside arrives where a Service puts the gateway, on the port it maps to', () => {
    const { proxy } = perspective({ port: 80 })
    assert.deepEqual(
      [proxy.role, proxy.namespace, proxy.portMap.get(80)],
      ['gateway', 'edge', 8080],
    )
  })

  test('a Gateway API gateway is served in its own namespace', () => {
    const { proxy } = perspective({ port: 8081 })
    assert.deepEqual([proxy.role, proxy.namespace], ['gateway', 'infra'])
  })

  test('a call from outside to a port that no gateway has leaves a sidecar in default', () => {
    const { proxy } = perspective({ port: 9080 })
    assert.deepEqual([proxy.role, proxy.namespace], ['sidecar', 'default'])
  })
})

test('templates that are broken or hostile are left out', () => {
  assert.deepEqual(readWorkloadTemplates([{ text: 'kind: Deployment\n  a: [' }]), [])
  assert.deepEqual(readWorkloadTemplates([{ text: 'kind: Deployment\nmetadata: 5' }]), [])
})
