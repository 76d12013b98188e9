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

const SERVICE = (annotations = '') => `
apiVersion: v1
kind: Service
metadata: {name: a${annotations}}
spec: {ports: [{name: http, port: 80}]}
---`

const rule = (policy: string, annotations = '') => `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: a${annotations}}
spec: {host: a, trafficPolicy: ${policy}}
---`

test('a balancer of our own is asked for by annotation, and gives way to hashing', () => {
  const ewma = ', annotations: {weft.io/load-balancer: PEAK_EWMA}'
  const kindOf = (text: string) =>
    clusterOf(text, 'outbound|80||a.default.svc.cluster.local')?.loadBalancer.kind
  assert.equal(kindOf(SERVICE()), 'leastRequest')
  assert.equal(kindOf(SERVICE(ewma)), 'peakEwma')
  assert.equal(kindOf(SERVICE() + rule('{loadBalancer: {simple: RANDOM}}', ewma)), 'peakEwma')
  const hashed = rule('{loadBalancer: {consistentHash: {httpHeaderName: x}}}', ewma)
  assert.equal(kindOf(SERVICE(ewma) + hashed), 'ringHash')
})

test('who may eject more than half gets the panic threshold of Istio, a budget its interval', () => {
  const text = (policy: string) => SERVICE() + rule(policy)
  const of = (policy: string) => clusterOf(text(policy), 'outbound|80||a.default.svc.cluster.local')
  assert.equal(of('{loadBalancer: {simple: RANDOM}}')?.panicPercent, undefined)
  assert.equal(of('{outlierDetection: {}}')?.panicPercent, undefined)
  assert.equal(of('{outlierDetection: {maxEjectionPercent: 50}}')?.panicPercent, undefined)
  assert.equal(of('{outlierDetection: {maxEjectionPercent: 100}}')?.panicPercent, 0)
  assert.equal(of('{outlierDetection: {minHealthPercent: 0}}')?.panicPercent, 0)
  assert.equal(of('{outlierDetection: {minHealthPercent: 30}}')?.panicPercent, 30)
  const codes = of('{outlierDetection: {outlierDetectionHttpErrorCodes: [429, 503]}}')
  assert.deepEqual(codes?.outlierDetection?.errorCodes, [429, 503])
  const budget = of('{retryBudget: {percent: 10, budgetInterval: 10s}}')?.retryBudget
  assert.deepEqual(budget, { percent: 10, minRetryConcurrency: 3, intervalMs: 10_000 })
})

test('a DestinationRule for chosen workloads holds for those of its own namespace only', () => {
  const text = `${SERVICE()}
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: a}
spec: {host: a, workloadSelector: {matchLabels: {app: x}}, trafficPolicy: {loadBalancer: {simple: RANDOM}}}
`
  const { documents } = parseDocuments(text, { file: 'in.yaml' })
  const kindFor = (namespace: string, labels: Readonly<Record<string, string>>) =>
    translate(buildSnapshot({ documents }), { ...DEFAULT_PROXY, namespace, labels }).cluster.get(
      'outbound|80||a.default.svc.cluster.local',
    )?.loadBalancer.kind
  assert.equal(kindFor('default', { app: 'x' }), 'random')
  assert.equal(kindFor('default', { app: 'y' }), 'leastRequest')
  assert.equal(kindFor('other', { app: 'x' }), 'leastRequest')
})
