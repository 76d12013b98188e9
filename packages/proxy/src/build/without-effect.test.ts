import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LogScopes } from '@weft/base'
import type { AdaptiveConcurrency, FilterOverrides } from '@weft/model'
import { forwardTo, MANAGER, routeOf, tableOf } from '../exchange/engine-fixture.ts'
import { WithoutEffect } from './without-effect.ts'

const SETTINGS: AdaptiveConcurrency = {
  enabled: true,
  samplePercentile: 50,
  maxConcurrency: 1_000,
  minConcurrency: 3,
  updateIntervalMs: 100,
  minRttIntervalMs: 30_000,
  minRttJitterPercent: 10,
  minRttRequests: 50,
  minRttBufferPercent: 25,
  status: 503,
}

function noted(settings: AdaptiveConcurrency | undefined, filters: FilterOverrides = {}) {
  const lines: string[] = []
  const logs = new LogScopes(
    (line) => lines.push(line),
    () => 0,
  )
  const without = new WithoutEffect(logs.logger('build'))
  const filter = { kind: 'adaptiveConcurrency', ...(settings === undefined ? {} : { settings }) }
  const manager = { ...MANAGER, filters: [filter as (typeof MANAGER.filters)[number]] }
  const table = tableOf([routeOf(forwardTo('app'), { filters })])
  without.note('a', manager, table)
  without.note('b', manager, table)
  return lines.map((line) => {
    const { message, listener } = JSON.parse(line)
    return { message, listener }
  })
}

const SAID = [{ message: 'accepted, has no effect yet: adaptiveConcurrency', listener: 'a' }]

test('a filter that is asked for and does nothing is said once', () => {
  assert.deepEqual(noted(SETTINGS), SAID)
  assert.deepEqual(noted(undefined, { adaptiveConcurrency: SETTINGS }), SAID)
})

test('a filter that nobody switched on is no news', () => {
  assert.deepEqual(noted(undefined), [])
  assert.deepEqual(noted({ ...SETTINGS, enabled: false }), [])
})
