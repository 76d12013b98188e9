/** The bundle on its way to proxies, rotations that wait for them, and who may be which of them. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { ClientHttp2Session } from 'node:http2'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { type Clock, realClock } from '@weft/base'
import { eventually } from '@weft/testkit'
import { type ControlPlane, type ControlPlaneOptions, startControlPlane } from '../control-plane.ts'
import type { CaStatus } from './ca-status.ts'
import { exportCaKeys } from './export-keys.ts'
import type { CaOptions } from './options.ts'
import { askFor, csrOf, newKey, openSession } from './test-ca-client.ts'
import { openXds } from './test-xds-client.ts'

const ANY = { host: '127.0.0.1', port: 0 }
const CART = {
  id: 'sidecar~10.0.0.1~cart-1.shop~shop.svc.cluster.local',
  metadata: { NAMESPACE: 'shop', SERVICE_ACCOUNT: 'cart' },
}
const DAY_MS = 86_400_000

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'weft-bundle-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

interface More {
  readonly sources?: readonly string[]
  readonly stateDir?: string
  readonly ca?: CaOptions
  readonly clock?: Clock
}

async function open(t: TestContext, more: More = {}): Promise<ControlPlane> {
  const options: ControlPlaneOptions = {
    sources: [join(folderOf(t), 'none.yaml')],
    xds: ANY,
    xdsTls: ANY,
    admin: ANY,
    random: () => 0,
    ...more,
  }
  const plane = await startControlPlane(options)
  t.after(() => plane.close())
  return plane
}

function sessionOf(
  t: TestContext,
  plane: ControlPlane,
  tls?: { readonly cert?: string; readonly key?: string },
): ClientHttp2Session {
  const session = openSession(tls === undefined ? plane.xds : (plane.xdsTls ?? ANY), tls)
  t.after(() => session.destroy())
  return session
}

const asOwner = (plane: ControlPlane) => ({ authorization: `Bearer ${plane.ownerToken}` })

async function ask<T>(plane: ControlPlane, path: string, body?: object): Promise<T> {
  const { host, port } = plane.admin
  const response = await fetch(`http://${host}:${port}${path}`, {
    headers: { 'content-type': 'application/json', ...asOwner(plane) },
    ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
  })
  return (await response.json()) as T
}

const statusOf = (plane: ControlPlane) => ask<CaStatus>(plane, '/v1/ca')

async function newToken(plane: ControlPlane, serviceAccount = 'cart'): Promise<string> {
  const { token } = await ask<{ token: string }>(plane, '/v1/join-tokens', {
    namespace: 'shop',
    serviceAccount,
  })
  return token.split('@')[0] ?? ''
}

/** A certificate of shop/cart, as TLS takes it. */
async function identityOf(t: TestContext, plane: ControlPlane) {
  const key = newKey()
  const { chain } = await askFor(sessionOf(t, plane), {
    token: await newToken(plane),
    csrPem: csrOf(key),
    metadata: { NODE_ID: CART.id },
  })
  const keyPem = key.export({ type: 'pkcs8', format: 'pem' }).toString()
  return { cert: chain.slice(0, -1).join(''), key: keyPem }
}

const rootsIn = (response: Buffer) =>
  response.toString('latin1').split('-----BEGIN CERTIFICATE-----').length - 1

