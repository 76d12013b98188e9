/**
 * HTTP applications that dial out, under a control plane: their calls follow VirtualService and
 * AuthorizationPolicy as those of sidecars do, heads, copies and repeats included.
 */
import assert from 'node:assert/strict'
import type { IncomingHttpHeaders } from 'node:http'
import { after, before, describe, test } from 'node:test'
import { eventually } from '@weft/testkit'
import { askCart, type BrokerMesh, cartRoutes, openBrokerMesh } from './rsocket-mesh-fixture.ts'

const RULES = `${cartRoutes}  - match: [{ headers: { x-user: { exact: jason } } }]
    headers:
      request: { set: { x-added: by-route }, remove: [x-secret] }
      response: { add: { x-answered: "%RESPONSE_CODE%" } }
    route: [{ destination: { host: cart, subset: v2 } }]
  - match: [{ uri: { prefix: /old/ } }]
    rewrite: { uri: /new/, authority: rewritten }
    route: [{ destination: { host: cart, subset: v1 } }]
  - match: [{ uri: { prefix: /mirrored } }]
    mirror: { host: cart, subset: v2 }
    route: [{ destination: { host: cart, subset: v1 } }]
  - match: [{ uri: { prefix: /flaky } }]
    retries: { attempts: 3, retryOn: 5xx }
    route: [{ destination: { host: cart, subset: v1 } }]
  - match: [{ uri: { prefix: /abort } }]
    fault: { abort: { httpStatus: 503, percentage: { value: 100 } } }
    route: [{ destination: { host: cart, subset: v1 } }]
  - match: [{ uri: { prefix: /moved } }]
    redirect: { uri: /there, redirectCode: 308 }
  - match: [{ uri: { prefix: /fixed } }]
    directResponse: { status: 418, body: { string: teapot } }
  - match: [{ uri: { prefix: /hangs } }]
    timeout: 0.2s
    route: [{ destination: { host: cart, subset: v1 } }]
  - route: [{ destination: { host: cart, subset: v1 } }]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: no-deletes, namespace: shop }
spec:
  selector: { matchLabels: { app: cart } }
  action: DENY
  rules: [{ to: [{ operation: { methods: [DELETE] } }] }]
`

interface Seen {
  readonly version: string
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
}

describe('HTTP applications that dial out, under mesh policy', () => {
  let fixture: BrokerMesh
  const seen: Seen[] = []
  let proxyPort = 0

  async function start(version: string): Promise<void> {
    const appPort = await fixture.serve((request, response) => {
      const { method = '', url = '', headers } = request
      seen.push({ version, method, url, headers })
      if (url.startsWith('/hangs')) return
      request.resume()
      request.on('end', () => {
        const isFlaky = url.startsWith('/flaky') && seen.filter((s) => s.url === url).length < 3
        response.writeHead(isFlaky ? 503 : 200, { 'x-version': version })
        response.end(`${version} ${method} ${url}`)
      })
    })
    await fixture.dialAgent({ app: 'cart', version, namespace: 'shop', appPort })
  }

  const ask = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
    askCart(proxyPort, { method, path, headers })

  const seenOf = (url: string) => seen.filter((each) => each.url === url)

  before(async () => {
    fixture = await openBrokerMesh()
    for (const version of ['v1', 'v2']) await start(version)
    const caller = await fixture.dialAgent({ app: 'web', version: 'v1', namespace: 'shop' })
    proxyPort = caller.outbound?.port ?? 0
    await eventually(async () => {
      const versions = new Set<string>()
      for (let i = 0; i < 16; i++) versions.add((await ask('/any')).body.slice(0, 2))
      assert.deepEqual(versions, new Set(['v1', 'v2']), 'without rules both versions answer')
    })
    fixture.mesh.write('rules.yaml', RULES)
    await eventually(async () => assert.equal((await ask('/fixed')).status, 418))
  })

  after(() => fixture[Symbol.asyncDispose]())

  test('by header, with heads changed both ways', async () => {
    for (let i = 0; i < 8; i++) assert.equal((await ask(`/p${i}`)).headers['x-version'], 'v1')
    const answer = await ask('/jason', { 'x-user': 'jason', 'x-secret': 's' })
    assert.equal(answer.headers['x-version'], 'v2')
    assert.equal(answer.headers['x-answered'], '200')
    const [call] = seenOf('/jason')
    assert.equal(call?.headers['x-added'], 'by-route')
    assert.equal(call?.headers['x-secret'], undefined)
  })

  test('path and host are rewritten', async () => {
    assert.equal((await ask('/old/a?b=c')).body, 'v1 GET /new/a?b=c')
    assert.equal(seenOf('/new/a?b=c')[0]?.headers.host, 'rewritten')
  })

  test('a copy goes to the mirror, under a name with -shadow, and nobody waits for it', async () => {
    assert.equal((await ask('/mirrored/1')).headers['x-version'], 'v1')
    await eventually(() => assert.equal(seenOf('/mirrored/1').length, 2))
    const copy = seenOf('/mirrored/1').find(({ version }) => version === 'v2')
    assert.equal(copy?.headers.host, 'cart-shadow:9080')
    await eventually(() => assert.equal(fixture.opened.broker.openStreams, 0))
  })

  test('5xx is asked again when the policy says so and it does no harm', async () => {
    assert.equal((await ask('/flaky/get')).status, 200)
    assert.equal(seenOf('/flaky/get').length, 3)
    const answer = await ask('/flaky/post', {}, 'POST')
    assert.equal(answer.status, 503)
    assert.equal(seenOf('/flaky/post').length, 1, 'POST may do harm')
  })

  test('faults, redirects, answers without an application, timeouts, denials', async () => {
    const aborted = await ask('/abort/1')
    assert.deepEqual([aborted.status, aborted.body], [503, 'fault filter abort'])
    assert.equal(seenOf('/abort/1').length, 0)
    const moved = await ask('/moved')
    assert.deepEqual([moved.status, moved.headers.location], [308, 'http://cart:9080/there'])
    const fixed = await ask('/fixed')
    assert.deepEqual([fixed.status, fixed.body], [418, 'teapot'])
    assert.equal((await ask('/hangs')).status, 504)
    const denied = await ask('/x', {}, 'DELETE')
    assert.equal(denied.status, 403)
    assert.equal(seenOf('/x').length, 0)
  })
})
