/** A broker at the edge, and the one that it is a client of. */
import assert from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import { realClock, silentLogger } from '@weft/base'
import { createNodeTransport } from '@weft/net'
import { eventually } from '@weft/testkit'
import { echo, type Fixture, openBroker, routed } from '../broker-fixture.ts'
import { isExportedHost, Upstream } from './upstream.ts'

const open: (() => void)[] = []
afterEach(() => {
  for (const close of open.splice(0).reverse()) close()
})

async function edgeAndUpstream(): Promise<{ edge: Fixture; central: Fixture; upstream: Upstream }> {
  const transport = createNodeTransport()
  const central = await openBroker({ id: 'central' }, { transport })
  const upstream = new Upstream(
    { id: 'e1', target: { kind: 'tcp', address: central.address } },
    { clock: realClock, log: silentLogger, random: Math.random },
  )
  const edge = await openBroker(
    { id: 'e1' },
    { transport, fallback: (leg, call) => upstream.fallback(leg, call) },
  )
  upstream.open(edge.broker)
  open.push(
    () => central.broker.close(),
    () => edge.broker.close(),
    () => upstream.close(),
  )
  await eventually(() => assert.equal(upstream.status.link, 'up'))
  return { edge, central, upstream }
}

test('what nobody has at the edge is asked at the upstream, in all interactions', async () => {
  const { edge, central } = await edgeAndUpstream()
  const told: string[] = []
  const responder = await central.dial({ services: ['c.Central'] })
  responder.answer = (stream, payload) => {
    if (stream.interaction === 'fnf') told.push(String(payload.data))
    else echo(300)(stream, payload)
  }
  const caller = await edge.dial()
  assert.deepEqual(await caller.ask('rr', routed('c.Central.x', 'y')), ['y'])
  assert.equal((await caller.ask('stream', routed('c.Central.x', 'y'))).length, 300)
  void caller.ask('fnf', routed('c.Central.x', 'heard'))
  await eventually(() => assert.deepEqual(told, ['heard']))
})

test('what is labelled for export can be called from the upstream, and nothing else', async () => {
  const { edge, central, upstream } = await edgeAndUpstream()
  const labels = { 'weft.io/export': 'global' }
  const shared = await edge.dial({ services: ['e.Shared'], labels })
  const own = await edge.dial({ services: ['e.Own'] })
  shared.answer = echo()
  own.answer = echo()
  await eventually(() => assert.deepEqual(upstream.status.exported, ['e.Shared']))
  const caller = await central.dial()
  await eventually(async () =>
    assert.deepEqual(await caller.ask('rr', routed('e.Shared.x', 'y')), ['y']),
  )
  const [refused = ''] = await caller.ask('rr', routed('e.Own.x', 'y'))
  assert.match(refused, /^#202 WEFT-404/)
  shared.close()
  await eventually(() => assert.equal(central.broker.registry.find('e.Shared').length, 0))
})

test('what nobody has anywhere is refused once, and goes round in no circle', async () => {
  const { edge } = await edgeAndUpstream()
  const caller = await edge.dial()
  const [refused = ''] = await caller.ask('rr', routed('no.Body.x', ''))
  assert.match(refused, /^#202 WEFT-404/)
  await eventually(() => assert.equal(edge.broker.openStreams, 0))
})

test('the upstream is away: the edge serves its own, and asks again when it is back', async () => {
  const { edge, central, upstream } = await edgeAndUpstream()
  const own = await edge.dial({ services: ['e.Own'] })
  own.answer = echo()
  central.broker.close()
  await eventually(() => assert.equal(upstream.status.link, 'down'))
  const caller = await edge.dial()
  assert.deepEqual(await caller.ask('rr', routed('e.Own.x', 'y')), ['y'])
  const [refused = ''] = await caller.ask('rr', routed('c.Central.x', 'y'))
  assert.match(refused, /^#202 WEFT-404/)
})

test('a host of another namespace is another service, exported or not', () => {
  const services = [{ group: '', service: 'reviews', version: '' }]
  const exporting = [{ namespace: 'shop', services }]
  for (const host of [
    'reviews',
    'reviews:9080',
    'reviews.shop',
    'reviews.shop.svc.cluster.local:80',
  ]) {
    assert.equal(isExportedHost(host, exporting), true, host)
  }
  for (const host of ['ratings', 'reviews.bank', 'reviews.bank.svc.cluster.local', '']) {
    assert.equal(isExportedHost(host, exporting), false, host)
  }
})
