import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connectionsWithin } from './idle.ts'

test('trap 21: ten thousand connections are measured where so many files may be open, else as many as may', () => {
  assert.equal(connectionsWithin(10_000, 65_536), 10_000)
  assert.equal(connectionsWithin(10_000, 1_024), 524)
  assert.equal(connectionsWithin(10_000, 256), 0)
})
