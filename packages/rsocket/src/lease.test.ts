import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeClock } from '@weft/testkit'
import type { Lease } from '@weft/wire'
import { Capacity, LeaseAccount, Lessor, type Tenant } from './lease.ts'

const OPTIONS = { initial: 100, min: 2, max: 400, highLagMs: 40 }

test('capacity falls with the lateness of the event loop, and comes back when it is on time', () => {
  const capacity = new Capacity(OPTIONS)
  capacity.look(80, true)
  assert.equal(capacity.requests, 50, 'twice as late as is good: half')
  capacity.look(10_000, true)
  assert.equal(capacity.requests, 10, 'never more than four fifths at once')
  for (let i = 0; i < 20; i++) capacity.look(10_000, true)
  assert.equal(capacity.requests, OPTIONS.min)
  capacity.look(30, true)
  assert.equal(capacity.requests, OPTIONS.min, 'nearly late: as it is')
  for (let i = 0; i < 6; i++) capacity.look(0, false)
  assert.equal(capacity.requests, 100, 'idle: what it began with')
  for (let i = 0; i < 40; i++) capacity.look(0, true)
  assert.equal(capacity.requests, OPTIONS.max, 'used and on time: more, up to the bound')
})

function lessor(tenantCount: number) {
  const clock = new FakeClock()
  const state = { lagMs: 0, serving: 0 }
  const turns: (() => void)[] = []
  const granted: Lease[][] = []
  const tenants: Tenant[] = Array.from({ length: tenantCount }, (_, at) => {
    granted.push([])
    return {
      account: new LeaseAccount(),
      isThere: true,
      lease: (lease) => void granted[at]?.push(lease),
    }
  })
  const made = new Lessor(OPTIONS, {
    clock,
    meter: { takeMs: () => state.lagMs, close() {} },
    schedule: (fire) => void turns.push(fire),
    tenants: () => tenants,
    serving: () => state.serving,
  })
  for (const tenant of tenants) made.open(tenant)
  const turn = () => turns.splice(0).forEach((fire) => void fire())
  return { lessor: made, clock, state, tenants, granted, turn }
}

test('brokers share what is free; a lease is renewed at half, once per turn', () => {
  const { lessor: made, state, tenants, granted, turn } = lessor(2)
  assert.deepEqual(
    granted.map((leases) => leases[0]?.requests),
    [50, 50],
  )
  const [first] = tenants
  assert.ok(first)
  for (let i = 0; i < 40; i++) {
    state.serving++
    assert.equal(made.admit(first), true)
  }
  turn()
  assert.deepEqual(
    granted[0]?.map(({ requests }) => requests),
    [50, 30],
    '60 are free',
  )
  assert.equal(granted[1]?.length, 1)
})

test('what was not leased is refused', () => {
  const { lessor: made, state, tenants } = lessor(1)
  const [only] = tenants
  assert.ok(only)
  for (let i = 0; i < 100; i++) {
    state.serving++
    assert.equal(made.admit(only), true)
  }
  assert.equal(made.admit(only), false)
})

test('who is late leases less at the next look; who stops leases nothing', () => {
  const { lessor: made, clock, state, granted } = lessor(1)
  state.lagMs = 200
  clock.advance(250)
  assert.equal(granted[0]?.at(-1)?.requests, 20)
  state.lagMs = 0
  const before = granted[0]?.length ?? 0
  clock.advance(2_000)
  assert.ok((granted[0]?.at(-1)?.requests ?? 0) > 20)
  assert.ok((granted[0]?.length ?? 0) > before)
  made.stop()
  assert.deepEqual(granted[0]?.at(-1), { requests: 0, ttlMs: 0 })
  assert.equal(clock.pending, 0)
})

test('an idle process says little: a renewal each two seconds', () => {
  const { clock, granted } = lessor(1)
  clock.advance(60_000)
  assert.ok((granted[0]?.length ?? 0) <= 31, `${granted[0]?.length} leases in a minute`)
})
