/** Keys are told before they sign, and as long as something that they signed is good. */
import assert from 'node:assert/strict'
import { createPublicKey, verify } from 'node:crypto'
import { test } from 'node:test'
import { NOW_MS } from '../identity-fixture.ts'
import { DEFAULT_JWT_POLICY, freshJwtKeys, publicJwk, signingKey } from './jwt-keys.ts'
import { signJwtSvid } from './jwt-svid.ts'

const { keyMs, announceMs, maxTokenMs } = DEFAULT_JWT_POLICY
const fresh = (keys: Parameters<typeof freshJwtKeys>[0], nowMs: number) =>
  freshJwtKeys(keys, nowMs, DEFAULT_JWT_POLICY)

test('the first key signs at once, and nothing changes until half of its life', () => {
  const keys = fresh([], NOW_MS)
  assert.equal(signingKey(keys, NOW_MS), keys[0])
  assert.equal(fresh(keys, NOW_MS + keyMs / 2 - 1), keys)
})

test('the next key is told before it signs, and the one before is told until its tokens have ended', () => {
  const first = fresh([], NOW_MS)
  const turnMs = NOW_MS + keyMs / 2
  const both = fresh(first, turnMs)
  assert.equal(both.length, 2)
  assert.equal(signingKey(both, turnMs), first[0])
  assert.equal(signingKey(both, turnMs + announceMs), both[1])
  assert.equal(fresh(both, NOW_MS + keyMs - 1), both)
  assert.ok(turnMs + announceMs + maxTokenMs < NOW_MS + keyMs)
  assert.deepEqual(fresh(both, NOW_MS + keyMs)[0], both[1])
})

test('who was away for longer than a key lives begins anew', () => {
  const old = fresh([], NOW_MS)
  const nowMs = NOW_MS + 10 * keyMs
  assert.equal(signingKey(old, nowMs), undefined)
  const keys = fresh(old, nowMs)
  assert.equal(keys.length, 1)
  assert.equal(signingKey(keys, nowMs), keys[0])
})

test('a JWT-SVID says who for whom until when, and its key verifies it', () => {
  const [key] = fresh([], NOW_MS)
  assert.ok(key !== undefined)
  const id = { trustDomain: 'mesh.example', path: '/ns/shop/sa/cart' }
  const request = { id, audiences: ['pay', 'ship'], nowMs: NOW_MS, lifetimeMs: 300_000 }
  const { token, notAfterMs } = signJwtSvid(key, request)
  const [head = '', body = '', tail = ''] = token.split('.')
  const read = (text: string) => JSON.parse(Buffer.from(text, 'base64url').toString())
  assert.deepEqual(read(head), { alg: 'ES256', kid: key.keyId, typ: 'JWT' })
  const { sub, aud, iat, exp } = read(body)
  assert.deepEqual(
    { sub, aud, iat, exp },
    {
      sub: 'spiffe://mesh.example/ns/shop/sa/cart',
      aud: ['pay', 'ship'],
      iat: NOW_MS / 1_000,
      exp: NOW_MS / 1_000 + 300,
    },
  )
  assert.equal(notAfterMs, NOW_MS + 300_000)
  const publicKey = createPublicKey({ key: { ...publicJwk(key) }, format: 'jwk' })
  const signature = Buffer.from(tail, 'base64url')
  const how = { key: publicKey, dsaEncoding: 'ieee-p1363' as const }
  assert.ok(verify('sha256', Buffer.from(`${head}.${body}`), how, signature))
})

test('no token outlives its key', () => {
  const [key] = fresh([], NOW_MS)
  assert.ok(key !== undefined)
  const nowMs = key.notAfterMs - 10_000
  const id = { trustDomain: 'mesh.example', path: '/a' }
  const { notAfterMs } = signJwtSvid(key, { id, audiences: ['b'], nowMs, lifetimeMs: 300_000 })
  assert.equal(notAfterMs, key.notAfterMs)
})
