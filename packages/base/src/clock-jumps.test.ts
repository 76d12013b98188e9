import assert from 'node:assert/strict'
import { test } from 'node:test'
import { watchClockJumps } from './clock-jumps.ts'
import { type Clock, LogScopes } from './index.ts'

function fixture() {
  let wallMs = 1_700_000_000_000
  let monotonicMs = 0
  let next: (() => void) | undefined
  const clock: Clock = {
    nowMs: () => wallMs,
    monotonicMs: () => monotonicMs,
    after(_delayMs, fire) {
      next = fire
      return () => {
        next = undefined
      }
    },
  }
  const lines: string[] = []
  const logs = new LogScopes((line) => void lines.push(line), clock.nowMs)
  const stop = watchClockJumps(clock, logs.logger('clock'))
  /** The machine lived so long, and its clock says that it was so long. */
  const pass = (livedMs: number, saidMs = livedMs) => {
    monotonicMs += livedMs
    wallMs += saidMs
    next?.()
  }
  return { lines, stop, pass, isWatched: () => next !== undefined }
}

test('F27 a clock that jumps an hour is told of once, either way', () => {
  const { lines, pass } = fixture()
  pass(1_000)
  assert.equal(lines.length, 0)
  pass(1_000, 3_601_000)
  pass(1_000)
  assert.equal(lines.length, 1)
  assert.match(lines[0] ?? '', /clock of this machine was set.*3600000/)
  pass(1_000, -3_599_000)
  assert.match(lines[1] ?? '', /-3600000/)
})

test('a machine that stood still, and small corrections, are no jump', () => {
  const { lines, pass } = fixture()
  pass(600_000)
  pass(1_000, 1_900)
  pass(1_000, 200)
  assert.deepEqual(lines, [])
})

test('stops', () => {
  const { stop, isWatched } = fixture()
  stop()
  assert.equal(isWatched(), false)
})