describe('F13: the trust bundle', () => {
  test('reaches every proxy, and a rotation waits for those that have not acknowledged it', async (t) => {
    const policy = { minDistributeMs: 0, maxLeafMs: 60_000 }
    const plane = await open(t, { ca: { policy } })
    await identityOf(t, plane)
    const stream = openXds(sessionOf(t, plane), CART)
    assert.equal(rootsIn(await stream.next()), 1)
    stream.acknowledge()
    const before = await ask<CaStatus>(plane, '/v1/ca/rotate', {})
    assert.equal(before.rotation.stage, 'distributing')
    assert.equal(rootsIn(await stream.next()), 2)
    const waiting = await statusOf(plane)
    assert.deepEqual(waiting.rotation.waitingFor, [{ holder: CART.id, lacks: 'bundle' }])
    assert.deepEqual(
      waiting.roots.map(({ role }) => role),
      ['active', 'next'],
    )
    stream.acknowledge()
    await eventually(async () => {
      assert.equal((await statusOf(plane)).rotation.stage, 'switched')
    })
    const switched = await statusOf(plane)
    assert.equal(switched.roots[0]?.keyId, before.roots[1]?.keyId)
    assert.deepEqual(switched.rotation.waitingFor, [{ holder: CART.id, lacks: 'certificate' }])
    await identityOf(t, plane)
    assert.deepEqual((await statusOf(plane)).rotation.waitingFor, [])
  })

  test('goes back to one root when a rotation is abandoned', async (t) => {
    const plane = await open(t)
    const stream = openXds(sessionOf(t, plane), CART)
    await stream.next()
    stream.acknowledge()
    await ask(plane, '/v1/ca/rotate', {})
    assert.equal(rootsIn(await stream.next()), 2)
    stream.acknowledge()
    await ask(plane, '/v1/ca/rotate', { abandon: true })
    assert.equal(rootsIn(await stream.next()), 1)
    assert.match(
      (await ask<{ error: string }>(plane, '/v1/ca/rotate', { abandon: true })).error,
      /Cannot abandon/,
    )
  })

  test('is the same after a restart in the middle of a rotation', async (t) => {
    const stateDir = folderOf(t)
    const first = await open(t, { stateDir })
    await ask(first, '/v1/ca/rotate', {})
    const { roots } = await statusOf(first)
    await first.close()
    const second = await open(t, { stateDir })
    const status = await statusOf(second)
    assert.deepEqual(status.roots, roots)
    assert.equal(status.rotation.stage, 'distributing')
    const stream = openXds(sessionOf(t, second), CART)
    assert.equal(rootsIn(await stream.next()), 2)
  })
})

describe('R74: over TLS a proxy is who its certificate says', () => {
  const others = [
    [
      'another service account',
      { ...CART, metadata: { ...CART.metadata, SERVICE_ACCOUNT: 'web' } },
    ],
    ['another namespace', { ...CART, metadata: { ...CART.metadata, NAMESPACE: 'prod' } }],
    ['no service account', { id: CART.id, metadata: { NAMESPACE: 'shop' } }],
    ['another namespace in its id', { ...CART, id: CART.id.replace('.shop~', '.prod~') }],
    ['nothing', { id: 'x' }],
  ] as const

  test('and gets its configuration', async (t) => {
    const plane = await open(t)
    const session = sessionOf(t, plane, await identityOf(t, plane))
    assert.equal(rootsIn(await openXds(session, CART).next()), 1)
  })

  test('and gets nothing as anybody else', async (t) => {
    const plane = await open(t)
    const session = sessionOf(t, plane, await identityOf(t, plane))
    for (const [what, node] of others) {
      assert.equal(await openXds(session, node).ended, 7, what)
    }
  })

  test('R74: and is told nothing of others by the debug types of Istio (CVE-2026-31838)', async (t) => {
    const file = join(folderOf(t), 'bank.yaml')
    writeFileSync(
      file,
      'kind: Service\napiVersion: v1\nmetadata: {name: canary, namespace: bank, annotations: {networking.istio.io/exportTo: "."}}\nspec: {ports: [{name: http, port: 80}]}\n',
    )
    const plane = await open(t, { sources: [file] })
    const other = await openXds(sessionOf(t, plane), {
      id: 'sidecar~127.0.0.1~other-canary.bank~bank.svc.cluster.local',
      metadata: { NAMESPACE: 'bank', SERVICE_ACCOUNT: 'other-canary' },
    })
    await other.next()
    const stream = openXds(sessionOf(t, plane, await identityOf(t, plane)), CART)
    const answers = [await stream.next()]
    stream.acknowledge()
    for (const kind of [
      'syncz',
      'config_dump',
      'configz',
      'registryz',
      'endpointz',
      'connections',
    ]) {
      stream.ask(`istio.io/debug/${kind}`)
      stream.ask(`istio.io/debug/${kind}?proxyID=other-canary.bank`)
    }
    // Its own, asked for last: what was answered before it has come by then.
    stream.ask('type.googleapis.com/envoy.config.cluster.v3.Cluster')
    while (!answers.at(-1)?.includes('envoy.config.cluster.v3.Cluster')) {
      answers.push(await stream.next())
      if (answers.length > 20) break
    }
    // An answer names the type that was asked for.
    const told = answers.map((one) => one.toString('latin1').replace(/proxyID=[\w.-]+/, '')).join()
    assert.equal(told.includes('canary'), false)
  })

  test('and gets nothing with no certificate, or one of another CA', async (t) => {
    const plane = await open(t)
    assert.equal(await openXds(sessionOf(t, plane, {}), CART).ended, 16)
    const foreign = await identityOf(t, await open(t))
    assert.equal(await openXds(sessionOf(t, plane, foreign), CART).ended, 16)
  })

  test('a join token is for a certificate, not for a configuration', async (t) => {
    const plane = await open(t)
    const token = await newToken(plane)
    assert.equal(await openXds(sessionOf(t, plane, {}), CART, token).ended, 16)
    assert.equal((await askFor(sessionOf(t, plane), { token })).status, 0)
  })
})

