import assert from 'node:assert/strict'
import { isIP } from 'node:net'
import { test } from 'node:test'
import fc from 'fast-check'
import { ipFamily, isCidr } from './addresses.ts'

const SEED = 20_261_121

test('the same texts are addresses as for the platform', () => {
  const piece = fc.constantFrom(
    '0',
    '1',
    '9',
    'a',
    'f',
    ':',
    '::',
    '.',
    '255',
    '256',
    '1.2.3.4',
    'g',
    '00',
    'ffff',
    '01',
  )
  fc.assert(
    fc.property(
      fc.oneof(
        fc.array(piece, { maxLength: 12 }).map((parts) => parts.join('')),
        fc.ipV4(),
        fc.ipV6(),
      ),
      (text) => {
        const expected = { 0: undefined, 4: 'IPv4', 6: 'IPv6' }[isIP(text)]
        assert.equal(ipFamily(text), expected, text)
      },
    ),
    { seed: SEED, numRuns: 5000 },
  )
})

test('ranges need an address and a length that fits it', () => {
  for (const text of ['10.0.0.0/8', '0.0.0.0/0', '2001:db8::/32', '::/128', '10.0.0.1/32']) {
    assert.ok(isCidr(text), text)
  }
  for (const text of [
    '10.0.0.0',
    '10.0.0.0/33',
    '10.0.0.0/08',
    '::/129',
    '10.0.0/8',
    '/8',
    'fe80::%a/64',
    '10.0.0.0/',
  ]) {
    assert.ok(!isCidr(text), text)
  }
})
