import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forwardTo, routeOf, tableOf } from '../../packages/proxy/src/exchange/engine-fixture.ts'
import { runGate } from './gate.ts'

test('every byte at every place around Transfer-Encoding is read in one way only', async () => {
  const table = tableOf([routeOf(forwardTo('cases'))])
  // Each case is a rejection or a forward of a few bytes on loopback: a short settle time tells them apart.
  const args = ['--matrix', '--settle', '5']
  const { code, output } = await runGate({ table, manager: {}, args })
  assert.equal(code, 0, output)
})
