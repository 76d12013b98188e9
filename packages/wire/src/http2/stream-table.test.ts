import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { StreamTable } from './stream-table.ts'

test('whatever comes and goes, the table holds what a Map holds', () => {
  // Few numbers, so that many are there already; some are far apart.
  const id = fc.oneof(
    fc.integer({ min: 0, max: 40 }).map((n) => 2 * n + 1),
    fc.integer({ min: 0, max: 40 }).map((n) => 65_536 * n + 1),
    fc.constantFrom(0x7fff_fffd, 0x7fff_ffff),
  )
  const property = fc.property(fc.array(id, { maxLength: 400 }), (ids) => {
    const table = new StreamTable<{ readonly id: number }>()
    const map = new Map<number, { readonly id: number }>()
    for (const id of ids) {
      assert.equal(table.get(id), map.get(id))
      // What is there goes, what is not comes.
      const there = map.delete(id)
      assert.equal(table.delete(id), there)
      if (!there) {
        const stream = { id }
        map.set(id, stream)
        table.add(stream)
      }
      assert.equal(table.size, map.size)
    }
    const all = [...map.values()].sort((a, b) => a.id - b.id)
    assert.deepEqual(table.values(), all)
    for (const stream of all) assert.equal(table.get(stream.id), stream)
  })
  fc.assert(property, { numRuns: 500, seed: 7 })
})

test('streams that open and close in order need no more room, however many come', () => {
  const table = new StreamTable<{ readonly id: number }>()
  for (let n = 0; n < 100_000; n++) {
    table.add({ id: 2 * n + 1 })
    if (n >= 100) assert.ok(table.delete(2 * (n - 100) + 1))
  }
  assert.equal(table.size, 100)
  assert.equal(table.get(1), undefined)
  assert.equal(table.values()[0]?.id, 199_801)
})
