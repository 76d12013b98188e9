import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type CheckOutcome, HealthState } from './health-state.ts'

const POLICY = { healthyThreshold: 2, unhealthyThreshold: 3 }

function play(healthy: boolean, ...outcomes: CheckOutcome[]): boolean[] {
  const state = new HealthState(healthy)
  return outcomes.map((outcome) => {
    state.note(outcome, POLICY)
    return state.healthy
  })
}

describe('health state', () => {
  test('falls after so many failures in a row', () => {
    assert.deepEqual(play(true, 'failed', 'failed', 'failed'), [true, true, false])
    const broken = play(true, 'failed', 'failed', 'passed', 'failed', 'failed')
    assert.deepEqual(broken, [true, true, true, true, true])
  })

  test('falls at once when the host refuses', () => {
    assert.deepEqual(play(true, 'passed', 'refused'), [true, false])
  })

  test('rises after so many successes in a row, and after one on the first check', () => {
    assert.deepEqual(play(false, 'passed'), [true])
    assert.deepEqual(play(false, 'failed', 'passed', 'failed', 'passed', 'passed'), [
      false,
      false,
      false,
      false,
      true,
    ])
  })

  test('says when it changes, and only then', () => {
    const state = new HealthState(true)
    assert.equal(state.note('refused', POLICY), true)
    assert.equal(state.note('refused', POLICY), false)
    assert.equal(state.note('passed', POLICY), false)
    assert.equal(state.note('passed', POLICY), true)
  })
})
