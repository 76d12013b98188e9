import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLogger } from '@weft/base'
import { FakeClock } from '@weft/testkit'
import type { Leg } from '../leg.ts'
import { WorkloadFeeds } from './workload-feeds.ts'

function legOf(principal: string, labels: Readonly<Record<string, string>>): Leg {
  const instance = { app: 'cart', namespace: 'shop', zone: '', labels, services: [] }
  const facts = { instance, identity: { principal, claims: undefined }, features: new Set() }
  return { facts, isServing: true } as unknown as Leg
}

test('one identity cannot make sidecars without end by saying other labels each time', () => {
  const clock = new FakeClock()
  let opened = 0
  const feeds = new WorkloadFeeds(
    { cluster: 'c', graceMs: 1_000 },
    {
      ...{ clock, log: silentLogger, onGone() {} },
      openSidecar() {
        opened++
        return new Promise(() => {})
      },
    },
  )
  const eve = 'spiffe://m/ns/shop/sa/eve'
  const legs = Array.from({ length: 300 }, (_, i) => legOf(eve, { n: String(i) }))
  for (const leg of legs) feeds.add(leg)
  const known = legs.filter((leg) => feeds.kindOf(leg) !== undefined)
  assert.equal(known.length, 256)
  const again = legOf(eve, { n: '0' })
  feeds.add(again)
  assert.ok(feeds.kindOf(again) !== undefined, 'a kind that is there takes more instances')
  const other = legOf('spiffe://m/ns/shop/sa/cart', { n: '300' })
  feeds.add(other)
  assert.ok(feeds.kindOf(other) !== undefined, 'others are not concerned')
  for (const leg of legs) feeds.remove(leg)
  clock.advance(2_000)
  const late = legOf(eve, { n: 'late' })
  feeds.add(late)
  assert.ok(feeds.kindOf(late) !== undefined, 'kinds that are gone count no more')
  assert.ok(opened <= 258)
})
