/**
 * Two brokers under one control plane: who is called sits behind the other broker, and what holds
 * for calls is what the mesh says of caller and callee.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { realClock } from '@weft/base'
import { type MeshBroker, openMeshBroker } from '@weft/broker'
import { eventually } from '@weft/testkit'
import {
  createAuthority,
  type Node,
  openNode,
} from '../../packages/broker/src/cluster/cluster-fixture.ts'
import { ModelEtcd } from '../../packages/broker/src/cluster/model-etcd-fixture.ts'
import { startMesh } from './mesh.ts'
import { cartRoutes } from './rsocket-mesh-fixture.ts'
import { npmPrograms } from './rsocket-programs.ts'

const RULES = `${cartRoutes}  - match: [{ uri: { prefix: /com.acme.Cart/slow } }]
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

describe('two brokers under mesh policy', () => {
  test('subsets, faults and denials hold for instances behind the other broker', async () => {
    await using stack = new AsyncDisposableStack()
    const mesh = stack.use(await startMesh())
    const etcd = new ModelEtcd(realClock)
    const ca = createAuthority()
    const open = async (id: string): Promise<Node> => {
      let opened: MeshBroker | undefined
      const node = await openNode({
        ...{ id, etcd, ca },
        make(deps) {
          opened = openMeshBroker(
            {
              ...{ id, cluster: 'weft', graceMs: 1_000, bridgeHost: '127.0.0.1' },
              connect: { host: '127.0.0.1', port: mesh.controlPort },
            },
            deps,
          )
          return opened.broker
        },
      })
      stack.defer(async () => {
        await node.stop()
        await opened?.close()
      })
      return node
    }
    const near = await open('near')
    const far = await open('far')
    const [kind] = npmPrograms
    assert.ok(kind !== undefined)
    const dial = async (node: Node, app: string, version: string, services: readonly string[]) => {
      const program = await kind.dial({
        ...{ carrier: 'tcp', port: node.address.port, caPem: '', services, app },
        ...{ namespace: 'shop', labels: { version }, answer: () => version },
      })
      stack.defer(() => program.close())
      return program
    }
    await dial(far, 'cart', 'v1', ['com.acme.Cart'])
    await dial(far, 'cart', 'v2', ['com.acme.Cart'])
    const caller = await dial(near, 'web', 'v1', [])
    const ask = async (method: string) =>
      String(await caller.response(`com.acme.Cart.${method}`, 'x'))
    await eventually(async () => {
      const seen = new Set<string>()
      for (let i = 0; i < 20; i++) seen.add(await ask('add'))
      assert.deepEqual(seen, new Set(['v1', 'v2']), 'without rules both versions answer')
    })
    mesh.write('rules.yaml', RULES)
    await eventually(async () => {
      for (let i = 0; i < 5; i++) assert.equal(await ask('add'), 'v1')
      assert.equal(await ask('next'), 'v2')
      assert.match(await ask('secret'), /^#403 /)
      assert.match(await ask('slow'), /^#202 WEFT-503/)
    })
    assert.ok(near.broker.counters.hopsOut > 25)
    assert.equal(far.broker.counters.hopsIn, near.broker.counters.hopsOut)
    const before = far.broker.counters.hopsIn
    assert.match(await ask('secret'), /^#403 /)
    assert.equal(far.broker.counters.hopsIn, before, 'what is denied does not leave the broker')
  })
})
