/** Filters under mesh policy: what they change is routed and authorized as if it had been asked for. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { realClock, silentLogger } from '@weft/base'
import { FilterSet } from '@weft/broker'
import { eventually } from '@weft/testkit'
import { askCart, type BrokerMesh, cartRoutes, openBrokerMesh } from './rsocket-mesh-fixture.ts'
import { npmPrograms } from './rsocket-programs.ts'

/** Sends calls elsewhere, and HTTP calls too. */
const FILTER = `
import type { BrokerFilter } from '@weft/broker'

const WAYS = new Map([
  ['com.acme.Cart.public', 'com.acme.Cart.secret'],
  ['com.acme.Cart.old', 'com.acme.Cart.next'],
])

export const filter = {
  needs: ['response-items'],
  create: () => ({
    onRequest(request) {
      const way = WAYS.get(request.route)
      if (way !== undefined) request.setRoute(way)
      const { http } = request
      if (http?.path === '/public') request.setHttp({ ...http, path: '/secret' })
      if (http?.path === '/own') return { refuse: 'WEFT-503 not today' }
    },
  }),
} satisfies BrokerFilter
`

const RULES = `${cartRoutes}  - match: [{ uri: { exact: /com.acme.Cart/next } }]
    route: [{ destination: { host: cart, subset: v2 } }]
  - route: [{ destination: { host: cart, subset: v1 } }]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: no-secrets, namespace: shop }
spec:
  selector: { matchLabels: { app: cart } }
  action: DENY
  rules: [{ to: [{ operation: { paths: ['/com.acme.Cart/secret', '/secret'] } }] }]
`

async function openFixture(stack: AsyncDisposableStack): Promise<BrokerMesh> {
  const folder = await mkdtemp(join(tmpdir(), 'weft-filters-'))
  stack.defer(() => rm(folder, { recursive: true }))
  await writeFile(join(folder, 'ways.ts'), FILTER)
  const filters = await FilterSet.open({ paths: [folder] }, { clock: realClock, log: silentLogger })
  stack.defer(() => filters.close())
  return stack.use(await openBrokerMesh({ filters }))
}

describe('filters of a broker under mesh policy', () => {
  test('RSocket calls: routes and policies are those of the new way', async () => {
    await using stack = new AsyncDisposableStack()
    const fixture = await openFixture(stack)
    const [kind] = npmPrograms
    assert.ok(kind !== undefined)
    const dial = async (app: string, version: string, services: readonly string[]) => {
      const program = await kind.dial({
        ...{ carrier: 'tcp', port: fixture.port, caPem: '', services, app, namespace: 'shop' },
        labels: { version },
        answer: () => version,
      })
      stack.defer(() => program.close())
      return program
    }
    await dial('cart', 'v1', ['com.acme.Cart'])
    await dial('cart', 'v2', ['com.acme.Cart'])
    const caller = await dial('web', 'v1', [])
    fixture.mesh.write('rules.yaml', RULES)
    const ask = (method: string) => caller.response(`com.acme.Cart.${method}`, 'x')
    await eventually(async () => {
      for (let i = 0; i < 10; i++) assert.deepEqual(await ask('add'), ['v1'])
      for (let i = 0; i < 10; i++) assert.deepEqual(await ask('next'), ['v2'])
    })
    assert.deepEqual(await ask('old'), ['v2'])
    await eventually(async () =>
      assert.deepEqual(await ask('secret'), ['#403 RBAC: access denied']),
    )
    assert.deepEqual(await ask('public'), ['#403 RBAC: access denied'])
  })

  test('HTTP calls: refused by policy on the new path, and by the filter itself', async () => {
    await using stack = new AsyncDisposableStack()
    const fixture = await openFixture(stack)
    const appPort = await fixture.serve(({ url }, response) => response.end(url))
    await fixture.dialAgent({ app: 'cart', version: 'v1', namespace: 'shop', appPort })
    const agent = await fixture.dialAgent({ app: 'page', version: 'v1', namespace: 'shop' })
    const port = agent.outbound?.port ?? 0
    await eventually(async () => assert.equal((await askCart(port, { path: '/a' })).body, '/a'))
    fixture.mesh.write('rules.yaml', RULES)
    const statusOf = async (path: string) => (await askCart(port, { path })).status
    await eventually(async () => assert.equal(await statusOf('/secret'), 403))
    assert.equal(await statusOf('/public'), 403)
    assert.equal(await statusOf('/own'), 503)
    assert.equal(await statusOf('/a'), 200)
  })
})
