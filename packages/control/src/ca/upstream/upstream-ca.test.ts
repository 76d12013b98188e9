/** A control plane whose certificates another one signs: both are real, over TLS. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { ClientHttp2Session } from 'node:http2'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { connect } from 'node:tls'
import { verifySvid } from '@weft/identity'
import { renderSpiffeId, type SocketAddress } from '@weft/model'
import { eventually } from '@weft/testkit'
import { type ControlPlane, startControlPlane } from '../../control-plane.ts'
import type { CaStatus } from '../ca-status.ts'
import type { CaOptions } from '../options.ts'
import { askFor, csrOf, derOf, newKey, openSession } from '../test-ca-client.ts'
import { openXds } from '../test-xds-client.ts'

const ANY = { host: '127.0.0.1', port: 0 }
const UNAVAILABLE = 14
const EAST = { namespace: 'istio-system', serviceAccount: 'weft-east' }
const CART = {
  id: 'sidecar~10.0.0.1~cart-1.shop~shop.svc.cluster.local',
  metadata: { NAMESPACE: 'shop', SERVICE_ACCOUNT: 'cart' },
}
const CART_ID = 'spiffe://cluster.local/ns/shop/sa/cart'

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'weft-upstream-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

interface More {
  readonly ca?: CaOptions
  readonly stateDir?: string
  readonly xdsTls?: SocketAddress
}

async function open(t: TestContext, { xdsTls = ANY, ...more }: More): Promise<ControlPlane> {
  const plane = await startControlPlane({
    sources: [join(folderOf(t), 'none.yaml')],
    xds: ANY,
    xdsTls,
    admin: ANY,
    random: () => 0,
    ...more,
  })
  t.after(() => plane.close())
  return plane
}

/** As in a mesh that others ask: `istio-system/weft-east` may ask for everybody. */
function openUpstream(t: TestContext, more: More = {}): Promise<ControlPlane> {
  const ca: CaOptions = {
    delegates: ['istio-system/weft-east'],
    policy: { minDistributeMs: 0 },
    ...more.ca,
  }
  return open(t, { ...more, ca })
}

async function ask<T>(plane: ControlPlane, path: string, body?: object): Promise<T> {
  const { host, port } = plane.admin
  const response = await fetch(`http://${host}:${port}${path}`, {
    headers: {
      'content-type': 'application/json',
      authorization: `Bearer ${plane.ownerToken}`,
    },
    ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
  })
  return (await response.json()) as T
}

const statusOf = (plane: ControlPlane) => ask<CaStatus>(plane, '/v1/ca')

async function joinToken(plane: ControlPlane, account: object): Promise<string> {
  const { token } = await ask<{ token: string }>(plane, '/v1/join-tokens', {
    ...account,
    uses: 'any',
    ttlSeconds: 3_600,
  })
  return token
}

/** What `weft control --upstream-ca … --upstream-ca-token-file …` has. */
async function asEast(t: TestContext, upstream: ControlPlane, account = EAST): Promise<CaOptions> {
  const path = join(folderOf(t), 'token')
  // With the hash of the upstream's root in it: nothing else says whom to believe.
  writeFileSync(path, `${await joinToken(upstream, account)}\n`)
  return {
    upstream: { address: upstream.xdsTls ?? ANY, credentials: { kind: 'token', path } },
    policy: { minDistributeMs: 0, maxLeafMs: 60_000 },
  }
}

function sessionOf(t: TestContext, plane: ControlPlane): ClientHttp2Session {
  const session = openSession(plane.xds)
  t.after(() => session.destroy())
  return session
}

async function askAsCart(t: TestContext, plane: ControlPlane) {
  const token = (await joinToken(plane, { namespace: 'shop', serviceAccount: 'cart' })).split(
    '@',
  )[0]
  return askFor(sessionOf(t, plane), {
    ...(token === undefined ? {} : { token }),
    csrPem: csrOf(newKey()),
    metadata: { NODE_ID: CART.id },
  })
}

/** Whom a chain proves under its own last certificate. */
function idOf(chain: readonly string[]): string {
  const der = derOf(chain)
  const root = der.at(-1) ?? Buffer.alloc(0)
  const verified = verifySvid(der, new Map([['cluster.local', [root]]]), Date.now())
  return verified.ok ? renderSpiffeId(verified.id) : verified.problem
}

