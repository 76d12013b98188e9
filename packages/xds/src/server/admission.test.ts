import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Admission } from './admission.ts'

test('places are handed on in the order in which they were asked for', () => {
  const admission = new Admission<string>(1, 2)
  assert.equal(admission.ask('a'), 'admitted')
  assert.equal(admission.ask('b'), 'waiting')
  assert.equal(admission.ask('c'), 'waiting')
  assert.equal(admission.ask('d'), 'refused')
  assert.equal(admission.release('b'), undefined, 'who waits gives nothing back but its turn')
  assert.equal(admission.release('a'), 'c')
  assert.equal(admission.release('a'), undefined, 'only once')
  assert.equal(admission.release('c'), undefined)
  assert.equal(admission.ask('e'), 'admitted')
})
