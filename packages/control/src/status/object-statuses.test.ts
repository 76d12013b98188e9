import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseDocuments } from '@weft/config'
import { type ConnectionStatus, TYPE_URLS } from '@weft/xds'
import { buildSnapshot } from '../snapshot/build.ts'
import { DEFAULT_PROXY } from '../translate/proxy-view.ts'
import { translate } from '../translate/translate.ts'
import { rollUp } from './delivery.ts'
import { objectStatuses } from './object-statuses.ts'

const TEXT = `apiVersion: v1
kind: Service
metadata: {name: api}
spec: {ports: [{port: 80, name: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: unrelated, namespace: other, annotations: {networking.istio.io/exportTo: "."}}
spec: {ports: [{port: 80, name: http}]}
`
const CLUSTER = 'outbound|80||api.default.svc.cluster.local'

const { documents } = parseDocuments(TEXT, { file: 'mesh.yaml' })
const snapshot = buildSnapshot({ documents })
const set = translate(snapshot, DEFAULT_PROXY)

function connection(id: number, rejected?: string): ConnectionStatus {
  const resources = <T extends 'listener' | 'route' | 'cluster'>(type: T) => ({
    typeUrl: TYPE_URLS[type],
    subscribed: ['*'],
    resources: [...set[type].keys()].map((name) =>
      name === CLUSTER && rejected !== undefined
        ? { name, state: 'rejected' as const, version: 'x', message: rejected }
        : { name, state: 'acked' as const, version: 'x' },
    ),
  })
  return {
    id,
    node: {
      id: `web-${id}`,
      cluster: '',
      locality: { region: '', zone: '', subZone: '' },
      metadata: {},
      userAgentName: '',
      features: [],
    },
    kind: 'weft',
    view: 'v',
    protocol: 'delta',
    connectedAtMs: 0,
    types: [resources('listener'), resources('route'), resources('cluster')],
  }
}

function summaries(connections: readonly ConnectionStatus[]) {
  const deliveries = connections.map((one) => ({ connection: one, name: one.node.id, set }))
  const statuses = objectStatuses({
    state: { documents, problems: [], refused: [] },
    snapshot,
    applied: rollUp(deliveries),
    analysis: [],
  })
  return Object.fromEntries(statuses.map(({ name, summary }) => [name, summary]))
}

test('says how many proxies took an object, and names the one that did not', () => {
  const connections = Array.from({ length: 42 }, (_, id) =>
    connection(id, id === 7 ? 'no such balancer' : undefined),
  )
  assert.deepEqual(summaries(connections), {
    api: 'applied by 41 of 42 proxies; web-7 rejected it: no such balancer',
    unrelated: 'accepted',
  })
})

test('many that refuse are counted, not listed', () => {
  const { api } = summaries([1, 2, 3, 4, 5].map((id) => connection(id, 'no')))
  assert.match(api ?? '', /^applied by 0 of 5 proxies; .*; and 2 more rejected it$/)
})

test('an object that was refused says what stays in force', () => {
  const object = { apiVersion: 'v1', kind: 'Service', namespace: 'default', name: 'api' }
  const refusal = { file: 'mesh.yaml', object, keptLastGood: true, reason: 'line 3: bad port' }
  const [status] = objectStatuses({
    state: { documents, problems: [], refused: [refusal] },
    snapshot,
    applied: new Map(),
    analysis: [],
  })
  assert.equal(status?.summary, 'refused: line 3: bad port; the last good form stays in force')
  assert.equal(status?.conditions[0]?.status, false)
})
