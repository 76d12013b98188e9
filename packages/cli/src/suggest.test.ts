import assert from 'node:assert/strict'
import { test } from 'node:test'
import { editDistance, nearest } from './suggest.ts'

test('counts a swap of neighbours as one edit', () => {
  assert.equal(editDistance('verison', 'version'), 1)
  assert.equal(editDistance('', 'abc'), 3)
  assert.equal(editDistance('kitten', 'sitting'), 3)
})

test('finds the nearest word, the beginning of a word, and nothing when all are far', () => {
  assert.equal(nearest('aply', ['apply', 'delete']), 'apply')
  assert.equal(nearest('comp', ['completion', 'control']), 'completion')
  assert.equal(nearest('xyzzy', ['apply', 'delete']), undefined)
})
