/** Who is let in by a broker, as what, and for how long. */
import assert from 'node:assert/strict'
import { afterEach, describe, test } from 'node:test'
import { silentLogger } from '@weft/base'
import { eventually, FakeClock } from '@weft/testkit'
import { parseKeySet } from '@weft/traffic'
import { METADATA_ID, renderBearer, renderComposite, renderMetadataPush } from '@weft/wire'
import { type Fixture, type HelloOptions, openBroker, TestClient } from '../broker-fixture.ts'
import type { Hello } from '../hello.ts'
import type { Leg } from '../leg.ts'
import type { PeerFacts } from '../peer-facts.ts'
import { Authenticator, type AuthenticatorOptions } from './authenticator.ts'
import { testIssuer } from './test-tokens.ts'

const clock = new FakeClock()
const ISSUER = testIssuer()
const CART = { sub: 'spiffe://mesh.example/ns/shop/sa/cart', aud: ['weft-broker'] }

interface Opened extends Fixture {
  readonly authenticator: Authenticator
  readonly revoked: Set<string>
  readonly legs: () => Leg[]
}

const open: Opened[] = []
afterEach(() => {
  for (const { authenticator, broker } of open.splice(0)) {
    authenticator.close()
    broker.close()
  }
})

async function secured(more: Partial<AuthenticatorOptions> = {}): Promise<Opened> {
  const revoked = new Set<string>()
  const tokens = {
    issuers: [],
    meshKeys: () => parseKeySet(ISSUER.keySet).keys,
    audiences: ['weft-broker'],
    ...{ trustDomain: 'mesh.example', namespace: 'default', clockSkewMs: 0 },
    isRevoked: (id: string) => revoked.has(id),
  }
  const authenticator = new Authenticator(
    { tokens, allowsAnonymous: false, ...more },
    { clock, log: silentLogger },
  )
  const fixture = await openBroker(
    {},
    {
      authenticate: (leg, hello) => authenticator.authenticate(leg, hello),
      onMetadataPush: (leg, metadata) => void authenticator.onMetadataPush(leg, metadata),
    },
  )
  const legs = () => [...fixture.broker.legs].filter(({ isOpen }) => isOpen)
  const opened = { ...fixture, authenticator, revoked, legs }
  open.push(opened)
  return opened
}

function tokenFor(seconds: number, more: object = {}): string {
  const exp = clock.nowMs() / 1_000 + seconds
  return ISSUER.token({ ...CART, exp, jti: 'j1', ...more })
}

/** What SETUP is answered with, where it is refused. */
async function refusal({ transport, address }: Fixture, hello: HelloOptions): Promise<string> {
  const client = await TestClient.dial(transport, address, hello)
  await eventually(() => assert.ok(client.fatal))
  assert.equal(client.fatal?.code, 0x003)
  return client.fatal?.message ?? ''
}

