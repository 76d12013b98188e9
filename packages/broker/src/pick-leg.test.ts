import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '@weft/testkit'
import type { Leg } from './leg.ts'
import { pickLeg } from './pick-leg.ts'

/** What picking looks at. */
function leg(more: Partial<Leg> = {}): Leg {
  const facts = { setup: { lease: false }, instance: { weight: 1 } }
  const plain = { isOpen: true, draining: false, isServing: true, isFull: false, farness: 1 }
  return { ...plain, activeRequests: 0, latencyMs: 0, facts, ...more } as unknown as Leg
}

const weighing = (weight: number) =>
  leg({ facts: { setup: { lease: false }, instance: { weight } } as Leg['facts'] })

function shares(legs: readonly Leg[], picks = 2_000): readonly number[] {
  const random = seededRandom(7)
  const counts = new Map<Leg | undefined, number>()
  for (let i = 0; i < picks; i++) {
    const picked = pickLeg(legs, [], { random, nowMs: () => 0 })
    counts.set(picked, (counts.get(picked) ?? 0) + 1)
  }
  return legs.map((each) => (counts.get(each) ?? 0) / picks)
}

test('who is near is asked as long as it has no more to do than twice the others', () => {
  const far = Array.from({ length: 9 }, () => leg({ farness: 2 }))
  const [near = 0, ...others] = shares([leg(), ...far])
  assert.equal(near, 1)
  assert.deepEqual(new Set(others), new Set([0]))
  const [light = 0, heavy = 0] = shares([leg(), weighing(3), leg({ farness: 2 })])
  assert.ok(light < 0.5 && heavy > 0.5, 'weights count among the near')
})

test('with more load near, those behind another broker are asked, too', () => {
  assert.deepEqual(shares([leg({ activeRequests: 1 }), leg({ farness: 2 })]), [1, 0])
  // Mostly two at random are looked at, and both may be the near one.
  const [busy = 1] = shares([leg({ activeRequests: 2 }), leg({ farness: 2 })])
  assert.ok(busy < 0.35, `${busy} near`)
})

test('among the far ones the other zone comes last, and a broker that leaves only when all else is gone', () => {
  const leaving = leg({ farness: 1_000 })
  const [same = 0, other = 0, last = 0] = shares([
    leg({ farness: 2 }),
    leg({ farness: 4 }),
    leaving,
  ])
  assert.equal(same, 1)
  assert.equal(other + last, 0)
  assert.deepEqual(shares([leaving, leg({ isOpen: false })]), [1, 0])
})

test('an answer of a far one that was never asked is taken to be as quick as that of the near one', () => {
  const [near = 0] = shares([leg({ latencyMs: 50 }), leg({ farness: 2 })])
  assert.equal(near, 1)
})
