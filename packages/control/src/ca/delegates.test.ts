import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { renderSpiffeId, type SpiffeId, serviceAccountId } from '@weft/model'
import { IMPERSONATED_IDENTITY } from '@weft/xds'
import { subjectOf } from './delegates.ts'

const id = (namespace: string, account: string, domain = 'mesh') =>
  serviceAccountId(domain, namespace, account)

const ASKERS = {
  delegates: ['istio-system/weft-east'],
  brokers: [{ account: 'edge/broker' }, { account: 'shop/broker', namespaces: ['shop', 'web'] }],
}

function asked(caller: SpiffeId, wanted: SpiffeId | string | undefined): string {
  const text = typeof wanted === 'object' ? renderSpiffeId(wanted) : (wanted ?? '')
  const subject = subjectOf(caller, { [IMPERSONATED_IDENTITY]: text }, ASKERS)
  return subject.ok ? renderSpiffeId(subject.id) : subject.problem
}

describe('who may ask for certificates of others', () => {
  test('nobody but who is named, and everybody for themselves', () => {
    assert.equal(asked(id('shop', 'cart'), undefined), 'spiffe://mesh/ns/shop/sa/cart')
    assert.match(asked(id('shop', 'cart'), id('shop', 'web')), /may not ask for others.*--brokers/)
    assert.match(asked(id('shop', 'edge'), id('shop', 'web')), /may not ask for others/)
  })

  test('a broker for workloads of its trust domain, and of its namespaces where it has some', () => {
    assert.equal(asked(id('edge', 'broker'), id('a', 'b')), 'spiffe://mesh/ns/a/sa/b')
    assert.equal(asked(id('shop', 'broker'), id('web', 'front')), 'spiffe://mesh/ns/web/sa/front')
    assert.match(asked(id('shop', 'broker'), id('bank', 'vault')), /of shop, web, not for/)
    assert.match(asked(id('edge', 'broker'), id('a', 'b', 'other')), /no workload of spiffe:/)
    assert.match(asked(id('edge', 'broker'), 'spiffe://mesh/x'), /no workload of spiffe:/)
    assert.match(asked(id('edge', 'broker'), 'nonsense'), /is no SPIFFE ID/)
  })

  test('a broker never becomes who may do more than a workload', () => {
    for (const wanted of [
      id('istio-system', 'istiod'),
      id('istio-system', 'weft-east'),
      id('shop', 'broker'),
    ]) {
      assert.match(asked(id('edge', 'broker'), wanted), /may do more than these/)
    }
    const east = subjectOf(
      id('istio-system', 'weft-east'),
      { [IMPERSONATED_IDENTITY]: 'spiffe://mesh/ns/istio-system/sa/istiod' },
      ASKERS,
    )
    assert.ok(east.ok && east.isDelegated)
  })
})
