import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findingsOf, refuses, VALID } from '../fixtures.ts'

const good = VALID.peerAuthentication

test('a PeerAuthentication is taken as Istio takes it', () => {
  assert.deepEqual(findingsOf(good, 'error'), [])
  for (const spec of [{}, { mtls: {} }, { mtls: { mode: 'STRICT' } }]) {
    assert.deepEqual(findingsOf({ ...good, spec }, 'error'), [])
  }
})

test('what Istio refuses in a PeerAuthentication is refused', () => {
  refuses(good, [
    ['spec.mtls.mode', 'MUTUAL'],
    ['spec.portLevelMtls', {}],
    ['spec.portLevelMtls', { 0: { mode: 'STRICT' } }, 'spec.portLevelMtls["0"]'],
    ['spec.portLevelMtls', { 65536: { mode: 'STRICT' } }, 'spec.portLevelMtls["65536"]'],
    ['spec.portLevelMtls', { http: { mode: 'STRICT' } }, 'spec.portLevelMtls.http'],
    ['spec.selector', undefined, 'spec.portLevelMtls'],
    ['spec.selector.matchLabels', {}, 'spec.portLevelMtls'],
    ['spec.selector.matchLabels.app', '*', 'spec.selector.matchLabels.app'],
  ])
})
