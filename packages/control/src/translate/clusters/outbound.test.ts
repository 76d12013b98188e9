import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseDocuments } from '@weft/config'
import type { Cluster } from '@weft/model'
import { buildSnapshot } from '../../snapshot/build.ts'
import { DEFAULT_PROXY } from '../proxy-view.ts'
import { translate } from '../translate.ts'

function clusterOf(text: string, name: string): Cluster | undefined {
  const { documents, problems } = parseDocuments(text, { file: 'in.yaml' })
  assert.deepEqual(
    problems.filter(({ severity }) => severity === 'error'),
    [],
  )
  return translate(buildSnapshot({ documents }), DEFAULT_PROXY).cluster.get(name)
}

const entry = (host: string, resolution: string) => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside}
spec: {hosts: ["${host}"], resolution: ${resolution}, location: MESH_EXTERNAL, ports: [{number: 80, name: http, protocol: HTTP}]}
---
`

test('each way to resolve an outside host is a discovery of its own', () => {
  const kindOf = (host: string, resolution: string) =>
    clusterOf(entry(host, resolution), `outbound|80||${host}`)?.discovery.kind
  assert.equal(kindOf('a.example', 'DNS'), 'strictDns')
  assert.equal(kindOf('a.example', 'DNS_ROUND_ROBIN'), 'logicalDns')
  assert.equal(kindOf('*.example', 'DYNAMIC_DNS'), 'forwardProxy')
  assert.equal(kindOf('*.example', 'NONE'), 'originalDst')
})

test('what a DestinationRule says of the whole host holds for its ports and subsets', () => {
  const text = `${entry('a.example', 'DNS')}
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: outside}
spec:
  host: a.example
  trafficPolicy:
    tunnel: {protocol: CONNECT, targetHost: db.example, targetPort: 5432}
    loadBalancer: {simple: ROUND_ROBIN, warmup: {duration: 60s, minimumPercent: 20}}
    portLevelSettings:
    - {port: {number: 80}, loadBalancer: {simple: LEAST_REQUEST, warmupDurationSecs: 30s}}
  subsets:
  - {name: v1, labels: {version: v1}, trafficPolicy: {proxyProtocol: {version: V2}, loadBalancer: {simple: RANDOM, zoneAwareLbSetting: {enabled: true}}}}
`
  const whole = clusterOf(text, 'outbound|80||a.example')
  assert.deepEqual(whole?.tunnel, { method: 'CONNECT', target: 'db.example:5432' })
  assert.deepEqual(whole?.slowStart, { windowMs: 30_000, aggression: 1, minPercent: 10 })
  assert.equal(whole?.proxyProtocol, undefined)
  const subset = clusterOf(text, 'outbound|80|v1|a.example')
  assert.equal(subset?.proxyProtocol, 'v2')
  assert.equal(subset?.slowStart, undefined)
  assert.deepEqual(subset?.localities, { kind: 'zoneAware', routedPercent: 100, minEndpoints: 6 })
})
