import assert from 'node:assert/strict'
import { test } from 'node:test'
import { accepts, findingsOf, type Json, refuses, VALID, withValue } from '../fixtures.ts'

const POLICY = VALID.requestAuthentication as Json
const RULE = 'spec.jwtRules[0]'

test('every field of a RequestAuthentication is valid, and nothing is said about it', () => {
  assert.deepEqual(findingsOf(POLICY, 'error'), [])
  assert.deepEqual(findingsOf(POLICY, 'warning'), [])
})

test('what Istio refuses is refused, at the field that is wrong', () => {
  refuses(POLICY, [
    ['spec.targetRefs', [{ kind: 'Service', name: 'a' }], 'spec'],
    [`${RULE}.audiences[0]`, ''],
    [`${RULE}.jwksUri`, 'ftp://issuer.example'],
    [`${RULE}.jwksUri`, 'https://ann:secret@issuer.example'],
    [`${RULE}.jwks`, '{"keys":[]}', RULE],
    [`${RULE}.fromHeaders[0].name`, ''],
    [`${RULE}.fromParams[0]`, ''],
    [`${RULE}.fromCookies[0]`, ''],
    [`${RULE}.outputClaimToHeaders[0].header`, 'a b'],
    [`${RULE}.outputClaimToHeaders[0].claim`, ''],
    [`${RULE}.outputPayloadToHeader`, 'a\nb'],
    [`${RULE}.timeout`, '0s'],
    [`${RULE}.presence`, 'MAYBE'],
  ])
  refuses(withValue(POLICY, RULE, { jwks: 'no JSON', issuer: 'a' }), [
    [`${RULE}.jwks`, '[]'],
    [`${RULE}.jwks`, '{"keys":1}'],
  ])
  refuses(POLICY, [[RULE, { audiences: ['a'] }, `${RULE}.issuer`]])
})

test('R60: tokens for anybody, from anybody or by keys in the open are taken, with loud words', () => {
  const warned = (rule: Json) =>
    findingsOf(withValue(POLICY, 'spec', { jwtRules: [rule] }), 'warning')
  const jwks = '{"keys":[{"kty":"OKP","crv":"Ed25519","x":"a"}]}'
  assert.match(warned({ issuer: 'a', jwks }).join(), /audiences/)
  assert.match(warned({ audiences: ['a'], jwksUri: 'https://a.example' }).join(), /issuer/)
  const plain = { issuer: 'a', audiences: ['a'], jwksUri: 'http://a.example' }
  assert.match(warned(plain).join(), /jwksUri/)
  const secret = { issuer: 'a', audiences: ['a'], jwks: jwks.replace('"x"', '"d":"b","x"') }
  assert.match(warned(secret).join(), /jwks/)
  assert.match(warned({ issuer: 'a', audiences: ['a'] }).join(), /issuer/)
})

test('a RequestAuthentication may say nothing, and v1beta1 is read as well', () => {
  accepts(POLICY, [
    ['spec', {}],
    ['apiVersion', 'security.istio.io/v1beta1'],
  ])
})
