import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { serviceAccountId } from '@weft/model'
import fc from 'fast-check'
import type { Authority } from '../ca/authority.ts'
import {
  DAY_MS,
  HOUR_MS,
  NOW_MS,
  newIntermediate,
  newKey,
  newRequest,
  newRoot,
} from '../identity-fixture.ts'
import { readCertificate } from './certificate.ts'
import { readPem } from './pem.ts'
import { CLIENT_AUTH, KEY_USAGE, SERVER_AUTH } from './svid-rules.ts'
import { type Roots, verifySvid } from './verify-svid.ts'
import { type CertificateContent, publicKeyOf, writeCertificate } from './write-certificate.ts'

const DOMAIN = 'cluster.local'
const cart = serviceAccountId(DOMAIN, 'shop', 'cart')
const root = newRoot(DOMAIN)
const intermediate = newIntermediate(root)
const rootsOf = (...authorities: readonly Authority[]): Roots =>
  new Map(authorities.map((each) => [each.trustDomain, readPem(each.rootPem, 'CERTIFICATE')]))
const roots = rootsOf(root)
const lifetime = { nowMs: NOW_MS, lifetimeMs: DAY_MS }

/** A leaf that breaks what `changes` says. */
function leafWith(changes: Partial<CertificateContent>, signer: Authority = intermediate): Buffer {
  return signer.sign({
    commonName: '',
    publicKey: publicKeyOf(newKey()),
    notBeforeMs: NOW_MS,
    notAfterMs: NOW_MS + DAY_MS,
    uriNames: ['spiffe://cluster.local/ns/shop/sa/cart'],
    keyUsage: KEY_USAGE.digitalSignature,
    extendedKeyUsage: [SERVER_AUTH, CLIENT_AUTH],
    ...changes,
  })
}

function problemOf(chain: readonly Uint8Array[], trusted = roots, nowMs = NOW_MS): string {
  const verified = verifySvid(chain, trusted, nowMs)
  return verified.ok ? 'none' : verified.problem
}

describe('R39: an SVID is believed', () => {
  test('when an intermediate signed it and its root is trusted', () => {
    const { chain, notAfterMs } = intermediate.issue(newRequest(), cart, lifetime)
    assert.deepEqual(verifySvid(chain, roots, NOW_MS), { ok: true, id: cart, notAfterMs })
  })

  test('when the root signed it itself', () => {
    assert.equal(problemOf(root.issue(newRequest(), cart, lifetime).chain), 'none')
  })

  test('whatever order its signers come in, and with strangers among them', () => {
    const { chain } = intermediate.issue(newRequest(), cart, lifetime)
    const [leaf, signer] = chain as [Buffer, Buffer]
    const stranger = newIntermediate(newRoot(DOMAIN)).chain[0] as Buffer
    assert.equal(problemOf([leaf, stranger, signer]), 'none')
    assert.equal(problemOf([leaf, signer, stranger]), 'none')
  })

  test('from two minutes before it was issued, for clocks that differ (F27)', () => {
    const { chain } = intermediate.issue(newRequest(), cart, lifetime)
    assert.equal(problemOf(chain, roots, NOW_MS - 119_000), 'none')
    assert.match(problemOf(chain, roots, NOW_MS - 121_000), /not valid before/)
  })
})

const LEAVES: readonly [string, Partial<CertificateContent>, RegExp][] = [
  ['has no URI name', { uriNames: [], dnsNames: ['cart'] }, /no URI name/],
  [
    'has two URI names',
    { uriNames: ['spiffe://cluster.local/a', 'spiffe://cluster.local/b'] },
    /more than one URI name/,
  ],
  [
    'has a second name that is no SPIFFE ID',
    { uriNames: ['spiffe://cluster.local/a', 'https://b'] },
    /more than one URI name/,
  ],
  ['has a web address for a name', { uriNames: ['https://cluster.local/a'] }, /no SPIFFE ID/],
  ['names the trust domain', { uriNames: ['spiffe://cluster.local'] }, /names a trust domain/],
  ['has dots in its path', { uriNames: ['spiffe://cluster.local/a/../b'] }, /segments \. or \.\./],
  ['has an escape in its path', { uriNames: ['spiffe://cluster.local/%61'] }, /path segments may/],
  ['has NUL in its name', { uriNames: ['spiffe://cluster.local/a\0b'] }, /path segments may/],
  ['ends in a slash', { uriNames: ['spiffe://cluster.local/a/'] }, /empty segments/],
  ['has an upper-case domain', { uriNames: ['spiffe://Cluster.local/a'] }, /lower-case/],
  ['has a port', { uriNames: ['spiffe://cluster.local:1/a'] }, /lower-case/],
  ['is a CA', { ca: {} }, /CA certificate/],
  ['may sign certificates', { keyUsage: 1 | KEY_USAGE.keyCertSign }, /may sign certificates/],
  ['may sign revocation lists', { keyUsage: 1 | KEY_USAGE.cRLSign }, /may sign revocation/],
  ['may not sign handshakes', { keyUsage: 4 }, /may not sign handshakes/],
  ['is for servers only', { extendedKeyUsage: [SERVER_AUTH] }, /both servers and clients/],
  ['is for clients only', { extendedKeyUsage: [CLIENT_AUTH] }, /both servers and clients/],
  ['is of another domain', { uriNames: ['spiffe://other/a'] }, /nobody is trusted to vouch/],
  ['is not valid yet', { notBeforeMs: NOW_MS + HOUR_MS }, /not valid before/],
  ['is expired', { notAfterMs: NOW_MS - HOUR_MS, notBeforeMs: 0 }, /expired/],
]

