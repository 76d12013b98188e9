import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventually } from './eventually.ts'

test('repeats until the check passes and returns what it found', async () => {
  let calls = 0
  const found = await eventually(() => {
    calls++
    assert.ok(calls >= 3)
    return 'there'
  })
  assert.deepEqual([found, calls], ['there', 3])
})

test('gives up with the last failure', async () => {
  let calls = 0
  const failing = eventually(() => assert.fail(`call ${++calls}`), 0)
  await assert.rejects(failing, /call \d+/)
  assert.ok(calls >= 1)
})
