import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cannotBind } from './cannot-bind.ts'

const TAKEN = "cannot bind '0.0.0.0:80': Address already in use"

test('is found in the words of Envoy, of ours, and among others', () => {
  assert.equal(
    cannotBind('0.0.0.0_80', `Error adding/updating listener(s) 0.0.0.0_80: ${TAKEN}\n`),
    TAKEN,
  )
  assert.equal(cannotBind('0.0.0.0_80', `a: no such filter\n0.0.0.0_80: ${TAKEN}`), TAKEN)
  assert.equal(cannotBind('a', `a: no such filter\n0.0.0.0_80: ${TAKEN}`), undefined)
})

test('is of the listener that is named, whole', () => {
  assert.equal(cannotBind('80', `0.0.0.0_80: ${TAKEN}`), undefined)
  assert.equal(cannotBind('b', `a: ${TAKEN}`), undefined)
})
