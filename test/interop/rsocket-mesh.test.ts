/**
 * The broker under a control plane: the npm client's calls follow VirtualService, DestinationRule
 * and AuthorizationPolicy, as HTTP calls of a sidecar do.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { realClock, silentLogger } from '@weft/base'
import { type MeshBroker, openMeshBroker } from '@weft/broker'
import { createHandleTransport } from '@weft/net'
import { eventually } from '@weft/testkit'
import { type Mesh, startMesh } from './mesh.ts'
import { type Program, programs } from './rsocket-programs.ts'

const RULES = `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: cart, namespace: shop }
spec:
  host: cart
  subsets:
  - { name: v1, labels: { version: v1 } }
  - { name: v2, labels: { version: v2 } }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: cart, namespace: shop }
spec:
  hosts: [cart]
  http:
  - match: [{ uri: { prefix: /com.acme.Cart/slow } }]
    fault: { abort: { httpStatus: 503, percentage: { value: 100 } } }
    route: [{ destination: { host: cart, subset: v1 } }]
  - match: [{ uri: { exact: /com.acme.Cart/next } }]
    route: [{ destination: { host: cart, subset: v2 } }]
  - route: [{ destination: { host: cart, subset: v1 } }]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: no-secrets, namespace: shop }
spec:
  selector: { matchLabels: { app: cart } }
  action: DENY
  rules: [{ to: [{ operation: { paths: ['/com.acme.Cart/secret'] } }] }]
`

describe('the broker under mesh policy', () => {
  let mesh: Mesh
  let opened: MeshBroker
  let port = 0
  const programsOpen: Program[] = []

  before(async () => {
    mesh = await startMesh()
    opened = openMeshBroker(
      {
        id: 'b1',
        connect: { host: '127.0.0.1', port: mesh.controlPort },
        cluster: 'weft',
        graceMs: 1_000,
        bridgeHost: '127.0.0.1',
      },
      {
        transport: createHandleTransport(),
        clock: realClock,
        log: silentLogger,
        random: Math.random,
      },
    )
    const listen = { kind: 'tcp', address: { host: '127.0.0.1', port: 0 } } as const
    port = (await opened.broker.listen(listen)).port
  })

  after(async () => {
    for (const program of programsOpen) program.close()
    await opened.close()
    await mesh[Symbol.asyncDispose]()
  })

  test('routes by path, subsets, faults, denials', async () => {
    const [kind] = programs
    assert.ok(kind !== undefined)
    const dial = async (app: string, version: string, services: readonly string[]) => {
      const program = await kind.dial({
        ...{ carrier: 'tcp', port, caPem: '', services, app, namespace: 'shop' },
        labels: { version },
        answer: version,
      })
      programsOpen.push(program)
      return program
    }
    await dial('cart', 'v1', ['com.acme.Cart'])
    await dial('cart', 'v2', ['com.acme.Cart'])
    const caller = await dial('web', 'v1', [])
    await eventually(async () => {
      const seen = new Set<string>()
      for (let i = 0; i < 20; i++) seen.add(String(await caller.response('com.acme.Cart.add', 'x')))
      assert.deepEqual(seen, new Set(['v1', 'v2']), 'without rules both versions answer')
    })
    mesh.write('rules.yaml', RULES)
    await eventually(async () =>
      assert.deepEqual(await caller.response('com.acme.Cart.slowly', 'x'), [
        '#202 WEFT-503 fault filter abort',
      ]),
    )
    for (let round = 0; round < 20; round++) {
      assert.deepEqual(await caller.response('com.acme.Cart.add', 'x'), ['v1'])
      assert.deepEqual(await caller.response('com.acme.Cart.next', 'x'), ['v2'])
    }
    await eventually(async () =>
      assert.deepEqual(await caller.response('com.acme.Cart.secret', 'x'), [
        '#403 RBAC: access denied',
      ]),
    )
  })
})
