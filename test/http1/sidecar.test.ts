import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forwardTo, routeOf, tableOf } from '../../packages/proxy/src/exchange/engine-fixture.ts'
import { runGate } from './gate.ts'

test('a sidecar passes every HTTP/1.1 case (R1 to R9, R11, R12)', async () => {
  const table = tableOf([routeOf(forwardTo('cases'))])
  const { code, output } = await runGate({ table, manager: {}, args: [] })
  assert.equal(code, 0, output)
})
