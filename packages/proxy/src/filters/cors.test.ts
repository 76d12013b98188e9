import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { CorsPolicy, RequestView } from '@weft/model'
import { forwardTo, routeOf } from '../exchange/engine-fixture.ts'
import { cors } from './cors.ts'

const POLICY: CorsPolicy = {
  allowOrigins: [
    { kind: 'exact', value: 'https://shop.example', ignoreCase: false },
    { kind: 'suffix', value: '.shop.example', ignoreCase: false },
  ],
  allowMethods: ['GET', 'PUT'],
  allowHeaders: ['x-cart'],
  exposeHeaders: ['x-total'],
  maxAgeMs: 90_500,
  allowCredentials: true,
  forwardUnmatchedPreflights: true,
}

function requestOf(method: string, headers: Readonly<Record<string, string>>): RequestView {
  return { method, header: (name: string) => headers[name] } as RequestView
}

const routeWith = (changes: Partial<CorsPolicy> = {}) =>
  routeOf(forwardTo('app'), { cors: { ...POLICY, ...changes } })
const preflight = (origin: string) =>
  requestOf('OPTIONS', { origin, 'access-control-request-method': 'PUT' })
const ask = (request: RequestView, changes: Partial<CorsPolicy> = {}) =>
  cors.onRequest(routeWith(changes), request, () => 0)

describe('a preflight', () => {
  test('from an allowed origin is answered here', () => {
    const headers = [
      ['access-control-allow-origin', 'https://shop.example'],
      ['access-control-allow-credentials', 'true'],
      ['access-control-allow-methods', 'GET,PUT'],
      ['access-control-allow-headers', 'x-cart'],
      ['access-control-max-age', '90'],
    ]
    assert.deepEqual(ask(preflight('https://shop.example')), {
      kind: 'reply',
      reply: { status: 200, headers },
    })
  })

  test('names no more than the policy says', () => {
    const { maxAgeMs: _, ...rest } = POLICY
    const bare = { ...rest, allowMethods: [], allowHeaders: [], allowCredentials: false }
    const route = routeOf(forwardTo('app'), { cors: bare })
    assert.deepEqual(
      cors.onRequest(route, preflight('https://a.shop.example'), () => 0),
      {
        kind: 'reply',
        reply: {
          status: 200,
          headers: [['access-control-allow-origin', 'https://a.shop.example']],
        },
      },
    )
  })

  for (const origin of [
    'https://evil.example',
    'https://shop.example.evil.example',
    'https://xshop.example',
    'HTTPS://SHOP.EXAMPLE',
    'null',
    '',
  ]) {
    test(`from '${origin}' goes on, or hears nothing it could use`, () => {
      assert.equal(ask(preflight(origin)), undefined)
      assert.deepEqual(ask(preflight(origin), { forwardUnmatchedPreflights: false }), {
        kind: 'reply',
        reply: { status: 200 },
      })
    })
  }

  test('is OPTIONS with an origin and a method; everything else goes to the application', () => {
    const origin = 'https://shop.example'
    const method = { 'access-control-request-method': 'PUT' }
    assert.equal(ask(requestOf('OPTIONS', { origin })), undefined)
    assert.equal(ask(requestOf('OPTIONS', method)), undefined)
    assert.equal(ask(requestOf('GET', { origin, ...method })), undefined)
    assert.equal(
      cors.onRequest(routeOf(forwardTo('app')), preflight(origin), () => 0),
      undefined,
    )
  })
})

describe('an answer', () => {
  const stamped = (request: RequestView) => cors.onResponse?.(routeWith(), request) !== undefined

  test('is readable for pages of allowed origins only', () => {
    assert.ok(stamped(requestOf('GET', { origin: 'https://shop.example' })))
    assert.ok(!stamped(requestOf('GET', { origin: 'https://evil.example' })))
    assert.ok(!stamped(requestOf('GET', {})))
    assert.ok(!stamped(preflight('https://shop.example')))
  })
})
