/** Who holds the key of a certificate can say so once; nobody else can. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DAY_MS, HOUR_MS, NOW_MS, newIntermediate, newKey, newRoot } from '../identity-fixture.ts'
import { readCertificateRequest } from '../x509/certificate-request.ts'
import { readPem, writePem } from '../x509/pem.ts'
import { createCertificateRequest } from '../x509/write-request.ts'
import { PossessionProofs, provePossession } from './possession.ts'

const TRUST_DOMAIN = 'mesh.example'
const root = newRoot(TRUST_DOMAIN)
const signer = newIntermediate(root)
const roots = new Map([[TRUST_DOMAIN, readPem(signer.rootPem, 'CERTIFICATE')]])

function held(path = '/ns/shop/sa/cart') {
  const key = newKey()
  const read = readCertificateRequest(createCertificateRequest(key))
  assert.ok(read.ok)
  const id = { trustDomain: TRUST_DOMAIN, path }
  const { chain } = signer.issue(read.request, id, { nowMs: NOW_MS, lifetimeMs: HOUR_MS })
  return {
    chainPem: chain.map((der) => writePem('CERTIFICATE', der)).join(''),
    keyPem: key.export({ type: 'pkcs8', format: 'pem' }).toString(),
  }
}

const judge = (text: string, nowMs = NOW_MS, trustDomain = TRUST_DOMAIN) =>
  new PossessionProofs().judge(text, trustDomain, roots, nowMs)
const refusal = (judged: ReturnType<typeof judge>) => (judged.ok ? 'taken' : judged.problem)

test('a proof says who holds the certificate, once', () => {
  const proofs = new PossessionProofs()
  const text = provePossession(held(), TRUST_DOMAIN, NOW_MS)
  const judged = proofs.judge(text, TRUST_DOMAIN, roots, NOW_MS)
  assert.ok(judged.ok)
  assert.equal(judged.id.path, '/ns/shop/sa/cart')
  const again = proofs.judge(text, TRUST_DOMAIN, roots, NOW_MS + 1_000)
  assert.equal(refusal(again), 'it was used before')
})

test('another key, another time, another trust domain prove nothing', () => {
  const own = held()
  const stolen = provePossession({ ...own, keyPem: held().keyPem }, TRUST_DOMAIN, NOW_MS)
  assert.match(refusal(judge(stolen)), /signature/)
  const text = provePossession(own, TRUST_DOMAIN, NOW_MS)
  assert.match(refusal(judge(text, NOW_MS + 10 * 60_000)), /moment/)
  assert.match(refusal(judge(text, NOW_MS - 10 * 60_000)), /moment/)
  assert.match(refusal(judge(text, NOW_MS, 'other.example')), /another trust domain/)
  const late = provePossession(own, TRUST_DOMAIN, NOW_MS + DAY_MS)
  assert.notEqual(refusal(judge(late, NOW_MS + DAY_MS)), 'taken')
})

test('whatever is changed in a proof, it is refused, and nothing is thrown', () => {
  const text = provePossession(held(), TRUST_DOMAIN, NOW_MS)
  assert.ok(judge(text).ok)
  for (let at = 0; at < text.length; at += 7) {
    const other = text[at] === 'A' ? 'B' : 'A'
    const changed = text.slice(0, at) + other + text.slice(at + 1)
    // The last character of a part may hold bits that mean nothing.
    const isEnd = ['.', undefined].includes(text[at + 1])
    if (!isEnd) assert.ok(!judge(changed).ok, `position ${at}`)
    assert.ok(!judge(text.slice(0, at)).ok)
  }
})
