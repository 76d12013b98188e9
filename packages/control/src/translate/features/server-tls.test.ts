import assert from 'node:assert/strict'
import { test } from 'node:test'
import { serverTls } from './server-tls.ts'

const secretOf = (name: string) => `kubernetes://gw/${name}`

test('SIMPLE shows the certificates of its Secrets, with the versions and ciphers it wants', () => {
  const tls = serverTls(
    {
      mode: 'SIMPLE',
      credentialNames: ['rsa', 'ecdsa'],
      minProtocolVersion: 'TLSV1_2',
      maxProtocolVersion: 'TLSV1_3',
      cipherSuites: ['ECDHE-RSA-AES256-GCM-SHA384'],
    },
    secretOf,
    ['h2'],
  )
  assert.deepEqual(tls, {
    certificates: ['kubernetes://gw/rsa', 'kubernetes://gw/ecdsa'],
    requireClientCertificate: false,
    alpn: ['h2'],
    minVersion: '1.2',
    maxVersion: '1.3',
    cipherSuites: ['ECDHE-RSA-AES256-GCM-SHA384'],
  })
})

test('MUTUAL asks for a certificate of its authority, with one of the names and pins', () => {
  const tls = serverTls(
    {
      mode: 'MUTUAL',
      credentialName: 'shop',
      subjectAltNames: ['client.example'],
      verifyCertificateSpki: ['AAAA'],
      verifyCertificateHash: ['bb'],
    },
    secretOf,
    [],
  )
  assert.equal(tls?.requireClientCertificate, true)
  assert.equal(tls?.validation, 'kubernetes://gw/shop-cacert')
  assert.deepEqual(tls?.subjectAltNames, [
    { type: 'any', value: { kind: 'exact', value: 'client.example', ignoreCase: false } },
  ])
  assert.deepEqual(tls?.verifySpki, ['AAAA'])
  assert.deepEqual(tls?.verifyHash, ['bb'])
})

test('OPTIONAL_MUTUAL takes clients without a certificate; files name their secrets', () => {
  const tls = serverTls(
    {
      mode: 'OPTIONAL_MUTUAL',
      serverCertificate: '/etc/cert.pem',
      privateKey: '/etc/key.pem',
      caCertificates: '/etc/ca.pem',
    },
    secretOf,
    [],
  )
  assert.deepEqual(tls?.certificates, ['file-cert:/etc/cert.pem~/etc/key.pem'])
  assert.equal(tls?.validation, 'file-root:/etc/ca.pem')
  assert.equal(tls?.requireClientCertificate, false)
})

test('a CA may have a Secret of its own; without a certificate there is no server', () => {
  const settings = { mode: 'MUTUAL', credentialName: 'a', caCertCredentialName: 'ca' } as const
  assert.equal(serverTls(settings, secretOf, [])?.validation, 'kubernetes://gw/ca-cacert')
  const named = { ...settings, caCertCredentialName: 'x-cacert' }
  assert.equal(serverTls(named, secretOf, [])?.validation, 'kubernetes://gw/x-cacert')
  assert.equal(serverTls({ mode: 'SIMPLE' }, secretOf, []), undefined)
})