describe('R39: a leaf is refused that', () => {
  for (const [what, changes, problem] of LEAVES) {
    test(what, () => {
      assert.match(problemOf([leafWith(changes), ...intermediate.chain]), problem)
    })
  }
})

const SIGNERS: readonly [string, Partial<CertificateContent>, RegExp][] = [
  ['is no CA', { ca: undefined as never }, /no CA certificate/],
  ['may not sign certificates', { keyUsage: 1 }, /may not sign certificates/],
  ['is expired', { notBeforeMs: 0, notAfterMs: NOW_MS - 1_000 }, /expired/],
  ['is of another domain', { uriNames: ['spiffe://other'] }, /is of spiffe:\/\/other/],
  ['is a workload', { uriNames: ['spiffe://cluster.local/ns/a/sa/b'] }, /is of spiffe/],
  ['has two names', { uriNames: ['spiffe://cluster.local', 'spiffe://b'] }, /more than one/],
  ['may sign for others only', { ca: { permittedUriHosts: ['other'] } }, /sign for other only/],
]

describe('R39: nothing is believed from a signer that', () => {
  for (const [what, changes, problem] of SIGNERS) {
    test(what, () => {
      const key = newKey()
      const { ca, ...rest } = { ca: {}, ...changes }
      const signer = root.sign({
        commonName: 'signer',
        publicKey: publicKeyOf(key),
        notBeforeMs: NOW_MS,
        notAfterMs: NOW_MS + DAY_MS,
        uriNames: ['spiffe://cluster.local'],
        keyUsage: KEY_USAGE.keyCertSign,
        ...rest,
        ...(ca === undefined ? {} : { ca }),
      })
      const { subject, subjectKeyId } = readCertificate(signer)
      const leaf = writeCertificate(
        {
          commonName: '',
          issuer: subject,
          issuerKeyId: subjectKeyId,
          publicKey: publicKeyOf(newKey()),
          notBeforeMs: NOW_MS,
          notAfterMs: NOW_MS + HOUR_MS,
          uriNames: ['spiffe://cluster.local/ns/shop/sa/cart'],
          keyUsage: KEY_USAGE.digitalSignature,
        },
        key,
      )
      assert.match(problemOf([leaf, signer]), problem)
    })
  }

  test('stands one too deep', () => {
    const second = newIntermediate(intermediate)
    const { chain } = second.issue(newRequest(), cart, lifetime)
    assert.match(problemOf(chain), /only 0 signers may follow it, and 1 do/)
  })
})

describe('R42: trust domains are apart', () => {
  const foreign = newRoot('partner.example')
  const both = rootsOf(root, foreign)

  test('a foreign root vouches for its own', () => {
    const id = serviceAccountId('partner.example', 'a', 'b')
    const { chain } = newIntermediate(foreign).issue(newRequest(), id, lifetime)
    assert.equal(problemOf(chain, both), 'none')
  })

  test('a foreign root names nobody here', () => {
    const leaf = leafWith({}, foreign)
    assert.match(problemOf([leaf], both), /no trusted root signed it/)
    assert.match(
      problemOf([leaf, ...readPem(foreign.rootPem, 'CERTIFICATE')], both),
      /cannot be used/,
    )
  })

  test('a foreign intermediate names nobody here', () => {
    const signer = newIntermediate(foreign)
    assert.match(problemOf([leafWith({}, signer), ...signer.chain], both), /cannot be used/)
  })

  test('an authority issues nothing outside its own', () => {
    const id = serviceAccountId('partner.example', 'a', 'b')
    assert.throws(() => root.issue(newRequest(), id, lifetime), /must be a workload of/)
  })
})

describe('what a peer sends', () => {
  test('that is nothing is refused', () => {
    assert.match(problemOf([]), /no certificate/)
  })

  test('that was changed anywhere is refused, and never crashes', () => {
    const { chain } = intermediate.issue(newRequest(), cart, lifetime)
    const leaf = chain[0] as Buffer
    fc.assert(
      fc.property(fc.nat(leaf.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const changed = Buffer.from(leaf)
        changed[at] = (changed[at] as number) ^ flip
        assert.notEqual(problemOf([changed, ...chain.slice(1)]), 'none')
      }),
      { numRuns: 300 },
    )
  })

  test('that is noise is refused, and never crashes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
        assert.notEqual(problemOf([noise]), 'none')
      }),
    )
  })

  test('that goes in circles ends soon', () => {
    const circle = Array.from({ length: 8 }, () => newRoot(DOMAIN).rootPem)
    const ders = circle.flatMap((pem) => readPem(pem, 'CERTIFICATE'))
    assert.match(problemOf([leafWith({}, newRoot(DOMAIN)), ...ders]), /no trusted root|signature/)
  })
})
