import assert from 'node:assert/strict'
import test from 'node:test'
import { type BrokerPlace, pickBrokers, placeLinks } from './pick-brokers.ts'

function brokersIn(zones: readonly string[], each: number): readonly BrokerPlace[] {
  return zones.flatMap((zone) =>
    Array.from({ length: each }, (_, i) => ({ uri: `tcps://b${i}.${zone}:7878`, zone })),
  )
}

const INSTANCES = Array.from({ length: 10_000 }, (_, i) => `instance-${i}`)
const urisFor = (instance: string, list: readonly BrokerPlace[], links: number) =>
  pickBrokers(instance, list, links).map(({ uri }) => uri)

test('an instance dials the same brokers whatever the order of the list (D9)', () => {
  const list = brokersIn(['a', 'b'], 5)
  const turned = [...list].reverse()
  for (const instance of INSTANCES.slice(0, 200)) {
    assert.deepEqual(urisFor(instance, list, 2), urisFor(instance, turned, 2))
  }
})

test('two links go to two zones, and to one zone when there is only one', () => {
  const two = brokersIn(['a', 'b'], 10)
  for (const instance of INSTANCES.slice(0, 200)) {
    const zones = pickBrokers(instance, two, 2).map(({ zone }) => zone)
    assert.equal(new Set(zones).size, 2)
  }
  const uris = urisFor('x', brokersIn(['a'], 3), 2)
  assert.equal(new Set(uris).size, 2)
})

test('each zone gives one broker before any gives a second', () => {
  const list = [...brokersIn(['a'], 6), ...brokersIn(['b'], 1), ...brokersIn(['c'], 2)]
  const zones = pickBrokers('x', list, 5).map(({ zone }) => zone)
  assert.deepEqual(zones.slice(0, 3).sort(), ['a', 'b', 'c'])
  assert.deepEqual(zones.slice(3).sort(), ['a', 'c'])
})

test('10,000 instances with two links are spread evenly over 20 brokers', () => {
  const list = brokersIn(['a', 'b'], 10)
  const counts = new Map<string, number>()
  for (const instance of INSTANCES) {
    for (const uri of urisFor(instance, list, 2)) counts.set(uri, (counts.get(uri) ?? 0) + 1)
  }
  assert.equal(counts.size, 20)
  for (const [uri, count] of counts) {
    assert.ok(count > 850 && count < 1150, `${uri} has ${count} of 1000`)
  }
})

test('a broker that goes moves only the links that were its own', () => {
  const list = brokersIn(['a', 'b'], 5)
  const gone = list[3]?.uri
  const rest = list.filter(({ uri }) => uri !== gone)
  for (const instance of INSTANCES.slice(0, 500)) {
    const before = urisFor(instance, list, 2)
    const after = urisFor(instance, rest, 2)
    for (const uri of before) if (uri !== gone) assert.ok(after.includes(uri))
  }
})

test('fewer brokers than links give fewer links, and none gives none', () => {
  const [only] = brokersIn(['a'], 1)
  assert.ok(only)
  assert.deepEqual(pickBrokers('x', [only, only], 2), [only])
  assert.deepEqual(pickBrokers('x', [], 2), [])
})

test('a slot keeps its broker while it is picked, and only free slots get new ones', () => {
  const place = (uri: string) => ({ uri, zone: '' })
  assert.deepEqual(placeLinks([], [place('a'), place('b')]), ['a', 'b'])
  assert.deepEqual(placeLinks(['a', 'b'], [place('b'), place('a')]), ['a', 'b'])
  assert.deepEqual(placeLinks(['a', 'b'], [place('c'), place('b')]), ['c', 'b'])
  assert.deepEqual(placeLinks(['a', 'b'], [place('b')]), [undefined, 'b'])
  assert.deepEqual(placeLinks([undefined, 'b'], [place('b'), place('d')]), ['d', 'b'])
})
