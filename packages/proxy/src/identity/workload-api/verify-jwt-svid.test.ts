/** A JWT-SVID is believed by the keys of its subject's own trust domain, and by nothing else. */
import assert from 'node:assert/strict'
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { test } from 'node:test'
import { verifyJwtSvid } from './verify-jwt-svid.ts'

const NOW_MS = Date.UTC(2026, 5, 1)
const NOW_S = NOW_MS / 1_000
const newKey = () => generateKeyPairSync('ec', { namedCurve: 'P-256' })
const own = newKey()
const foreign = newKey()
const keySet = (kid: string, { publicKey }: typeof own) => ({
  jwtKeys: [{ ...publicKey.export({ format: 'jwk' }), kid, use: 'jwt-svid' }],
})
const bundles = new Map([
  ['mesh.example', keySet('own', own)],
  ['other.example', keySet('foreign', foreign)],
])

function token(
  claims: Readonly<Record<string, unknown>> = {},
  header: Readonly<Record<string, unknown>> = {},
  key: KeyObject = own.privateKey,
): string {
  const part = (fields: object) => Buffer.from(JSON.stringify(fields)).toString('base64url')
  const head = part({ alg: 'ES256', kid: 'own', typ: 'JWT', ...header })
  const sub = 'spiffe://mesh.example/ns/shop/sa/cart'
  const body = part({ sub, aud: ['pay'], iat: NOW_S, exp: NOW_S + 300, ...claims })
  const how = { key, dsaEncoding: 'ieee-p1363' } as const
  return `${head}.${body}.${sign('sha256', Buffer.from(`${head}.${body}`), how).toString('base64url')}`
}

const verify = (text: string, audience = 'pay', nowMs = NOW_MS) =>
  verifyJwtSvid(text, audience, bundles, nowMs)
const refusal = (judged: ReturnType<typeof verify>) => (judged.ok ? 'taken' : judged.problem)

test('who has a token of the mesh is who it says, with all that it claims', () => {
  const judged = verify(token({ more: { n: 1 } }))
  assert.ok(judged.ok)
  assert.equal(judged.id, 'spiffe://mesh.example/ns/shop/sa/cart')
  assert.deepEqual(JSON.parse(JSON.stringify(judged.claims)), {
    sub: 'spiffe://mesh.example/ns/shop/sa/cart',
    aud: ['pay'],
    iat: NOW_S,
    exp: NOW_S + 300,
    more: { n: 1 },
  })
})

test('no typ, or JOSE, is as good', () => {
  assert.equal(refusal(verify(token({}, { typ: undefined }))), 'taken')
  assert.equal(refusal(verify(token({}, { typ: 'JOSE' }))), 'taken')
})

test('R42: a key of another trust domain names nobody here', () => {
  const sub = 'spiffe://other.example/a'
  assert.equal(refusal(verify(token({ sub }, { kid: 'foreign' }, foreign.privateKey))), 'taken')
  assert.notEqual(refusal(verify(token({}, { kid: 'foreign' }, foreign.privateKey))), 'taken')
  assert.notEqual(refusal(verify(token({}, {}, foreign.privateKey))), 'taken')
  assert.match(refusal(verify(token({ sub: 'spiffe://third.example/a' }))), /third\.example/)
})

test('what a JWT-SVID must not be is refused', () => {
  assert.notEqual(refusal(verify(token(), 'ship')), 'taken')
  assert.notEqual(refusal(verify(token(), 'pay', NOW_MS + 301_000)), 'taken')
  assert.notEqual(refusal(verify(token({ exp: undefined }))), 'taken')
  assert.match(refusal(verify(token({ sub: 'cart' }))), /SPIFFE ID/)
  assert.match(refusal(verify(token({}, { typ: 'at+jwt' }))), /typ/)
  assert.notEqual(refusal(verify(token({}, { alg: 'none' }))), 'taken')
  assert.notEqual(refusal(verify(token({}, { alg: 'EdDSA' }))), 'taken')
  assert.notEqual(refusal(verify('a.b.c')), 'taken')
  assert.notEqual(refusal(verify('')), 'taken')
})
