import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '@weft/testkit'
import { hostLabel, IP_HOST } from './host-label.ts'
import { parsePeerHeader, peerOf, renderPeerHeader } from './peer.ts'

const workload = {
  name: 'reviews-v1',
  namespace: 'default',
  app: 'reviews',
  version: 'v1',
  cluster: 'weft',
}

test('the header names a workload and reads back', () => {
  assert.equal(renderPeerHeader(workload), 'reviews-v1;default;reviews;v1;weft')
  assert.deepEqual(parsePeerHeader('reviews-v1;default;reviews;v1;weft'), workload)
})

/** A text of up to `maxLength` characters drawn from `alphabet`, at least one. */
function textOf(random: () => number, alphabet: string, maxLength: number): string {
  const length = 1 + Math.floor(random() * maxLength)
  const draw = () => alphabet.charAt(Math.floor(random() * alphabet.length))
  return Array.from({ length }, draw).join('')
}

test('every workload with names of Kubernetes’ alphabet reads back (random, seed 5)', () => {
  const random = seededRandom(5)
  const name = () => textOf(random, 'azAZ09._/~-', 40)
  for (let i = 0; i < 500; i++) {
    const any = {
      name: name(),
      namespace: name(),
      app: name(),
      version: name(),
      cluster: name(),
    }
    assert.deepEqual(parsePeerHeader(renderPeerHeader(any)), any)
  }
})

test('what is no peer header is not read, whatever it holds (random, seed 6)', () => {
  for (const text of [
    '',
    'a;b;c;d',
    'a;b;c;d;e;f',
    ';b;c;d;e',
    'a;b;c;d;%zz',
    'a;b;c;d;"',
    'é;b;c;d;e',
  ]) {
    assert.equal(parsePeerHeader(text), undefined, text)
  }
  assert.equal(parsePeerHeader(`${'a'.repeat(600)};b;c;d;e`), undefined)
  const random = seededRandom(6)
  let read = 0
  for (let i = 0; i < 5_000; i++) {
    const field = () => textOf(random, 'abc%20A"\n\\é', 3)
    const peer = parsePeerHeader([field(), field(), field(), field(), field()].join(';'))
    if (peer === undefined) continue
    read++
    assert.match(Object.values(peer).join(''), /^[\w./~ -]+$/)
  }
  assert.ok(read > 0)
})

test('a workload without a version has an unknown version and the revision latest', () => {
  const peer = peerOf({ ...workload, version: 'latest' })
  assert.equal(peer.version, 'unknown')
  assert.equal(peer.canonicalRevision, 'latest')
})

test('hosts become labels, addresses one, nonsense none', () => {
  for (const [authority, label] of [
    ['Example.COM:8080', 'example.com'],
    ['reviews', 'reviews'],
    ['reviews.default.svc.cluster.local.', 'reviews.default.svc.cluster.local.'],
    ['10.1.2.3', IP_HOST],
    ['10.1.2.3:80', IP_HOST],
    ['[::1]:80', IP_HOST],
    ['fe80::1', IP_HOST],
    ['0x7f.1', IP_HOST],
    ['2130706433', IP_HOST],
    ['', 'unknown'],
    ['a b', 'unknown'],
    ['-x', 'unknown'],
    ['a"b', 'unknown'],
    ['a..b', 'unknown'],
    ['x'.repeat(64), 'unknown'],
  ] as const) {
    assert.equal(hostLabel(authority), label, authority)
  }
})
