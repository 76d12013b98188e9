import assert from 'node:assert/strict'
import { test } from 'node:test'
import { clientAddress } from './client-address.ts'
import { MANAGER } from './engine-fixture.ts'

const PEER = '192.0.2.9'
const edge = (hops: number, ...lines: readonly string[]) =>
  clientAddress({ ...MANAGER, useRemoteAddress: true, xffTrustedHops: hops }, PEER, () => lines)
const inside = (hops: number, ...lines: readonly string[]) =>
  clientAddress({ ...MANAGER, useRemoteAddress: false, xffTrustedHops: hops }, PEER, () => lines)

test('at the edge nobody is believed unless hops are trusted (R44)', () => {
  assert.equal(edge(0, '203.0.113.1'), PEER)
  assert.equal(edge(1, '198.51.100.7, 203.0.113.1'), '203.0.113.1')
  assert.equal(edge(2, '198.51.100.7, 203.0.113.1'), '198.51.100.7')
  assert.equal(edge(3, '198.51.100.7, 203.0.113.1'), PEER)
})

test('behind the edge the last entry is the client, and trusted hops go further back', () => {
  assert.equal(inside(0, '198.51.100.7, 203.0.113.1'), '203.0.113.1')
  assert.equal(inside(1, '198.51.100.7, 203.0.113.1'), '198.51.100.7')
  assert.equal(inside(0), PEER)
})

test('several lines are one list, and what is no address is nobody', () => {
  assert.equal(inside(0, '198.51.100.7', ' 2001:db8::1 '), '2001:db8::1')
  assert.equal(inside(0, '10.0.0.1, unknown'), PEER)
  assert.equal(inside(0, '10.0.0.1, '), PEER)
})
