import assert from 'node:assert/strict'
import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { describe, test } from 'node:test'
import { serviceAccountId } from '@weft/model'
import {
  DAY_MS,
  HOUR_MS,
  NOW_MS,
  newIntermediate,
  newKey,
  newRequest,
  newRoot,
  requestFor,
} from '../identity-fixture.ts'
import { readCertificateRequest } from '../x509/certificate-request.ts'
import { readPem, writePem } from '../x509/pem.ts'
import { KEY_USAGE } from '../x509/svid-rules.ts'
import { verifySvid } from '../x509/verify-svid.ts'
import { publicKeyOf, writeCertificate } from '../x509/write-certificate.ts'
import { Authority, createIntermediate, createRoot } from './authority.ts'

const DOMAIN = 'cluster.local'
const id = serviceAccountId(DOMAIN, 'shop', 'cart')
const root = newRoot(DOMAIN)

describe('what the authority issues', () => {
  const { chain } = newIntermediate(root).issue(newRequest(), id, {
    nowMs: NOW_MS,
    lifetimeMs: DAY_MS,
  })
  const [leaf, signer] = chain.map((der) => new X509Certificate(der)) as [
    X509Certificate,
    X509Certificate,
  ]

  test('OpenSSL reads as it is meant', () => {
    assert.equal(leaf.subjectAltName, 'URI:spiffe://cluster.local/ns/shop/sa/cart')
    assert.equal(leaf.ca, false)
    assert.equal(signer.ca, true)
    assert.ok(leaf.checkIssued(signer) && leaf.verify(signer.publicKey))
    const top = new X509Certificate(root.rootPem)
    assert.ok(signer.checkIssued(top) && signer.verify(top.publicKey))
  })

  test('has serial numbers of 128 bits that differ', () => {
    const serials = new Set(
      Array.from(
        { length: 100 },
        () => root.issue(newRequest(), id, { nowMs: NOW_MS, lifetimeMs: 1_000 }).serialNumber,
      ),
    )
    assert.equal(serials.size, 100)
    for (const serial of serials) assert.equal(serial.length, 32)
  })

  test('never outlives its signer', () => {
    const short = newIntermediate(root, HOUR_MS)
    const { notAfterMs } = short.issue(newRequest(), id, { nowMs: NOW_MS, lifetimeMs: DAY_MS })
    assert.equal(notAfterMs, NOW_MS + HOUR_MS)
    assert.equal(newIntermediate(root, 10_000 * DAY_MS).notAfterMs, root.notAfterMs)
  })
})

describe('an authority from files', () => {
  const files = createIntermediate(root, { nowMs: NOW_MS, lifetimeMs: DAY_MS })

  test('opens', () => {
    assert.equal(new Authority(files, DOMAIN).chain.length, 1)
  })

  test('says when the key is another', () => {
    const { keyPem } = createRoot(DOMAIN, { nowMs: NOW_MS, lifetimeMs: DAY_MS })
    assert.throws(() => new Authority({ ...files, keyPem }, DOMAIN), /key is not that of/)
  })

  test('says when the trust domain is another', () => {
    assert.throws(() => new Authority(files, 'other'), /is of spiffe:\/\/cluster.local/)
  })

  test('says when a file is something else', () => {
    assert.throws(() => new Authority({ ...files, keyPem: 'x' }, DOMAIN), /no PEM of a private key/)
    const nothing = { ...files, chainPem: '', rootPem: '' }
    assert.throws(() => new Authority(nothing, DOMAIN), /no certificate/)
  })

  test('may have an RSA key', () => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2_048 })
    const der = writeCertificate(
      {
        commonName: 'Example root',
        publicKey: publicKeyOf(privateKey),
        notBeforeMs: NOW_MS,
        notAfterMs: NOW_MS + DAY_MS,
        uriNames: [],
        keyUsage: KEY_USAGE.keyCertSign,
        ca: {},
      },
      privateKey,
    )
    const keyPem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
    const own = new Authority(
      { chainPem: '', rootPem: writePem('CERTIFICATE', der), keyPem },
      DOMAIN,
    )
    const issued = own.issue(newRequest(), id, { nowMs: NOW_MS, lifetimeMs: HOUR_MS })
    const roots = new Map([[DOMAIN, [der]]])
    assert.ok(verifySvid(issued.chain, roots, NOW_MS).ok)
  })
})

describe('requests for certificates', () => {
  test('prove that the key is held', () => {
    const key = newKey()
    const read = readCertificateRequest(requestFor(key))
    assert.ok(read.ok && read.request.publicKey.equals(publicKeyOf(key)))
  })

  test("for somebody else's key are refused", () => {
    const read = readCertificateRequest(requestFor(newKey(), publicKeyOf(newKey())))
    assert.ok(!read.ok)
    assert.match(read.problem, /does not hold the key/)
  })

  for (const bits of [1_024, 1_536]) {
    test(`for RSA keys of ${bits} bits are refused`, () => {
      const { privateKey } = generateKeyPairSync('rsa', { modulusLength: bits })
      const read = readCertificateRequest(requestFor(privateKey))
      assert.ok(!read.ok)
      assert.match(read.problem, /2048 to 8192 bits/)
    })
  }

  test('on an odd curve are refused', () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'secp256k1' })
    const read = readCertificateRequest(requestFor(privateKey))
    assert.ok(!read.ok)
    assert.match(read.problem, /P-256 to P-521/)
  })

  test('that are something else are refused', () => {
    for (const der of [
      Buffer.alloc(0),
      Buffer.from('x'),
      readPem(root.rootPem, 'CERTIFICATE')[0] as Buffer,
      Buffer.alloc(20_000),
    ]) {
      assert.equal(readCertificateRequest(der).ok, false)
    }
  })
})
