import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeClock } from '@weft/testkit'
import { ConditionTimes } from './condition-times.ts'
import type { ObjectStatus } from './object-status.ts'

const condition = (status: 'True' | 'False', reason = 'R') => ({ type: 'Accepted', status, reason })

function gateway(name: string, own: object, listeners: readonly object[]): ObjectStatus {
  return {
    kind: 'Gateway',
    apiVersion: 'gateway.networking.k8s.io/v1',
    namespace: 'default',
    name,
    conditions: [],
    status: { conditions: [own], listeners },
    problems: [],
    summary: '',
  }
}

/** Times in the order in which they stand. */
function timesOf(statuses: readonly ObjectStatus[]): readonly string[] {
  const text = JSON.stringify(statuses)
  return [...text.matchAll(/"lastTransitionTime":"2026-01-01T00:(\d\d:\d\d)Z"/g)].map(
    ([, time = '']) => time,
  )
}

test('the time of a condition moves with its status and with nothing else', () => {
  const clock = new FakeClock()
  const times = new ConditionTimes(clock)
  const look = (own: object, ...listeners: readonly object[]) =>
    timesOf(times.stamp([gateway('gw', own, listeners)]))
  const listener = (name: string, status: 'True' | 'False') => ({
    name,
    conditions: [condition(status)],
  })
  assert.deepEqual(look(condition('False'), listener('a', 'True')), ['00:00', '00:00'])
  clock.advance(10_900)
  assert.deepEqual(look(condition('False', 'Other'), listener('a', 'True')), ['00:00', '00:00'])
  assert.deepEqual(look(condition('True'), listener('a', 'True')), ['00:10', '00:00'])
  clock.advance(10_000)
  const reordered = look(condition('True'), listener('b', 'True'), listener('a', 'True'))
  assert.deepEqual(reordered, ['00:10', '00:20', '00:00'])
  assert.deepEqual(look(condition('True'), listener('a', 'False')), ['00:10', '00:20'])
})

test('an object that was gone begins anew, and what has no status stays as it is', () => {
  const clock = new FakeClock()
  const times = new ConditionTimes(clock)
  const all = [gateway('gw', condition('True'), [])]
  times.stamp(all)
  clock.advance(5_000)
  times.stamp([])
  assert.deepEqual(timesOf(times.stamp(all)), ['00:05'])
  const { status: _, ...plain } = gateway('other', condition('True'), [])
  assert.deepEqual(times.stamp([plain]), [plain])
})