describe('what does not work is said, and the rest goes on', () => {
  test('plaintext for others is refused unless it was asked for', async () => {
    await assert.rejects(
      startControlPlane({ sources: [], xds: { host: '0.0.0.0', port: 0 }, admin: ANY }),
      /Cannot serve xDS without TLS on 0\.0\.0\.0/,
    )
  })

  test('without its CA a control plane starts, and asks for patience', async (t) => {
    const stateDir = folderOf(t)
    await (await open(t, { stateDir, ca: { passphrase: 'secret' } })).close()
    const plane = await open(t, { stateDir })
    const status = await statusOf(plane)
    assert.equal(status.state, 'unavailable')
    assert.match(status.problems[0] ?? '', /passphrase/)
    assert.equal((await askFor(sessionOf(t, plane), { token: 'x' })).status, 14)
    assert.deepEqual(await ask(plane, '/v1/ca/bundle'), { error: 'the CA is not available' })
    assert.match((await ask<{ error: string }>(plane, '/v1/ca/rotate', {})).error, /passphrase/)
  })

  test('a year later it starts, signs again, and says what has ended', async (t) => {
    const stateDir = folderOf(t)
    const policy = { rootMs: 100 * DAY_MS }
    await (await open(t, { stateDir, ca: { policy } })).close()
    const later: Clock = { ...realClock, nowMs: () => realClock.nowMs() + 365 * DAY_MS }
    const plane = await open(t, { stateDir, ca: { policy }, clock: later })
    const status = await statusOf(plane)
    assert.equal(status.state, 'degraded')
    assert.match(status.problems[0] ?? '', /the root certificate expired at/)
    const metrics = await fetch(`http://${plane.admin.host}:${plane.admin.port}/metrics`, {
      headers: asOwner(plane),
    })
    const line = /^citadel_server_root_cert_expiry_seconds (\S+)$/m.exec(await metrics.text())
    assert.ok(Number(line?.[1]) < 0)
    const refused = await askFor(sessionOf(t, plane), { token: await newToken(plane) })
    assert.equal(refused.status, 14)
    assert.match(refused.text, /expired/)
  })

  test('bad proofs from one address are refused before they are looked at', async (t) => {
    const limits = { failureBurst: 3, failuresPerSecond: 0, issueBurst: 2, issuesPerSecond: 0 }
    const plane = await open(t, { ca: { limits } })
    const session = sessionOf(t, plane)
    const statuses = []
    for (const account of ['cart', 'cart', 'cart', 'web']) {
      statuses.push((await askFor(session, { token: await newToken(plane, account) })).status)
    }
    assert.deepEqual(statuses, [0, 0, 8, 0])
    for (let i = 0; i < 3; i++) assert.equal((await askFor(session, { token: 'x' })).status, 16)
    assert.equal((await askFor(session, { token: await newToken(plane, 'pay') })).status, 8)
  })
})

test("the user's own CA comes from a Secret of the sources", async (t) => {
  const donor = await open(t, { stateDir: folderOf(t) })
  const stateDir = folderOf(t)
  const first = await open(t, { stateDir })
  await first.close()
  const files = await exportCaKeys(join(stateDir, 'ca'))
  const source = join(folderOf(t), 'secret.yaml')
  const secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'cacerts', namespace: 'istio-system' },
    stringData: files,
  }
  writeFileSync(source, JSON.stringify(secret))
  const plane = await startControlPlane({ sources: [source], xds: ANY, admin: ANY })
  t.after(() => plane.close())
  const { bundle } = await ask<{ bundle: string }>(plane, '/v1/ca/bundle')
  assert.equal(bundle, files['root-cert.pem'])
  assert.notEqual(bundle, (await ask<{ bundle: string }>(donor, '/v1/ca/bundle')).bundle)
})
