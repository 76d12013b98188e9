import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from './seeded-random.ts'

test('a seed gives the same numbers again, another seed others', () => {
  const take = (seed: number) => Array.from({ length: 5 }, seededRandom(seed))
  assert.deepEqual(take(7), take(7))
  assert.notDeepEqual(take(7), take(8))
})

test('numbers are spread evenly over [0, 1)', () => {
  const random = seededRandom(1)
  const counts = new Array<number>(10).fill(0)
  for (let i = 0; i < 10_000; i++) {
    const bucket = Math.floor(random() * 10)
    counts[bucket] = (counts[bucket] ?? 0) + 1
  }
  assert.equal(counts.length, 10)
  for (const count of counts) assert.ok(count > 900 && count < 1_100, String(counts))
})
