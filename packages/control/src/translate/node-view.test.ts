import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import type { JsonValue, XdsNode } from '@weft/xds'
import fc from 'fast-check'
import { offersOf, proxyViewOf, workloadOf } from './node-view.ts'

const node = (id: string, metadata: XdsNode['metadata'] = {}): XdsNode => ({
  id,
  cluster: '',
  locality: { region: '', zone: '', subZone: '' },
  metadata,
  userAgentName: '',
  features: [],
})

test('a stock Envoy is read from its id and gets captured traffic', () => {
  const view = proxyViewOf(
    node('sidecar~10.1.2.3~reviews-v1-abc.shop~shop.svc.cluster.local', {
      LABELS: { app: 'reviews' },
      INSTANCE_IPS: '10.1.2.3,fd00::1',
    }),
  )
  assert.equal(view.role, 'sidecar')
  assert.equal(view.namespace, 'shop')
  assert.equal(view.workload, 'reviews-v1-abc')
  assert.deepEqual(view.addresses, ['10.1.2.3', 'fd00::1'])
  assert.deepEqual(view.capture, { kind: 'redirect' })
  assert.equal(proxyViewOf(node('router~10.0.0.1~gw.infra~x')).role, 'gateway')
})

test('our own proxy says what it listens on and what it offers', () => {
  const offer = { service: 'web', port: 80, address: '127.0.0.1', listenPort: 2000 }
  const view = proxyViewOf(
    node('sidecar~127.0.0.1~web.default~x', {
      WEFT_KIND: 'weft',
      WEFT_OUTBOUND: { address: '127.0.0.1', port: 15001 },
      WEFT_OFFERS: [offer, { service: 'no port' }, 7],
      WEFT_PORT_MAP: { '80': 8080, x: 1, '81': 'no' },
    }),
  )
  assert.deepEqual(view.capture, {
    kind: 'explicit',
    outbound: { host: '127.0.0.1', port: 15001 },
  })
  assert.deepEqual(view.offers, [
    { ...offer, protocol: 'http', appAddress: '127.0.0.1', appPort: 80 },
  ])
  assert.deepEqual([...view.portMap], [[80, 8080]])
})

test('no metadata from the network makes it throw, or yields an offer without an address', () => {
  const seed = Number(process.env.SEED ?? 42)
  const key = fc.constantFrom(
    'WEFT_KIND',
    'WEFT_ROLE',
    'WEFT_OUTBOUND',
    'WEFT_OFFERS',
    'WEFT_PORT_MAP',
    'WEFT_BIND',
    'LABELS',
    'NAMESPACE',
    'INSTANCE_IPS',
  )
  const metadata = fc.dictionary(key, fc.jsonValue() as fc.Arbitrary<JsonValue>)
  fc.assert(
    fc.property(fc.string(), metadata, (id, values) => {
      const one = node(id, values)
      assert.ok(isDeepStrictEqual(proxyViewOf(one), proxyViewOf(one)))
      assert.equal(typeof workloadOf(one).name, 'string')
      for (const { address, listenPort } of offersOf(one)) {
        assert.ok(address !== '' && listenPort >= 0 && listenPort <= 65_535)
      }
    }),
    { seed, numRuns: 500 },
  )
})
