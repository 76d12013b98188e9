import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseDocuments } from '@weft/config'
import { buildSnapshot } from '../../snapshot/build.ts'
import type { TlsFiles } from '../../snapshot/secrets.ts'
import { DEFAULT_PROXY } from '../proxy-view.ts'
import { translate } from '../translate.ts'
import { upstreamTls } from './upstream-tls.ts'

const target = { host: 'db.example.com', subjectAltNames: [], protocol: 'http1' } as const

test('a server is checked against the platform, and asked for by the name that was called', () => {
  assert.deepEqual(upstreamTls({ mode: 'SIMPLE' }, target, 'default'), {
    sni: 'db.example.com',
    subjectAltNames: ['db.example.com'],
    alpn: [],
    validation: 'file-root:system',
  })
})

test('files for MUTUAL are secrets of their own; HTTP/2 is agreed on by ALPN', () => {
  const tls = upstreamTls(
    {
      mode: 'MUTUAL',
      clientCertificate: '/etc/certs/myclientcert.pem',
      privateKey: '/etc/certs/client_private_key.pem',
      caCertificates: '/etc/certs/rootcacerts.pem',
      sni: 'other.example.com',
    },
    { ...target, protocol: 'http2' },
    'default',
  )
  assert.deepEqual(tls, {
    sni: 'other.example.com',
    subjectAltNames: [],
    alpn: ['h2'],
    certificate: 'file-cert:/etc/certs/myclientcert.pem~/etc/certs/client_private_key.pem',
    validation: 'file-root:/etc/certs/rootcacerts.pem',
  })
})

test('a credential is a Secret beside the rule; nothing is checked when nobody wants it', () => {
  const settings = { mode: 'MUTUAL', credentialName: 'client' } as const
  const tls = upstreamTls({ ...settings, subjectAltNames: ['a', 'b'] }, target, 'shop')
  assert.equal(tls?.certificate, 'kubernetes://shop/client')
  assert.equal(tls?.validation, 'kubernetes://shop/client-cacert')
  assert.deepEqual(tls?.subjectAltNames, ['a', 'b'])
  const blind = upstreamTls({ ...settings, insecureSkipVerify: true }, target, 'shop')
  assert.equal(blind?.validation, undefined)
  assert.deepEqual(blind?.subjectAltNames, [])
  assert.equal(upstreamTls({ mode: 'ISTIO_MUTUAL' }, target, 'shop'), undefined)
  assert.equal(upstreamTls({ mode: 'DISABLE' }, target, 'shop'), undefined)
})

test('names that a ServiceEntry gives its endpoints hold where the rule names none', () => {
  const entry = { ...target, subjectAltNames: ['spiffe://mesh/db'] }
  const named = upstreamTls({ mode: 'SIMPLE' }, entry, 'a')
  assert.deepEqual(named?.subjectAltNames, ['spiffe://mesh/db'])
  const wildcard = upstreamTls({ mode: 'SIMPLE' }, { ...target, host: '*.example.com' }, 'a')
  assert.equal(wildcard?.autoSni, true)
  assert.deepEqual(wildcard?.subjectAltNames, [])
})

test('files reach the proxies whose clusters name them, and only PEM does', () => {
  const texts: Readonly<Record<string, string>> = {
    '/ca.pem': '-----BEGIN CERTIFICATE-----\nca\n-----END CERTIFICATE-----\n',
    '/etc/passwd': 'root:x:0:0',
  }
  const tlsFiles: TlsFiles = { read: (path) => texts[path], systemRootsPem: () => 'roots' }
  const rule = (host: string, ca: string) => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${host.slice(0, 1)}}
spec: {hosts: [${host}], resolution: DNS, location: MESH_EXTERNAL, ports: [{number: 443, name: https, protocol: HTTP}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ${host.slice(0, 1)}}
spec: {host: ${host}, trafficPolicy: {tls: {mode: SIMPLE, caCertificates: ${ca}}}}
---`
  const text = `${rule('a.example', '/ca.pem')}${rule('b.example', '/etc/passwd')}`
  const { documents } = parseDocuments(text, { file: 'in.yaml' })
  const snapshot = buildSnapshot({ documents, tlsFiles })
  const secrets = translate(snapshot, DEFAULT_PROXY).secret
  assert.deepEqual([...secrets.keys()], ['file-root:/ca.pem'])
})
