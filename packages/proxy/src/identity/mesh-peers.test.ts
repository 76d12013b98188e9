/** Each root vouches for its own trust domain, also where OpenSSL would take any of them (R42). */
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import { CertificateAuthority, DEFAULT_CA_POLICY, readPem } from '@weft/identity'
import { meshDistrust } from './mesh-peers.ts'
import { newRequest } from './svid.ts'

const NOW_MS = Date.now()
const open = (trustDomain: string) =>
  CertificateAuthority.open(
    trustDomain,
    {
      store: { load: () => Promise.resolve(undefined), save: () => Promise.resolve() },
      wallMs: () => NOW_MS,
      monotonicMs: () => 0,
    },
    DEFAULT_CA_POLICY,
  )
const own = await open('mesh.example')
const foreign = await open('other.example')

/** As Node shows a peer: the leaf, with who issued it hung on. */
function peer(ca: CertificateAuthority, trustDomain: string): X509Certificate {
  const [csr = Buffer.alloc(0)] = readPem(newRequest().csrPem, 'CERTIFICATE REQUEST')
  const issued = ca.issue(csr, { trustDomain, path: '/ns/a/sa/b' })
  assert.ok(issued.ok)
  const [leaf, ...signers] = issued.svid.chain.map((der) => new X509Certificate(der))
  assert.ok(leaf !== undefined)
  let at = leaf
  for (const signer of signers) {
    Object.defineProperty(at, 'issuerCertificate', { value: signer })
    at = signer
  }
  return leaf
}

const trustDomains = [
  { trustDomain: 'mesh.example', caPem: own.bundlePem },
  { trustDomain: 'other.example', caPem: foreign.bundlePem },
]
const judge = (list: typeof trustDomains) =>
  meshDistrust({ caPem: own.bundlePem, trustDomains: list }, () => NOW_MS)

test('workloads of both trust domains are believed by the roots of their own', () => {
  const distrust = judge(trustDomains)
  assert.equal(distrust(peer(own, 'mesh.example')), undefined)
  assert.equal(distrust(peer(foreign, 'other.example')), undefined)
})

test('R42: roots that are exchanged vouch for nobody', () => {
  const distrust = judge([
    { trustDomain: 'mesh.example', caPem: foreign.bundlePem },
    { trustDomain: 'other.example', caPem: own.bundlePem },
  ])
  assert.notEqual(distrust(peer(own, 'mesh.example')), undefined)
  assert.notEqual(distrust(peer(foreign, 'other.example')), undefined)
})

test('R42: a trust domain that nobody federates with is not believed', () => {
  const distrust = judge(trustDomains.slice(0, 1))
  assert.match(distrust(peer(foreign, 'other.example')) ?? '', /other\.example/)
})
