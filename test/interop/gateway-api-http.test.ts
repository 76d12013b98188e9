/** HTTPRoute through a real control plane and a real gateway, feature by feature. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { eventually } from '@weft/testkit'
import { ask } from './ask.ts'
import {
  assertRow,
  type CaseMesh,
  GATEWAY,
  httpRoute,
  startCases,
  to,
} from './gateway-api-cases.ts'
import { filterCases } from './gateway-api-filter-cases.ts'
import { routingCases } from './gateway-api-routing-cases.ts'

describe('HTTPRoute', () => {
  let shared: CaseMesh
  before(async () => {
    shared = await startCases()
  })
  after(async () => {
    await shared[Symbol.asyncDispose]()
  })

  for (const { name, yaml, rows } of [...routingCases, ...filterCases]) {
    test(name, async () => {
      const open = await shared.open(yaml)
      for (const row of rows) await assertRow(row, open)
    })
  }

  test('weights share the requests out', async () => {
    const { ports } = await shared.open(
      GATEWAY +
        httpRoute(
          'r',
          '  rules: [{backendRefs: [{name: v1, port: 8080, weight: 70}, {name: v2, port: 8080, weight: 30}, {name: v3, port: 8080, weight: 0}]}]',
        ),
    )
    const counts: Record<string, number> = {}
    for (let i = 0; i < 400; i++) {
      const { echo } = await ask({ port: ports.$P1 })
      const name = echo?.backend ?? 'none'
      counts[name] = (counts[name] ?? 0) + 1
    }
    const { v1 = 0, v2 = 0, ...others } = counts
    assert.deepEqual(others, {})
    // Five standard deviations of 400 draws.
    assert.ok(Math.abs(v1 - 280) < 46 && Math.abs(v2 - 120) < 46, JSON.stringify(counts))
  })

  test('mirrors: all of them, a share, none, and several at once', async () => {
    const mirror = (name: string, more = '') =>
      `{type: RequestMirror, requestMirror: {backendRef: {name: ${name}, port: 8080}${more}}}`
    const { ports } = await shared.open(
      GATEWAY +
        httpRoute(
          'r',
          `  rules:
  - {matches: [{path: {value: /m/all}}], filters: [${mirror('v2')}, ${mirror('v3')}], ${to('v1')}}
  - {matches: [{path: {value: /m/none}}], filters: [${mirror('v2', ', percent: 0')}], ${to('v1')}}
  - {matches: [{path: {value: /m/half}}], filters: [${mirror('v2', ', percent: 50')}], ${to('v1')}}
  - {matches: [{path: {value: /m/quarter}}], filters: [${mirror('v2', ', fraction: {numerator: 1, denominator: 4}')}], ${to('v1')}}`,
        ),
    )
    const seen = (app: string, path: string) =>
      shared.apps.get(app)?.seen.filter((one) => one === path).length ?? 0
    const send = async (path: string, times: number) => {
      for (let i = 0; i < times; i++) {
        assert.equal((await ask({ port: ports.$P1, path })).echo?.backend, 'v1')
      }
    }
    await send('/m/all', 20)
    await send('/m/none', 20)
    await send('/m/half', 300)
    await send('/m/quarter', 300)
    await eventually(() => assert.deepEqual([seen('v2', '/m/all'), seen('v3', '/m/all')], [20, 20]))
    assert.equal(seen('v2', '/m/none'), 0)
    const [half, quarter] = [seen('v2', '/m/half'), seen('v2', '/m/quarter')]
    assert.ok(Math.abs(half - 150) < 45, `${half} of 300 mirrored`)
    assert.ok(Math.abs(quarter - 75) < 40, `${quarter} of 300 mirrored`)
  })

  test('a session stays with its backend', async () => {
    const { ports } = await shared.open(
      GATEWAY +
        httpRoute(
          'r',
          '  rules: [{sessionPersistence: {type: Cookie, sessionName: sess}, backendRefs: [{name: v1, port: 8080}, {name: v2, port: 8080}, {name: v3, port: 8080}]}]',
        ),
    )
    for (let i = 0; i < 6; i++) {
      const first = await ask({ port: ports.$P1 })
      const cookie = first.headers['set-cookie']?.split(';')[0]
      assert.ok(cookie?.startsWith('sess='), JSON.stringify(first.headers))
      for (let j = 0; j < 10; j++) {
        const again = await ask({ port: ports.$P1, headers: { cookie: cookie ?? '' } })
        assert.equal(again.echo?.backend, first.echo?.backend)
      }
    }
  })
})
