import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { effectOf, type Observation } from './measure.ts'

const at = (startedAtMs: number, isRight: boolean): Observation => ({
  startedAtMs,
  isRight,
  seen: isRight ? 'new' : 'old',
})

describe('effectOf()', () => {
  test('a change took until the probe after the last wrong one', () => {
    const effect = effectOf([at(100, false), at(110, true), at(120, false), at(130, true)], 100)
    assert.deepEqual(effect, { tookMs: 30, seen: 'new', held: 1 })
  })

  test('a change that holds from the first probe on took no time', () => {
    assert.equal(effectOf([at(100, true), at(110, true)], 100).tookMs, 0)
  })

  test('a change that does not hold at the end never took effect', () => {
    const effect = effectOf([at(100, true), at(110, false)], 100)
    assert.deepEqual(effect, { tookMs: undefined, seen: 'old', held: 0 })
  })
})
