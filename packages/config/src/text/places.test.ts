import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { childPath, findPlace, itemPath, LineIndex, offsetOf, pathSegments } from './places.ts'
import { readYaml } from './read-yaml.ts'

const SEED = 20_261_121

test('a path can be taken apart into the keys and indexes it was made of', () => {
  const segment = fc.oneof(fc.string(), fc.constantFrom('a', 'x-y', 'a.b/c', '0', '"'), fc.nat(99))
  fc.assert(
    fc.property(fc.array(segment, { maxLength: 8 }), (segments) => {
      const path = segments.reduce<string>(
        (before, one) => (typeof one === 'number' ? itemPath(before, one) : childPath(before, one)),
        '',
      )
      assert.deepEqual(pathSegments(path), segments.map(String))
    }),
    { seed: SEED },
  )
})

test('lines and columns are found for every offset', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom('a', 'bc', '\n', '\r\n', '')), (parts) => {
      const text = parts.join('')
      const index = new LineIndex(text)
      for (let offset = 0; offset <= text.length; offset++) {
        const before = text.slice(0, offset).split('\n')
        const expected = { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 }
        assert.deepEqual(index.positionOf(offset), expected)
      }
    }),
    { seed: SEED },
  )
})

test('a scalar is found at its value, a map or list at its key, a missing field at its parent', () => {
  const text = 'spec:\n  http:\n  - route:\n    - weight:   90\n    name: a\n'
  const lines = new LineIndex(text)
  const place = readYaml(text).documents[0]?.place ?? { at: -1 }
  const at = (path: string) => lines.positionOf(offsetOf(findPlace(place, path).place))
  assert.deepEqual(at('spec.http[0].route[0].weight'), { line: 4, column: 17 })
  assert.deepEqual(at('spec.http[0].route'), { line: 3, column: 5 })
  assert.deepEqual(at('spec.http[0]'), { line: 3, column: 5 })
  assert.deepEqual(at('spec.http'), { line: 2, column: 3 })
  assert.deepEqual(at('spec.http[0].timeout'), { line: 3, column: 5 })
  assert.deepEqual(at('spec.tcp[3].x'), { line: 1, column: 1 })
})
