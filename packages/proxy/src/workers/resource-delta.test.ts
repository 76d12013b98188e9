import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deserialize, serialize } from 'node:v8'
import type { ResourceSet } from '@weft/model'
import { RESOURCE_TYPES, type ResourceUpdate } from '@weft/xds'
import fc from 'fast-check'
import { applyDelta, type ResourceDelta, resourceDelta } from './resource-delta.ts'

const sent = (delta: ResourceDelta) => deserialize(serialize(delta)) as ResourceDelta

/** Contents stand for resources; the same content of one name is the same object. */
function updates(sets: readonly Readonly<Record<string, number>>[]): ResourceUpdate[] {
  const made = new Map<string, object>()
  return sets.map((contents) => {
    const entries = RESOURCE_TYPES.map((type) => {
      const map = new Map(
        Object.entries(contents).map(([name, content]) => {
          const key = `${type}/${name}/${content}`
          const resource = made.get(key) ?? { type, name, content }
          made.set(key, resource)
          return [name, resource] as const
        }),
      )
      return [type, map] as const
    })
    const versions = entries.map(
      ([type, map]) => [type, new Map([...map.keys()].map((n) => [n, `v${contents[n]}`]))] as const,
    )
    return {
      set: Object.fromEntries(entries) as unknown as ResourceSet,
      versions: Object.fromEntries(versions) as unknown as ResourceUpdate['versions'],
      source: 'control',
    }
  })
}

test('whatever follows whatever, the other side holds the same set', () => {
  const contents = fc.dictionary(
    fc.constantFrom('a', 'b', 'c', 'd'),
    fc.integer({ min: 0, max: 2 }),
    { noNullPrototype: true },
  )
  fc.assert(
    fc.property(fc.array(contents, { minLength: 1, maxLength: 6 }), (sets) => {
      let before: ResourceUpdate | undefined
      let there: ResourceUpdate | undefined
      for (const update of updates(sets)) {
        there = applyDelta(there, sent(resourceDelta(before, update)))
        before = update
        for (const type of RESOURCE_TYPES) {
          const sorted = (map: ReadonlyMap<string, unknown>) =>
            [...map].sort(([a], [b]) => a.localeCompare(b))
          assert.deepEqual(sorted(there.set[type]), sorted(update.set[type]))
          assert.deepEqual(sorted(there.versions[type]), sorted(update.versions[type]))
        }
      }
    }),
  )
})

test('what did not change stays the same object on the other side', () => {
  const [first, second] = updates([
    { a: 1, b: 1 },
    { a: 1, b: 2 },
  ])
  assert.ok(first && second)
  const one = applyDelta(undefined, sent(resourceDelta(undefined, first)))
  const two = applyDelta(one, sent(resourceDelta(first, second)))
  assert.equal(two.set.cluster.get('a'), one.set.cluster.get('a'))
  assert.notEqual(two.set.cluster.get('b'), one.set.cluster.get('b'))
})

test('a set that did not change costs nothing', () => {
  const [first] = updates([{ a: 1 }])
  assert.ok(first)
  assert.deepEqual(resourceDelta(first, first).types, [])
})