async function bundleOf(plane: ControlPlane): Promise<string> {
  return (await ask<{ bundle: string }>(plane, '/v1/ca/bundle')).bundle
}

/** The DNS name is checked, as every proxy does. */
function handshake({ xdsTls = ANY }: ControlPlane, rootsPem: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(
      { ...xdsTls, ca: rootsPem, servername: 'istiod.istio-system.svc', ALPNProtocols: ['h2'] },
      () => {
        resolve(socket.authorized)
        socket.destroy()
      },
    )
    socket.on('error', reject)
  })
}

describe('an upstream CA', () => {
  test('signs for workloads and for the control plane itself, and its root is what the mesh trusts', async (t) => {
    const upstream = await openUpstream(t)
    const east = await open(t, { ca: await asEast(t, upstream) })
    const { status, text, chain } = await askAsCart(t, east)
    assert.deepEqual([status, text], [0, ''])
    assert.equal(idOf(chain), CART_ID)
    assert.equal(await bundleOf(east), await bundleOf(upstream))
    assert.equal(chain.at(-1), await bundleOf(upstream))
    assert.equal(await handshake(east, await bundleOf(upstream)), true)
    const { state, upstream: shown } = await statusOf(east)
    assert.deepEqual([state, shown?.state, shown?.problem], ['ok', 'ok', undefined])
    assert.ok((shown?.signed ?? 0) >= 2)
  })

  test('is asked with a certificate of its own, as files that change', async (t) => {
    const upstream = await openUpstream(t)
    const folder = folderOf(t)
    const key = newKey()
    const token = (await joinToken(upstream, EAST)).split('@')[0] ?? ''
    const { chain } = await askFor(sessionOf(t, upstream), { token, csrPem: csrOf(key) })
    writeFileSync(join(folder, 'cert-chain.pem'), chain.slice(0, -1).join(''))
    writeFileSync(join(folder, 'key.pem'), key.export({ type: 'pkcs8', format: 'pem' }).toString())
    writeFileSync(join(folder, 'root-cert.pem'), chain.at(-1) ?? '')
    const address = upstream.xdsTls ?? ANY
    const ca = { upstream: { address, credentials: { kind: 'certificate', folder } } } as const
    const east = await open(t, { ca })
    assert.equal(idOf((await askAsCart(t, east)).chain), CART_ID)
  })

  test('that was not told who may ask for others refuses, and says what to do', async (t) => {
    const upstream = await openUpstream(t, { ca: { delegates: ['istio-system/weft-west'] } })
    const east = await open(t, { ca: await asEast(t, upstream) })
    const { status, text } = await askAsCart(t, east)
    assert.equal(status, UNAVAILABLE)
    assert.match(text, /weft-east may not ask for others: allow it with --ca-delegates/)
    const { state, problems } = await statusOf(east)
    assert.equal(state, 'unavailable')
    assert.match(problems.join(), /--ca-delegates istio-system\/weft-east/)
  })

  test('that is away is told, asked again later, and what there is holds, also over a restart', async (t) => {
    const state = folderOf(t)
    const upstream = await openUpstream(t, { stateDir: state, ca: { folder: join(state, 'ca') } })
    const { xdsTls = ANY } = upstream
    const options = { ...(await asEast(t, upstream)), folder: folderOf(t) }
    const east = await open(t, { ca: options })
    const roots = await bundleOf(upstream)
    await upstream.close()
    const { status, text } = await askAsCart(t, east)
    assert.equal(status, UNAVAILABLE)
    assert.match(text, /upstream CA 127\.0\.0\.1:\d+: .*ECONNREFUSED/)
    const down = await statusOf(east)
    assert.deepEqual([down.state, down.upstream?.state], ['degraded', 'failing'])
    assert.match(down.problems.join(), /does not sign: .*ECONNREFUSED/)
    assert.equal(await handshake(east, roots), true)
    await east.close()
    const again = await open(t, { ca: options })
    assert.equal(await handshake(again, roots), true)
    assert.equal(await bundleOf(again), roots)
    await openUpstream(t, { stateDir: state, ca: { folder: join(state, 'ca') }, xdsTls })
    await eventually(async () => {
      assert.equal(idOf((await askAsCart(t, again)).chain), CART_ID)
    })
    assert.equal((await statusOf(again)).state, 'ok')
  })

  test('F13: that changes its root is followed: nobody gets a certificate under it before all know it', async (t) => {
    const upstream = await openUpstream(t, {
      ca: { delegates: ['istio-system/weft-east'], policy: { minDistributeMs: 1_500 } },
    })
    const east = await open(t, { ca: await asEast(t, upstream) })
    const session = sessionOf(t, east)
    const stream = openXds(session, CART)
    await stream.next()
    stream.acknowledge()
    const [old] = (await statusOf(east)).roots
    assert.equal(idOf((await askAsCart(t, east)).chain), CART_ID)
    await ask(upstream, '/v1/ca/rotate', {})
    // It signs under the old one, and tells the new one already.
    assert.equal(idOf((await askAsCart(t, east)).chain), CART_ID)
    assert.equal((await statusOf(east)).rotation.stage, 'distributing')
    await eventually(async () => {
      assert.equal((await statusOf(upstream)).rotation.stage, 'switched')
    })
    const withheld = await askAsCart(t, east)
    assert.equal(withheld.status, UNAVAILABLE)
    assert.match(withheld.text, /new root .*certificates come when everybody has been told it/)
    const { rotation, roots } = await statusOf(east)
    assert.equal(rotation.stage, 'distributing')
    assert.deepEqual(rotation.waitingFor, [{ holder: CART.id, lacks: 'bundle' }])
    assert.equal(roots[0]?.keyId, old?.keyId)
    await stream.next()
    stream.acknowledge()
    await eventually(async () => {
      assert.equal((await statusOf(east)).rotation.stage, 'switched')
    })
    const anew = await askAsCart(t, east)
    assert.deepEqual([anew.status, anew.text], [0, ''])
    assert.equal(idOf(anew.chain), CART_ID)
    const after = await statusOf(east)
    assert.deepEqual([after.roots.length, after.roots[1]?.keyId], [2, old?.keyId])
    assert.deepEqual(after.rotation.waitingFor, [])
    const [active = ''] = (await bundleOf(east)).split(/(?<=-----END CERTIFICATE-----\n)/)
    assert.equal(anew.chain.at(-1), active)
    await eventually(async () => assert.equal(await handshake(east, active), true))
  })

  test('F13: takes over from a CA of the mesh’s own as by a rotation', async (t) => {
    const folder = folderOf(t)
    const policy = { minDistributeMs: 0, maxLeafMs: 60_000 }
    const before = await open(t, { ca: { folder, policy } })
    const own = await bundleOf(before)
    await before.close()
    const upstream = await openUpstream(t)
    const east = await open(t, { ca: { ...(await asEast(t, upstream)), folder } })
    await eventually(async () => {
      const { rotation, roots } = await statusOf(east)
      assert.deepEqual([rotation.stage, roots.length], ['switched', 2])
    })
    assert.equal(await bundleOf(east), `${await bundleOf(upstream)}${own}`)
    assert.equal((await askAsCart(t, east)).chain.at(-1), await bundleOf(upstream))
    const refused = await ask<{ error: string }>(east, '/v1/ca/rotate', {})
    assert.match(refused.error, /the root is that of the upstream CA .*change it there/)
  })

  test('whoever is no delegate cannot become another, whatever its request says', async (t) => {
    const upstream = await openUpstream(t)
    const session = sessionOf(t, upstream)
    const asked = async (account: object, ImpersonatedIdentity: string) => {
      const token = (await joinToken(upstream, account)).split('@')[0] ?? ''
      return askFor(session, { token, metadata: { ImpersonatedIdentity } })
    }
    const admin = 'spiffe://cluster.local/ns/shop/sa/admin'
    const stranger = await asked({ namespace: 'shop', serviceAccount: 'cart' }, admin)
    assert.equal(stranger.status, 7)
    assert.match(stranger.text, /may not ask for others/)
    assert.equal(idOf((await asked(EAST, admin)).chain), admin)
    for (const wanted of [
      'spiffe://other.example/ns/shop/sa/admin',
      'spiffe://cluster.local/elsewhere',
      'admin',
    ]) {
      assert.equal((await asked(EAST, wanted)).status, 7, wanted)
    }
  })
})
