/**
 * The broker under a control plane: the npm client's calls follow VirtualService, DestinationRule
 * and AuthorizationPolicy, as HTTP calls of a sidecar do.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { eventually } from '@weft/testkit'
import {
  ALIBABA_ID,
  FRAME_FLAG,
  FRAME_TYPE,
  gsvHash,
  renderBinaryRouting,
  renderComposite,
  renderSetup,
} from '@weft/wire'
import { body, plainSetup, RawPeer } from '../../packages/broker/src/raw-fixture.ts'
import { type BrokerMesh, cartRoutes, openBrokerMesh } from './rsocket-mesh-fixture.ts'
import type { Program } from './rsocket-program.ts'
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

describe('the broker under mesh policy', () => {
  let fixture: BrokerMesh
  const programsOpen: Program[] = []

  before(async () => {
    fixture = await openBrokerMesh()
  })

  after(async () => {
    for (const program of programsOpen) program.close()
    await fixture[Symbol.asyncDispose]()
  })

  test('routes by path, subsets, faults, denials', async () => {
    const [kind] = npmPrograms
    assert.ok(kind !== undefined)
    const dial = async (
      app: string,
      version: string,
      services: readonly string[],
      namespace = 'shop',
    ) => {
      const program = await kind.dial({
        ...{ carrier: 'tcp', port: fixture.port, caPem: '', services, app, namespace },
        labels: { version },
        answer: () => version,
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
    fixture.mesh.write('rules.yaml', RULES)
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

    // By hash alone it would get past the rule.
    const hashed = await dialHashed(fixture.port, 'com.acme.Cart', 'secret')
    await eventually(() =>
      assert.deepEqual(hashed.take(), [
        '1 error 204 under policy a request names its method in text, not by hash alone',
      ]),
    )
    hashed.close()

    // A name of two namespaces is for who is of one of them.
    const guest = await dial('guest', 'v1', [], 'elsewhere')
    await eventually(async () =>
      assert.deepEqual(await guest.response('com.acme.Cart.next', 'x'), ['v2']),
    )
    await dial('thief', 'v9', ['com.acme.Cart'], 'den')
    await eventually(async () =>
      assert.match(
        String(await guest.response('com.acme.Cart.next', 'x')),
        /#202 WEFT-404.*den and shop/,
      ),
    )
    assert.deepEqual(await caller.response('com.acme.Cart.next', 'x'), ['v2'])
  })
})

/** An Alibaba client that asks `service.method` by its hashes. */
async function dialHashed(port: number, service: string, method: string): Promise<RawPeer> {
  const peer = await RawPeer.dial(port)
  const application = { uuid: 'hashed', name: 'web', sdk: 'Alibaba-RSocket-1.1.6/1.0.0' }
  const entry = { mime: ALIBABA_ID.application, content: Buffer.from(JSON.stringify(application)) }
  const payload = { data: Buffer.alloc(0), metadata: renderComposite([entry]) }
  peer.send(renderSetup(plainSetup({ payload })))
  const content = renderBinaryRouting({
    ...{ serviceId: gsvHash(service), handlerId: gsvHash(`${service}.${method}`) },
    ...{ sticky: false, key: '' },
  })
  const metadata = renderComposite([{ mime: ALIBABA_ID.binaryRouting, content }])
  const { requestResponse } = FRAME_TYPE
  peer.frame(1, requestResponse, FRAME_FLAG.metadata, body({ metadata, data: 'x' }))
  return peer
}
