import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cutHeaviest } from './heaviest.ts'

function holdings(...bytes: number[]) {
  const cuts: number[] = []
  return { cuts, all: bytes.map((one) => ({ bytes: one, cut: () => void cuts.push(one) })) }
}

test('those that hold most go first, until a fourth of it is gone', () => {
  const { all, cuts } = holdings(100_000, 400_000, 200_000, 300_000)
  assert.equal(cutHeaviest(all, false), 1)
  assert.deepEqual(cuts, [400_000])
})

test('when it is urgent, half of it', () => {
  const { all, cuts } = holdings(100_000, 400_000, 200_000, 300_000)
  assert.equal(cutHeaviest(all, true), 2)
  assert.deepEqual(cuts, [400_000, 300_000])
})

test('who holds little is never cut', () => {
  const { all, cuts } = holdings(16_383, 1, 0)
  assert.equal(cutHeaviest(all, true), 0)
  assert.deepEqual(cuts, [])
})

test('not more than fifty at a time', () => {
  const { all } = holdings(...Array.from({ length: 1_000 }, () => 100_000))
  assert.equal(cutHeaviest(all, false), 50)
})
