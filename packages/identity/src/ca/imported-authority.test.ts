/** R38: what a user may bring as a CA, and what is said of what they may not. */
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { describe, test } from 'node:test'
import { DAY_MS, NOW_MS, newIntermediate, newRequest, newRoot } from '../identity-fixture.ts'
import { writePem } from '../x509/pem.ts'
import { publicKeyOf, writeCertificate } from '../x509/write-certificate.ts'
import { Authority, type AuthorityFiles, createIntermediate, createRoot } from './authority.ts'
import { checkedAuthority } from './imported-authority.ts'

const DOMAIN = 'cluster.local'
const KEY_CERT_SIGN = 32

function own(more: Partial<AuthorityFiles> = {}): AuthorityFiles {
  const files = createIntermediate(newRoot(DOMAIN), { nowMs: NOW_MS, lifetimeMs: 90 * DAY_MS })
  return { ...files, ...more }
}

/** A signer three certificates below its root, as companies have them. */
function deep(): AuthorityFiles {
  const [root, policy, region, signer] = ['root', 'policy', 'region', 'signer'].map(newKey)
  if (!root || !policy || !region || !signer) throw new Error('Cannot happen')
  const nameOf = (key: Key) => new Authority(filesOf(key), DOMAIN)
  return {
    rootPem: filesOf(root).rootPem,
    chainPem: [
      [signer, region],
      [region, policy],
      [policy, root],
    ]
      .map(([each, parent]) => {
        if (!each || !parent) throw new Error('Cannot happen')
        return writePem('CERTIFICATE', nameOf(parent).sign(contentOf(each)))
      })
      .join(''),
    keyPem: pemOf(signer),
  }
}

type Key = ReturnType<typeof newKey>

function newKey(name: string) {
  return { name, ...generateKeyPairSync('ec', { namedCurve: 'P-256' }) }
}

function pemOf({ privateKey }: Key): string {
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
}

function contentOf({ name, privateKey }: Key) {
  return {
    commonName: name,
    publicKey: publicKeyOf(privateKey),
    notBeforeMs: NOW_MS - DAY_MS,
    notAfterMs: NOW_MS + 365 * DAY_MS,
    uriNames: [],
    keyUsage: KEY_CERT_SIGN,
    ca: {},
  }
}

/** The key as a root of its own: enough to sign with its name. */
function filesOf(key: Key): AuthorityFiles {
  const der = writeCertificate(contentOf(key), key.privateKey)
  return { chainPem: '', rootPem: writePem('CERTIFICATE', der), keyPem: pemOf(key) }
}

const check = (files: AuthorityFiles, nowMs = NOW_MS) => checkedAuthority(files, DOMAIN, nowMs)

describe("R38: the user's own CA", () => {
  test('is taken as it is, signer and root in one included', () => {
    const files = own()
    assert.deepEqual(check(files), files)
    const root = createRoot(DOMAIN, { nowMs: NOW_MS, lifetimeMs: DAY_MS })
    assert.deepEqual(check(root), root)
  })

  test('may have several signers above it, in any order; they are put into theirs', () => {
    const files = deep()
    const [signer = '', region = '', policy = ''] = files.chainPem.split(
      /(?<=END CERTIFICATE-----\n)/,
    )
    for (const chainPem of [files.chainPem, `${signer}${policy}${region}`]) {
      assert.equal(check({ ...files, chainPem }).chainPem, files.chainPem)
    }
  })

  const root = newRoot(DOMAIN)
  const leaf = newIntermediate(root).issue(
    newRequest(),
    { trustDomain: DOMAIN, path: '/ns/a/sa/b' },
    { nowMs: NOW_MS, lifetimeMs: DAY_MS },
  )
  const gone = createIntermediate(root, { nowMs: NOW_MS - 10 * DAY_MS, lifetimeMs: 5 * DAY_MS })
  const early = createIntermediate(root, { nowMs: NOW_MS + DAY_MS, lifetimeMs: 5 * DAY_MS })
  const short = createRoot(DOMAIN, { nowMs: NOW_MS - 9 * DAY_MS, lifetimeMs: DAY_MS })

  for (const [what, files, problem] of [
    ['the key of another', own({ keyPem: own().keyPem }), /key is not that of the certificate/],
    ['a key that is none', own({ keyPem: 'hello' }), /key is no PEM of a private key/],
    ['no root', own({ rootPem: '' }), /root file has no certificate/],
    ['the root of another', own({ rootPem: own().rootPem }), /does not lead to the root/],
    ['a signer that has expired', gone, /the signer \(CN=.* intermediate\): it expired at 2026-05/],
    ['a signer that is not valid yet', early, /the signer .*: it is not valid before 2026-06-0/],
    ['a root that has expired', short, /the root \(CN=.* root\): it expired at/],
    [
      'a workload certificate',
      own({ chainPem: writePem('CERTIFICATE', leaf.chain[0] ?? Buffer.alloc(0)) }),
      /it is no CA certificate/,
    ],
  ] as const) {
    test(`with ${what} is refused`, () => assert.throws(() => check(files), problem))
  }

  test('with a chain that lacks a signer names who is missing', () => {
    const files = deep()
    const [signer = '', , policy = ''] = files.chainPem.split(/(?<=END CERTIFICATE-----\n)/)
    assert.throws(
      () => check({ ...files, chainPem: `${signer}${policy}` }),
      /no certificate of its issuer \(CN=region\) is among the files/,
    )
  })

  test('of another trust domain is refused', () => {
    assert.throws(() => checkedAuthority(own(), 'other', NOW_MS), /is of spiffe:\/\/cluster.local/)
  })
})
