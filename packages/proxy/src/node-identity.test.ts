import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nodeOf } from './node-identity.ts'
import type { ProxyOptions } from './proxy-options.ts'

const options: ProxyOptions = {
  role: 'sidecar',
  workload: {
    name: 'reviews-v1',
    namespace: 'shop',
    serviceAccount: 'bookinfo',
    labels: { app: 'reviews', version: 'v1' },
    locality: { region: 'r', zone: 'z', subZone: '' },
    cluster: 'weft',
  },
  address: '127.0.0.1',
  source: { kind: 'files', path: '/tmp/x' },
  bindHost: '127.0.0.1',
  version: '1',
}

test('a sidecar announces what it bound and what its application offers', () => {
  const offer = {
    service: 'reviews',
    port: 9080,
    protocol: 'http',
    address: '127.0.0.1',
    listenPort: 31_234,
    appAddress: '127.0.0.1',
    appPort: 3000,
  }
  const node = nodeOf(options, { outbound: { host: '127.0.0.1', port: 15_001 }, offers: [offer] })
  assert.equal(node.id, 'sidecar~127.0.0.1~reviews-v1.shop~shop.svc.cluster.local')
  assert.equal(node.cluster, 'reviews-v1.shop')
  assert.deepEqual(node.metadata, {
    WEFT_KIND: 'weft',
    WEFT_ROLE: 'sidecar',
    NAMESPACE: 'shop',
    WORKLOAD_NAME: 'reviews-v1',
    SERVICE_ACCOUNT: 'bookinfo',
    LABELS: { app: 'reviews', version: 'v1' },
    CLUSTER_ID: 'weft',
    WEFT_OUTBOUND: { address: '127.0.0.1', port: 15_001 },
    WEFT_OFFERS: [offer],
    WEFT_BIND: '127.0.0.1',
  })
})

test('a gateway is a router and announces its port map', () => {
  const node = nodeOf(
    { ...options, role: 'gateway', portMap: { '80': 8080 } },
    { outbound: undefined, offers: [] },
  )
  assert.equal(node.id, 'router~127.0.0.1~reviews-v1.shop~shop.svc.cluster.local')
  assert.deepEqual(node.metadata.WEFT_PORT_MAP, { '80': 8080 })
  assert.equal('WEFT_OFFERS' in node.metadata, false)
})

test('replicas of a workload have ids of their own and one workload name', () => {
  const ids = ['reviews-v1-a', 'reviews-v1-b'].map((instance) => {
    const node = nodeOf({ ...options, instance }, { outbound: undefined, offers: [] })
    assert.equal(node.metadata.WORKLOAD_NAME, 'reviews-v1')
    return node.id
  })
  assert.equal(new Set(ids).size, 2)
})

test('more metadata cannot pass for another workload', () => {
  const node = nodeOf(
    { ...options, metadata: { NAMESPACE: 'evil', team: 'a' } },
    {
      outbound: undefined,
      offers: [],
    },
  )
  assert.equal(node.metadata.NAMESPACE, 'shop')
  assert.equal(node.metadata.team, 'a')
})
