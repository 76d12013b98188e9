/** JWT-SVIDs and bundles from a running control plane, for who proves to be somebody. */
import assert from 'node:assert/strict'
import { createPublicKey, verify } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import type { ClientHttp2Session } from 'node:http2'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { POSSESSION_PREFIX, provePossession, readSpiffeBundle } from '@weft/identity'
import { eventually } from '@weft/testkit'
import { type BundleNews, loadIdentityMessages } from '@weft/xds'
import { type ControlPlane, startControlPlane } from '../control-plane.ts'
import { askFor, csrOf, newKey, openSession } from './test-ca-client.ts'

const ANY = { host: '127.0.0.1', port: 0 }
const UNAUTHENTICATED = 16
const INVALID_ARGUMENT = 3
const CART = 'spiffe://cluster.local/ns/shop/sa/cart'
const folder = mkdtempSync(join(tmpdir(), 'weft-jwt-'))
const messages = await loadIdentityMessages()
let plane: ControlPlane
let session: ClientHttp2Session
let held: { readonly chainPem: string; readonly keyPem: string }

before(async () => {
  plane = await startControlPlane({
    sources: [join(folder, 'mesh.yaml')],
    xds: ANY,
    admin: ANY,
    ca: { folder: join(folder, 'ca'), bootstrapFolder: folder, passphrase: 'secret' },
  })
  session = openSession(plane.xds)
  const { host, port } = plane.xds
  const token = readFileSync(join(folder, `${host}-${port}.token`), 'utf8').trim()
  const key = newKey()
  const metadata = { NAMESPACE: 'shop', SERVICE_ACCOUNT: 'cart' }
  const { chain } = await askFor(session, { token, metadata, csrPem: csrOf(key) })
  held = {
    chainPem: chain.slice(0, -1).join(''),
    keyPem: key.export({ type: 'pkcs8', format: 'pem' }).toString(),
  }
})

after(async () => {
  session.destroy()
  await plane.close()
  rmSync(folder, { recursive: true, force: true })
})

function call(method: string, message: Uint8Array, token?: string) {
  const stream = session.request({
    ':method': 'POST',
    ':path': `/weft.identity.v1.WorkloadIdentity/${method}`,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
  })
  const seen: { body: Buffer; status: number | undefined } = {
    body: Buffer.alloc(0),
    status: undefined,
  }
  const take = (fields: Record<string, unknown>) => {
    if (fields['grpc-status'] !== undefined) seen.status = Number(fields['grpc-status'])
  }
  stream.on('response', take)
  stream.on('trailers', take)
  stream.on('data', (chunk: Buffer) => {
    seen.body = Buffer.concat([seen.body, chunk])
  })
  const send = (one: Uint8Array) => {
    const head = Buffer.alloc(5)
    head.writeUInt32BE(one.length, 1)
    stream.write(Buffer.concat([head, one]))
  }
  send(message)
  return { stream, seen, send }
}

async function askJwt(audiences: readonly string[], token?: string) {
  const question = { audiences, validitySeconds: 0, metadata: {} }
  const { stream, seen } = call('IssueJwtSvid', messages.encodeJwtQuestion(question), token)
  stream.end()
  await eventually(() => assert.ok(seen.status !== undefined))
  return seen.status === 0 ? messages.decodeJwtReply(seen.body.subarray(5)) : seen.status
}

const proof = () => provePossession(held, 'cluster.local', Date.now())

function newest(body: Buffer): BundleNews {
  let at = 0
  let news: BundleNews | undefined
  while (at < body.length) {
    const end = at + 5 + body.readUInt32BE(at + 1)
    news = messages.decodeBundleNews(body.subarray(at + 5, end))
    at = end
  }
  assert.ok(news !== undefined)
  return news
}

test('who holds a certificate gets tokens for its own name, and the bundle verifies them', async () => {
  const reply = await askJwt(['pay'], proof())
  assert.ok(typeof reply === 'object')
  assert.equal(reply.id, CART)
  const said = { nodeId: 'n', identity: CART, version: '' }
  const { stream, seen } = call('WatchBundles', messages.encodeAcknowledgement(said))
  await eventually(() => assert.ok(seen.body.length > 0))
  stream.close()
  const { trustDomain, documents } = newest(seen.body)
  const read = readSpiffeBundle(trustDomain, documents.get(trustDomain) ?? '')
  assert.ok(read.ok)
  const [jwk] = read.bundle.jwtKeys
  const [head = '', body = '', tail = ''] = reply.token.split('.')
  const key = createPublicKey({ key: { ...jwk }, format: 'jwk' })
  const how = { key, dsaEncoding: 'ieee-p1363' } as const
  const signature = Buffer.from(tail, 'base64url')
  assert.ok(verify('sha256', Buffer.from(`${head}.${body}`), how, signature))
  assert.equal(JSON.parse(Buffer.from(body, 'base64url').toString()).sub, CART)
})

test('a proof that was used, that is none, or none at all gets no token', async () => {
  const once = proof()
  assert.equal(typeof (await askJwt(['pay'], once)), 'object')
  assert.equal(await askJwt(['pay'], once), UNAUTHENTICATED)
  assert.equal(await askJwt(['pay'], `${POSSESSION_PREFIX}a.b.c`), UNAUTHENTICATED)
  assert.equal(await askJwt(['pay']), UNAUTHENTICATED)
  assert.equal(await askJwt([], proof()), INVALID_ARGUMENT)
})

test('a certificate is renewed by a proof of possession, for the same identity', async () => {
  const renewed = await askFor(session, { token: proof() })
  assert.equal(renewed.status, 0, renewed.text)
  const stolen = { ...held, keyPem: newKey().export({ type: 'pkcs8', format: 'pem' }).toString() }
  const token = provePossession(stolen, 'cluster.local', Date.now())
  assert.equal((await askFor(session, { token })).status, UNAUTHENTICATED)
})

test('F13: a watcher hears of a new root at once, and a rotation waits for it', async () => {
  const said = { nodeId: 'agent', identity: CART, version: '' }
  const { stream, seen, send } = call('WatchBundles', messages.encodeAcknowledgement(said))
  await eventually(() => assert.ok(seen.body.length > 0))
  const first = newest(seen.body)
  send(messages.encodeAcknowledgement({ ...said, version: first.version }))
  const { host, port } = plane.admin
  const token = readFileSync(join(folder, `${host}-${port}.admin-token`), 'utf8').trim()
  const rotated = await fetch(`http://${host}:${port}/v1/ca/rotate`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: '{}',
  })
  assert.equal(rotated.status, 200, await rotated.clone().text())
  await eventually(() => assert.notEqual(newest(seen.body).version, first.version))
  const { documents, version, trustDomain } = newest(seen.body)
  const read = readSpiffeBundle(trustDomain, documents.get(trustDomain) ?? '')
  assert.equal(read.ok && read.bundle.roots.length, 2)
  const waitsFor = async () => {
    const status = await fetch(`http://${host}:${port}/v1/ca`, {
      headers: { authorization: `Bearer ${token}` },
    })
    return JSON.stringify(((await status.json()) as { rotation: unknown }).rotation)
  }
  assert.match(await waitsFor(), /agent/)
  send(messages.encodeAcknowledgement({ ...said, version }))
  await eventually(async () => assert.doesNotMatch(await waitsFor(), /agent/))
  stream.close()
})

test('the keys that sign tokens are sealed on disk like the others', () => {
  const text = readFileSync(join(folder, 'ca', 'ca.json'), 'utf8')
  assert.match(text, /jwtKeys/)
  assert.doesNotMatch(text, /PRIVATE KEY/)
})
