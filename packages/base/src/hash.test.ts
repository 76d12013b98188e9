import assert from 'node:assert/strict'
import { test } from 'node:test'
import { contentHash, fnv1a } from './hash.ts'

test('fnv1a() gives the published 32-bit values', () => {
  assert.deepEqual(['', 'a', 'foobar'].map(fnv1a), [0x811c9dc5, 0xe40c292c, 0xbf9cf968])
})

test('contentHash() is the same for a text and its bytes, and 16 digits long', () => {
  assert.equal(contentHash('abc'), 'ba7816bf8f01cfea')
  assert.equal(contentHash(new TextEncoder().encode('abc')), contentHash('abc'))
})
