/** What is written is read again; what is no bundle is refused with a reason. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { NOW_MS, newRoot } from '../identity-fixture.ts'
import { DEFAULT_JWT_POLICY, freshJwtKeys, publicJwk } from '../jwt/jwt-keys.ts'
import { readPem } from '../x509/pem.ts'
import {
  readSpiffeBundle,
  renderJwtKeySet,
  renderSpiffeBundle,
  type SpiffeBundle,
} from './spiffe-bundle.ts'

const bundle: SpiffeBundle = {
  trustDomain: 'mesh.example',
  roots: [newRoot('mesh.example'), newRoot('mesh.example')].flatMap(({ rootPem }) =>
    readPem(rootPem, 'CERTIFICATE'),
  ),
  jwtKeys: freshJwtKeys([], NOW_MS, DEFAULT_JWT_POLICY).map(publicJwk),
  sequence: 7,
  refreshHintMs: 300_000,
}

test('a bundle that is written and read is the same', () => {
  const read = readSpiffeBundle('mesh.example', renderSpiffeBundle(bundle))
  assert.ok(read.ok)
  assert.deepEqual(read.bundle.roots, bundle.roots)
  assert.equal(read.bundle.sequence, 7)
  assert.equal(read.bundle.refreshHintMs, 300_000)
  assert.deepEqual(
    read.bundle.jwtKeys.map(({ kid }) => kid),
    bundle.jwtKeys.map(({ kid }) => kid),
  )
})

test('every key says its use, and no private part is told', () => {
  const { keys } = JSON.parse(renderSpiffeBundle(bundle))
  assert.deepEqual(
    keys.map(({ use, x5c }: { use: string; x5c?: string[] }) => [use, x5c?.length]),
    [
      ['x509-svid', 1],
      ['x509-svid', 1],
      ['jwt-svid', undefined],
    ],
  )
  assert.ok(!renderSpiffeBundle(bundle).includes('"d"'))
  assert.equal(JSON.parse(renderJwtKeySet(bundle)).keys.length, 1)
})

const problemOf = (text: string) => {
  const read = readSpiffeBundle('mesh.example', text)
  return read.ok ? 'taken' : read.problem
}

test('keys of another use are passed over; broken ones of a known use are told', () => {
  assert.equal(problemOf('{"keys":[{"use":"wit-svid"},{"kty":"EC"}]}'), 'taken')
  assert.match(problemOf('{"keys":[{"use":"x509-svid"}]}'), /keys\[0\].*x5c/)
  assert.match(problemOf('{"keys":[{"use":"x509-svid","x5c":["AAAA"]}]}'), /no certificate/)
  assert.match(problemOf('{"keys":[{"use":"jwt-svid","kty":"EC"}]}'), /kid/)
  assert.match(problemOf('{"keys":[{"use":"jwt-svid","kty":"EC","kid":"a","d":"x"}]}'), /public/)
  assert.match(problemOf('{"keys":[],"spiffe_sequence":-1}'), /spiffe_sequence/)
  assert.match(problemOf('[]'), /JSON object/)
})

test('no text makes the reader throw', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
      readSpiffeBundle('mesh.example', text)
    }),
    { numRuns: 300 },
  )
})
