import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { hostsOverlap, isHostWithin, wildcardDomainProblem } from './names.ts'

const SEED = 20_261_121

test('hosts overlap in both directions alike, and what is within overlaps', () => {
  const host = fc
    .tuple(
      fc.constantFrom('', '*', '*.', '*-'),
      fc.constantFrom('com', 'a.com', 'b.com', 'x.a.com'),
    )
    .map(([star, rest]) => star + rest)
  fc.assert(
    fc.property(host, host, (a, b) => {
      assert.equal(hostsOverlap(a, b), hostsOverlap(b, a))
      if (isHostWithin(a, b)) assert.ok(hostsOverlap(a, b))
      assert.ok(isHostWithin(a, a))
      assert.ok(isHostWithin(a, '*'))
    }),
    { seed: SEED },
  )
})

test('`*.a.com` means hosts below a.com, not a.com', () => {
  assert.ok(hostsOverlap('*.a.com', 'x.a.com'))
  assert.ok(!hostsOverlap('*.a.com', 'a.com'))
  assert.ok(hostsOverlap('*.a.com', '*.x.a.com'))
  assert.ok(!isHostWithin('*.a.com', '*.x.a.com'))
})

test('long names are judged in bounded time', () => {
  for (const text of ['a'.repeat(1e6), 'a.'.repeat(5e5), `${'a-'.repeat(5e5)}!`]) {
    assert.notEqual(wildcardDomainProblem(text), undefined)
  }
})
