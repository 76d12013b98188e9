import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseDocuments } from '@weft/config'
import { buildSnapshot } from './build.ts'

function snapshotOf(selectors: string) {
  const text = `
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    discoverySelectors: ${selectors}
    tlsDefaults: {cipherSuites: [ECDHE-RSA-AES128-GCM-SHA256]}
---
apiVersion: v1
kind: Namespace
metadata: {name: in, labels: {mesh: "on"}}
---
${['in', 'out', 'istio-system']
  .map(
    (namespace) => `apiVersion: v1
kind: Service
metadata: {name: a, namespace: ${namespace}}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: a, namespace: ${namespace}}
spec: {host: a}
---
`,
  )
  .join('')}`
  const { documents, problems } = parseDocuments(text, { file: 'in.yaml' })
  assert.deepEqual(problems, [])
  const snapshot = buildSnapshot({ documents })
  return {
    services: [...snapshot.services.values()].map(({ namespace }) => namespace).sort(),
    rules: snapshot.destinationRules.map(({ metadata }) => metadata.namespace).sort(),
  }
}

test('without discovery selectors every namespace is looked at', () => {
  const all = ['in', 'istio-system', 'out']
  assert.deepEqual(snapshotOf('[]'), { services: all, rules: all })
})

test('with discovery selectors only namespaces that one selects, and the root, exist', () => {
  const some = ['in', 'istio-system']
  assert.deepEqual(snapshotOf('[{matchLabels: {mesh: "on"}}]'), { services: some, rules: some })
  const notOut =
    '[{matchExpressions: [{key: kubernetes.io/metadata.name, operator: In, values: [in]}]}]'
  assert.deepEqual(snapshotOf(notOut), { services: some, rules: some })
  const either = '[{matchLabels: {mesh: "on"}}, {matchLabels: {kubernetes.io/metadata.name: out}}]'
  assert.deepEqual(snapshotOf(either).services, ['in', 'istio-system', 'out'])
})
