import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SAFE_RETRY } from '@weft/model'
import { forwardTo, routeOf, tableOf } from '../../packages/proxy/src/exchange/engine-fixture.ts'
import { runGate } from './gate.ts'

/** As a gateway is configured: clients from outside, header changes, time limits, retries. */
test('a gateway passes every HTTP/1.1 case (R1 to R9, R11, R12)', async () => {
  const table = tableOf([
    routeOf(
      forwardTo('cases', {
        timeoutMs: 15_000,
        retry: SAFE_RETRY,
      }),
      {
        requestHeaders: { set: [{ name: 'x-gateway', value: 'weft' }], add: [], remove: ['x-b'] },
        responseHeaders: { set: [], add: [{ name: 'x-seen', value: '1' }], remove: [] },
      },
    ),
  ])
  const { code, output } = await runGate({ table, manager: { useRemoteAddress: true }, args: [] })
  assert.equal(code, 0, output)
})
