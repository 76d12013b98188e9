import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeClock, seededRandom } from '@weft/testkit'
import { FakeBroker, fakeLink, settled } from './link/link-fixture.ts'
import { LinkSet, type ManagedLink } from './link-set.ts'

function linkSet(names: readonly string[], links: number) {
  const clock = new FakeClock()
  const random = seededRandom(7)
  const brokers = new Map<string, FakeBroker>()
  /** Links that there were when one was made. */
  const atOnce: number[] = []
  const brokerOf = (uri: string) => {
    const broker = brokers.get(uri) ?? new FakeBroker()
    brokers.set(uri, broker)
    return broker
  }
  const set = new LinkSet(
    { instance: 'i', links, brokers: names.map((uri) => ({ uri, zone: '' })) },
    {
      clock,
      random,
      make(uri, slot) {
        const others = [...set.all]
        assert.ok(!others.some((each) => each.slot === slot), `slot ${slot} is taken`)
        atOnce.push(others.length + 1)
        const { link } = fakeLink(
          brokerOf(uri),
          { broker: uri },
          {
            ...{ clock, random },
            onState: () => set.onState(managed),
            onFailed: () => set.onState(managed),
          },
        )
        const managed: ManagedLink = { link, uri, slot, retiring: false }
        return managed
      },
    },
  )
  const up = () =>
    [...set.all]
      .filter(({ link }) => link.peer !== undefined)
      .map(({ uri }) => uri)
      .sort()
  const pass = async (ms: number) => {
    for (let left = ms; left > 0; left -= 50) {
      clock.advance(Math.min(50, left))
      await settled()
    }
  }
  return { set, clock, brokerOf, up, pass, atOnce }
}

test('so many links to as many brokers; the same ones each time', async () => {
  const [one, other] = [linkSet(['a', 'b', 'c', 'd'], 2), linkSet(['d', 'c', 'b', 'a'], 2)]
  for (const { set } of [one, other]) set.open()
  await settled()
  assert.equal(one.up().length, 2)
  assert.deepEqual(one.up(), other.up())
  const few = linkSet(['a'], 2)
  few.set.open()
  await settled()
  assert.deepEqual(few.up(), ['a'], 'one broker: one link')
})

test('a broker that cannot be reached is replaced, and comes back when it is there again', async () => {
  const { set, brokerOf, up, pass } = linkSet(['a', 'b', 'c'], 1)
  set.open()
  await settled()
  const [first = ''] = up()
  brokerOf(first).isThere = false
  brokerOf(first).ends[0]?.cut()
  await settled()
  assert.deepEqual(up(), [])
  await pass(2_000)
  assert.equal(up().length, 1)
  assert.notEqual(up()[0], first)
  const { dials } = brokerOf(first)
  await pass(20_000)
  assert.equal(brokerOf(first).dials, dials, 'left alone for a while')
  brokerOf(first).isThere = true
  await pass(60_000)
  assert.deepEqual(up(), [first], 'and the one in its place goes')
})

test('a broker that goes: its link stays until another one is up, and until its streams are over', async () => {
  const { set, brokerOf, up, pass } = linkSet(['a', 'b', 'c'], 1)
  set.open()
  await settled()
  const [leaving] = [...set.all]
  assert.ok(leaving)
  brokerOf(leaving.uri).answers = true
  for (const name of ['a', 'b', 'c']) if (name !== leaving.uri) brokerOf(name).answers = false
  leaving.link.leaving = true
  set.leave(leaving, 60_000, [])
  await pass(4_000)
  assert.deepEqual(up(), [leaving.uri], 'nobody else has let it in yet')
  for (const name of ['a', 'b', 'c']) brokerOf(name).answers = true
  const held = { state: true }
  const answer = brokerOf(leaving.uri).onRequest
  brokerOf(leaving.uri).onRequest = (stream, payload) => {
    if (payload.data.length === 0) answer(stream, payload)
  }
  leaving.link.peer?.request(
    'rr',
    { data: Uint8Array.of(1) },
    {
      ...{ onItem() {}, onComplete() {}, onRequestN() {}, onCancel() {} },
      onError: () => {
        held.state = false
      },
    },
  )
  await pass(10_000)
  assert.equal(up().length, 2, 'the old link still has a stream')
  assert.equal(set.pick([])?.uri === leaving.uri, false, 'what is new goes elsewhere')
  assert.equal(held.state, true)
  await pass(40_000)
  assert.equal(up().length, 1)
  assert.notEqual(up()[0], leaving.uri)
})

test('a new list is acted on within two seconds, at random, and slots are never shared', async () => {
  const { set, up, pass, atOnce } = linkSet(['a', 'b'], 2)
  set.open()
  await settled()
  set.learn([])
  await pass(3_000)
  assert.deepEqual(up(), ['a', 'b'], 'an empty list is none')
  set.learn(['c', 'd'].map((uri) => ({ uri, zone: '' })))
  await pass(2_100)
  assert.ok(Math.max(...atOnce) > 2, 'the new links came before the old ones went')
  await pass(1_000)
  assert.deepEqual(up(), ['c', 'd'])
})

test('a list of brokers that cannot be reached from here: the first ones are asked again', async () => {
  const { set, brokerOf, up, pass } = linkSet(['a', 'b'], 2)
  set.open()
  await settled()
  for (const name of ['far1', 'far2']) brokerOf(name).isThere = false
  set.learn(['far1', 'far2'].map((uri) => ({ uri, zone: '' })))
  await pass(5_000)
  assert.deepEqual(up(), ['a', 'b'], 'links that are up stay until others are')
  for (const name of ['a', 'b']) brokerOf(name).ends[0]?.cut()
  await pass(5_000)
  assert.deepEqual(up(), ['a', 'b'])
  for (const name of ['far1', 'far2']) brokerOf(name).isThere = true
  await pass(80_000)
  assert.deepEqual(up(), ['far1', 'far2'])
})

test('nothing is left when it closes', async () => {
  const { set, clock, brokerOf, pass } = linkSet(['a', 'b', 'c'], 2)
  brokerOf('a').isThere = false
  set.open()
  await pass(3_000)
  let woken = 0
  set.whenBetter(() => woken++)
  set.close()
  await settled()
  assert.equal(woken, 1)
  const dials = ['a', 'b', 'c'].map((name) => brokerOf(name).dials)
  clock.advance(100_000)
  await settled()
  assert.deepEqual(
    ['a', 'b', 'c'].map((name) => brokerOf(name).dials),
    dials,
  )
})
