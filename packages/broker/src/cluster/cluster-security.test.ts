/** Who may be a broker, and what only brokers may say (§ 15.3, § 20.12). */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { realClock } from '@weft/base'
import { connectTls, createNodeTransport, type Transport } from '@weft/net'
import { eventually } from '@weft/testkit'
import {
  COMPOSITE_MIME,
  HELLO_MIME,
  HOP_ALLOWED,
  METADATA_ID,
  renderComposite,
  renderHop,
  renderRoutingTags,
  renderSetup,
} from '@weft/wire'
import { echo, TestClient } from '../broker-fixture.ts'
import { createAuthority, type Node, openNode, TRUST_DOMAIN, tlsOf } from './cluster-fixture.ts'
import type { HopTls } from './hop-tls.ts'
import { ModelEtcd } from './model-etcd-fixture.ts'

const ca = createAuthority()
const plain = createNodeTransport()
const SOMEBODY = `spiffe://${TRUST_DOMAIN}/ns/shop/sa/cart`
const SERVICE = 'a.Secret'
let node: Node
/** By which other brokers know the connection of the service. */
let conn = ''

before(async () => {
  const etcd = new ModelEtcd(realClock)
  node = await openNode({ id: 'b1', etcd, ca })
  const responder = await node.dial({ services: [SERVICE], instance: 'i' })
  responder.answer = echo()
  await eventually(() => {
    const [key = ''] = [...etcd.kvs.keys()].filter((each) => each.includes('/eps/'))
    conn = key.split('/').at(-1) ?? ''
    assert.notEqual(conn, '')
  })
})

after(() => node.stop())

/** Says that it is the broker `b9`. */
function dialAsBroker(tls: HopTls | undefined): TestClient {
  const transport: Transport =
    tls === undefined
      ? plain
      : {
          ...plain,
          connect: (address, handler) =>
            connectTls(plain, address, handler, { context: tls.client, serverName: undefined }),
        }
  const client = new TestClient(transport, tls ? node.clusterAddress : node.address)
  const hello = { v: 1, broker: 'b9', incarnation: 'x', features: ['mpush'] }
  client.write(
    renderSetup({
      ...{ majorVersion: 1, minorVersion: 0, keepaliveMs: 1_000, maxLifetimeMs: 60_000 },
      ...{ resumeToken: undefined, lease: false, metadataMime: COMPOSITE_MIME, dataMime: 'a/b' },
      payload: {
        data: Buffer.alloc(0),
        metadata: renderComposite([
          { mime: HELLO_MIME, content: Buffer.from(JSON.stringify(hello)) },
        ]),
      },
    }),
  )
  return client
}

function hopTo(endpointId: string, hops = 1, verdict = HOP_ALLOWED) {
  const route = renderComposite([
    { mime: METADATA_ID.routing, content: renderRoutingTags([`${SERVICE}.x`]) },
  ])
  const metadata = Buffer.concat([renderHop({ endpointId, verdict, hops }), route])
  return { data: Buffer.from('y'), metadata }
}

test('a broker with the identity of brokers is let in, and its requests are delivered', async () => {
  const peer = dialAsBroker(tlsOf(ca))
  assert.deepEqual(await peer.ask('rr', hopTo(conn)), ['y'])
  peer.close()
})

test('who has another identity of the mesh is no broker, whatever it says', async () => {
  const peer = dialAsBroker(tlsOf(ca, SOMEBODY, [`spiffe://${TRUST_DOMAIN}/ns/default/sa/broker`]))
  await eventually(() => assert.match(peer.fatal?.message ?? '', /WEFT-403 .*sa\/cart may not be/))
})

test('who shows no certificate is no broker', async () => {
  const peer = dialAsBroker(undefined)
  await eventually(() => assert.match(peer.fatal?.message ?? '', /WEFT-403 brokers show a client/))
})

test('who is of a foreign authority does not get through the handshake', async () => {
  const peer = dialAsBroker(tlsOf(createAuthority()))
  await eventually(() => assert.ok(peer.closed))
  assert.equal(peer.fatal, undefined)
})

test('the hop entry of a peer that is no broker is refused, wherever it stands', async () => {
  const client = await node.dial()
  const [first = ''] = await client.ask('rr', hopTo(conn))
  assert.match(first, /^#204 .*x\.weft\.hop\.v0 is for brokers/)
  const hidden = Buffer.concat([
    renderComposite([{ mime: METADATA_ID.routing, content: renderRoutingTags([SERVICE]) }]),
    renderHop({ endpointId: conn, verdict: HOP_ALLOWED, hops: 1 }),
  ])
  const [second = ''] = await client.ask('rr', { data: Buffer.alloc(0), metadata: hidden })
  assert.match(second, /^#204 /)
})

test('two hops, none, no verdict, an instance in place of a connection: each is refused, and none is delivered', async () => {
  const peer = dialAsBroker(tlsOf(ca))
  const said = async (payload: ReturnType<typeof hopTo>) => (await peer.ask('rr', payload))[0]
  assert.match((await said(hopTo(conn, 2))) ?? '', /^#202 WEFT-508/)
  assert.match((await said(hopTo(conn, 0))) ?? '', /^#202 WEFT-508/)
  assert.match((await said(hopTo(conn, 1, 0))) ?? '', /^#403 RBAC: access denied/)
  assert.match((await said(hopTo('i'))) ?? '', /^#202 WEFT-503/)
  const { data, metadata } = hopTo(conn)
  const bare = metadata.subarray(renderHop({ endpointId: conn, verdict: 1, hops: 1 }).length)
  assert.match((await said({ data, metadata: bare })) ?? '', /^#204 WEFT-400/)
  peer.close()
})

test('a broker dials nobody who is no broker: the certificate at the other end decides', async () => {
  const etcd = new ModelEtcd(realClock)
  const near = await openNode({ id: 'b1', etcd, ca })
  const far = await openNode({ id: 'b2', etcd, ca, shows: SOMEBODY })
  await eventually(() => {
    const [row] = near.member.status.brokers
    assert.equal(row?.link, 'down')
    assert.match(row?.problem ?? '', /none of its names is wanted: .*sa\/cart/)
  })
  await Promise.all([near.stop(), far.stop()])
})
