import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  giveWriteMemory,
  giveWriteMemoryLater,
  takeWriteMemory,
  writeIsOver,
} from './write-memory.ts'

const LARGE = 100_000

test('memory that was given back is taken again', () => {
  const memory = takeWriteMemory(LARGE)
  assert.ok(memory.length >= LARGE)
  giveWriteMemory(memory)
  assert.equal(takeWriteMemory(LARGE), memory)
})

test('memory of a pending write comes back when the write is over, and only once', () => {
  const memory = takeWriteMemory(LARGE)
  giveWriteMemoryLater(memory)
  const other = takeWriteMemory(LARGE)
  assert.notEqual(other, memory)
  writeIsOver(memory.subarray(10, 20))
  writeIsOver(memory.subarray(10, 20))
  assert.equal(takeWriteMemory(LARGE), memory)
  assert.notEqual(takeWriteMemory(LARGE), memory)
})

test('little and very much memory is not pooled', () => {
  for (const bytes of [1, 16_384, 1_000_000]) {
    const memory = takeWriteMemory(bytes)
    assert.equal(memory.length, bytes)
    giveWriteMemory(memory)
    assert.notEqual(takeWriteMemory(bytes), memory)
  }
})
