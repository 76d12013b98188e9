import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseDocuments } from '@weft/config'
import { buildSnapshot } from '../../snapshot/build.ts'
import { DEFAULT_PROXY } from '../proxy-view.ts'
import { translate } from '../translate.ts'

const OFFER = {
  protocol: 'http',
  address: '127.0.0.1',
  listenPort: 2_000,
  appAddress: '127.0.0.1',
  appPort: 3_000,
}

/** Of which service the calls are that reach a workload's own application. */
function servicesBehind(yaml: string, offers: readonly { service: string; port: number }[]) {
  const { documents } = parseDocuments(yaml, { file: 'in.yaml' })
  const set = translate(buildSnapshot({ documents }), {
    ...DEFAULT_PROXY,
    namespace: 'shop',
    capture: { kind: 'explicit' },
    offers: offers.map((offer) => ({ ...OFFER, ...offer })),
  })
  return offers.map(({ port }) => set.cluster.get(`inbound|${port}||`)?.service)
}

test('calls to an application are counted for the service that it offers', () => {
  assert.deepEqual(servicesBehind('', [{ service: 'reviews', port: 9_080 }]), [
    { host: 'reviews.shop.svc.cluster.local', name: 'reviews', namespace: 'shop' },
  ])
})

test('a service of another namespace that the mesh knows keeps its own names', () => {
  const yaml = `
apiVersion: v1
kind: Service
metadata: { name: reviews, namespace: books }
spec: { ports: [{ name: http, port: 9080 }] }
`
  const offers = [{ service: 'reviews.books.svc.cluster.local', port: 9_080 }]
  assert.deepEqual(servicesBehind(yaml, offers), [
    { host: 'reviews.books.svc.cluster.local', name: 'reviews', namespace: 'books' },
  ])
})
