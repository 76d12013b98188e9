import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Dependencies } from './dependencies.ts'

test('a missing name is waited for, and given up on once', () => {
  const dependencies = new Dependencies(100)
  assert.equal(dependencies.waitUntilMs(new Set(['a']), 0), 100)
  assert.equal(dependencies.waitUntilMs(new Set(['a']), 60), 100)
  assert.equal(dependencies.waitUntilMs(new Set(['a']), 100), undefined)
  assert.equal(dependencies.waitUntilMs(new Set(['a', 'b']), 110), 210, 'only b is new')
})

test('what is said not to exist is not waited for', () => {
  const dependencies = new Dependencies(100)
  dependencies.markAbsent('a')
  assert.equal(dependencies.waitUntilMs(new Set(['a']), 0), undefined)
})

test('a name that came and went is waited for anew', () => {
  const dependencies = new Dependencies(100)
  dependencies.waitUntilMs(new Set(['a']), 0)
  dependencies.waitUntilMs(new Set(), 50)
  assert.equal(dependencies.waitUntilMs(new Set(['a']), 60), 160)
})
