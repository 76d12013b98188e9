/** What is known of others, from their keys. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { EtcdEvent, KeyValue } from './etcd/messages.ts'
import {
  type BrokerRecord,
  brokerKey,
  brokerValue,
  connId,
  type EndpointRecord,
  endpointKey,
  endpointValue,
  readRecord,
} from './records.ts'
import { ClusterView, isNewer, linkOf } from './view.ts'

const PREFIX = '/weft/rsocket/'

const BROKER: BrokerRecord = {
  ...{ id: 'b2', incarnation: 'x1', addr: '10.0.0.2:7881', zone: 'a', state: 'serving' },
  external: ['tcps://b2.example:7878'],
  places: { '10.0.0.2:40001': 'abc' },
}

function endpoint(more: Partial<EndpointRecord> = {}): EndpointRecord {
  return {
    ...{ broker: 'b2', conn: 'x1.1', serving: true, isHttp: false, isAlibaba: false },
    instance: {
      ...{ id: 'i', app: 'cart', namespace: 'shop', link: 0, weight: 1, zone: 'a' },
      labels: { version: 'v2' },
    },
    service: { group: 'g', service: 'a.B', version: '1.0' },
    ...{ principal: 'spiffe://m/ns/shop/sa/cart', host: '10.1.1.1', epoch: 7, lateMs: undefined },
    ...more,
  }
}

function put(record: EndpointRecord, modRevision = 9): EtcdEvent {
  return { kind: 'put', kv: kvOf(record, modRevision) }
}

function kvOf(record: EndpointRecord, modRevision = 9): KeyValue {
  const { broker, conn, service } = record
  const { namespace } = record.instance
  const key = endpointKey(PREFIX, { broker, conn, namespace, service })
  return { key, value: Buffer.from(endpointValue(record)), modRevision }
}

test('a link is that of one identity: the same id of somebody else is another instance', () => {
  const instance = { id: 'i', link: 0 }
  const mine = linkOf(instance, false, 'spiffe://m/ns/shop/sa/cart')
  assert.equal(mine, linkOf(instance, false, 'spiffe://m/ns/shop/sa/cart'))
  const others = [linkOf(instance, false, ''), linkOf(instance, false, 'spiffe://m/ns/evil/sa/eve')]
  assert.ok(!others.includes(mine))
  const view = new ClusterView(PREFIX, 'b1')
  view.apply([put(endpoint()), put(endpoint({ conn: 'x1.2', principal: '' }))])
  assert.deepEqual([...view.connsOf(mine ?? '')], [connId('b2', 'x1.1')])
})

test('records come back as they were written, whatever names they have', () => {
  const key = brokerKey(PREFIX, BROKER.id)
  assert.deepEqual(readRecord(PREFIX, key, Buffer.from(brokerValue(BROKER)), 1)?.record, BROKER)
  fc.assert(
    fc.property(
      fc.string({ minLength: 1, unit: 'grapheme' }),
      fc.string({ minLength: 1 }),
      (service, broker) => {
        const record = endpoint({ broker, service: { group: '', version: '', service } })
        const { key: at, value } = kvOf(record)
        assert.equal(at.split('/').length, PREFIX.split('/').length + 4)
        assert.deepEqual(readRecord(PREFIX, at, value, 1)?.record, record)
      },
    ),
  )
})

test('what cannot be read is passed over, never thrown at', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (name, value) => {
      readRecord(PREFIX, `${PREFIX}${name}`, Buffer.from(value), 1)
      readRecord(PREFIX, `${PREFIX}eps/a/b/c/${name}`, Buffer.from(`{"v":1,${value}}`), 1)
    }),
  )
  assert.equal(
    readRecord(PREFIX, '/other/brokers/x', Buffer.from(brokerValue(BROKER)), 1),
    undefined,
  )
  assert.equal(readRecord(PREFIX, `${PREFIX}brokers/x`, Buffer.from('{"v":2}'), 1), undefined)
})

test("the first write's revision is the epoch; later ones carry it", () => {
  const view = new ClusterView(PREFIX, 'b1')
  view.apply([put(endpoint({ epoch: undefined }), 41)])
  assert.equal(view.arrivalOf(connId('b2', 'x1.1')).epoch, 41)
  view.apply([put(endpoint({ epoch: 41, serving: false }), 99)])
  assert.equal(view.arrivalOf(connId('b2', 'x1.1')).epoch, 41)
})

test('the newer epoch wins; what is not written yet is newest; without etcd time decides', () => {
  const at = (epoch: number | undefined, lateMs?: number) => ({ epoch, lateMs })
  assert.ok(isNewer(at(8), at(7)))
  assert.ok(!isNewer(at(7), at(7)))
  assert.ok(isNewer(at(undefined), at(7)))
  assert.ok(isNewer(at(5, 2_000), at(6, 1_000)))
})

test('a connection is one, however many services it has, and goes with the last', () => {
  const view = new ClusterView(PREFIX, 'b1')
  const other = endpoint({ service: { group: '', service: 'a.C', version: '' } })
  view.apply([put(endpoint()), put(other)])
  const id = connId('b2', 'x1.1')
  assert.equal(view.conn(id)?.records.length, 2)
  view.apply([{ kind: 'delete', kv: kvOf(other) }])
  assert.equal(view.conn(id)?.records.length, 1)
  const change = view.apply([{ kind: 'delete', kv: kvOf(endpoint()) }])
  assert.equal(view.conn(id), undefined)
  assert.deepEqual([...change.conns], [id])
  assert.deepEqual([...view.connsOf('0/i')], [])
})

test('our own keys are not news', () => {
  const view = new ClusterView(PREFIX, 'b2')
  const { brokers, conns } = view.apply([put(endpoint())])
  assert.equal(brokers.size + conns.size, 0)
})

test('etcd comes back empty: brokers that still answer keep theirs for a while, others do not', () => {
  const view = new ClusterView(PREFIX, 'b1')
  const there = endpoint()
  const gone = endpoint({ broker: 'b3' })
  view.replace([kvOf(there), kvOf(gone)], () => true)
  view.replace([], (broker) => broker === 'b2')
  assert.ok(view.conn(connId('b2', 'x1.1')))
  assert.equal(view.conn(connId('b3', 'x1.1')), undefined)
  view.apply([put(there)])
  assert.ok(!view.hasDoubts)
  view.replace([], () => true)
  assert.ok(view.hasDoubts)
  assert.deepEqual([...view.dropDoubtful().conns], [connId('b2', 'x1.1')])
})