describe('authentication of SETUP', () => {
  test('nobody is let in without a proof, unless that is said', async () => {
    const closed = await secured()
    assert.match(await refusal(closed, {}), /^WEFT-401 a client certificate or a bearer token/)
    assert.match(await refusal(closed, { token: 'x.y.z' }), /^WEFT-401 Jwt/)
    assert.equal(closed.broker.counters.rejectedSetups, 2)
    const anonymous = await secured({ allowsAnonymous: true })
    await anonymous.dial()
    assert.equal(anonymous.legs()[0]?.facts.identity.principal, undefined)
    assert.match(await refusal(anonymous, { token: 'x.y.z' }), /^WEFT-401/, 'a bad one is not none')
  })

  test('a token says who it is, and where', async () => {
    const broker = await secured()
    await broker.dial({ token: tokenFor(60) })
    const [leg] = broker.legs()
    assert.equal(leg?.facts.identity.principal, CART.sub)
    assert.equal(leg?.facts.identity.claims?.jti, 'j1')
    assert.equal(leg?.facts.instance?.namespace, 'shop', 'its own word is not needed')
    await broker.dial({ token: tokenFor(60), namespace: 'shop' })
    assert.match(
      await refusal(broker, { token: tokenFor(60), namespace: 'bank' }),
      /^WEFT-403 .* may not be in the namespace bank/,
    )
  })

  test('who is of another trust domain may call, but no name of ours leads to it', async () => {
    const broker = await secured()
    const sub = 'spiffe://other.example/ns/shop/sa/cart'
    await broker.dial({ token: tokenFor(60, { sub }), namespace: 'shop' })
    assert.equal(broker.legs()[0]?.facts.identity.principal, sub)
    const offer = { token: tokenFor(60, { sub }), services: ['com.acme.Cart'] }
    assert.match(await refusal(broker, offer), /^WEFT-403 .* may call, but not offer services/)
  })

  test('an expired token closes the link within 30 seconds', async () => {
    const broker = await secured()
    const client = await broker.dial({ token: tokenFor(60) })
    clock.advance(50_000)
    assert.equal(broker.legs().length, 1)
    clock.advance(30_000)
    await eventually(() => assert.equal(client.fatal?.message, 'WEFT-401 Jwt is expired'))
    assert.equal(client.fatal?.code, 0x101)
    assert.equal(broker.broker.counters.identitiesOver, 1)
  })

  test('a revoked token closes the link, and is remembered by nobody', async () => {
    const broker = await secured()
    const client = await broker.dial({ token: tokenFor(600) })
    broker.revoked.add('j1')
    broker.authenticator.changed()
    clock.advance(10_000)
    await eventually(() => assert.equal(client.fatal?.message, 'WEFT-401 Jwt is revoked'))
    assert.match(await refusal(broker, { token: tokenFor(600) }), /revoked/)
  })

  test('a newer token keeps the link; one of somebody else does not', async () => {
    const broker = await secured()
    const client = await broker.dial({ token: tokenFor(60) })
    const push = async (token: string) => {
      const entry = { mime: METADATA_ID.authentication, content: renderBearer(token) }
      client.write(renderMetadataPush(renderComposite([entry])))
      await client.ask('rr', { data: Buffer.alloc(0), metadata: Buffer.alloc(0) })
    }
    await push(tokenFor(600, { sub: 'spiffe://mesh.example/ns/shop/sa/other', jti: 'j2' }))
    assert.equal(broker.legs()[0]?.facts.identity.claims?.jti, 'j1')
    await push(tokenFor(120, { jti: 'j3' }))
    const { principal, claims } = broker.legs()[0]?.facts.identity ?? {}
    assert.equal(claims?.jti, 'j3', 'rules see the claims of the newer one')
    assert.equal(principal, 'spiffe://mesh.example/ns/shop/sa/cart')
    clock.advance(100_000)
    assert.equal(broker.legs().length, 1)
    clock.advance(40_000)
    await eventually(() => assert.equal(client.fatal?.message, 'WEFT-401 Jwt is expired'))
  })

  test('beside a certificate the token of another account is followed by one of that account', async () => {
    const { authenticator } = await secured()
    const peer = { uriSans: ['spiffe://mesh.example/ns/shop/sa/edge'], validToMs: Infinity }
    const socket = { tls: { peer }, remoteAddress: { host: '10.0.0.1', port: 1 } }
    const leg = { socket, closed: false } as unknown as Leg
    const credentials = { type: 'bearer', token: tokenFor(60) } as const
    const hello = { credentials, instance: undefined } as unknown as Hello
    const identity = await authenticator.authenticate(leg, hello)
    assert.ok(typeof identity === 'object')
    assert.equal(identity.principal, 'spiffe://mesh.example/ns/shop/sa/edge')
    leg.facts = { identity } as PeerFacts
    const content = renderBearer(tokenFor(600, { jti: 'j2' }))
    const entry = { mime: METADATA_ID.authentication, content }
    await authenticator.onMetadataPush(leg, renderComposite([entry]))
    assert.equal(leg.facts.identity.claims?.jti, 'j2')
    assert.equal(leg.facts.identity.principal, identity.principal)
  })

  test('who runs as our user on this machine is whom it says it is', async () => {
    const broker = await secured({ ownerSecret: () => Promise.resolve('wbs_secret') })
    await broker.dial({ token: 'wbs_secret', namespace: 'shop' })
    const [leg] = broker.legs()
    assert.equal(leg?.facts.identity.principal, 'spiffe://mesh.example/ns/shop/sa/default')
    assert.match(await refusal(broker, { token: 'wbs_other' }), /^WEFT-401/)
    const none = await secured({ ownerSecret: () => Promise.resolve('') })
    assert.match(await refusal(none, { token: '' }), /^WEFT-401/)
  })

  test('what was let in is forgotten with its connection', async () => {
    const broker = await secured()
    const client = await broker.dial({ token: tokenFor(5) })
    client.close()
    await eventually(() => assert.equal(broker.broker.connections, 0))
    clock.advance(20_000)
    assert.equal(broker.broker.counters.identitiesOver, 0)
  })
})
