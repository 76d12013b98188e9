import assert from 'node:assert/strict'
import { BlockList, isIP } from 'node:net'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { cidrContains, parseCidr, parseIp } from './cidr.ts'

const holds = (range: string, address: string): boolean => {
  const cidr = parseCidr(range)
  const ip = parseIp(address)
  assert.ok(cidr && ip, `${range} ${address}`)
  return cidrContains(cidr, ip)
}

describe('ranges of addresses', () => {
  const table: readonly [string, string, boolean][] = [
    ['10.0.0.0/8', '10.255.0.1', true],
    ['10.0.0.0/8', '11.0.0.1', false],
    ['10.0.0.1', '10.0.0.1', true],
    ['10.0.0.1', '10.0.0.2', false],
    ['0.0.0.0/0', '203.0.113.9', true],
    ['10.0.0.0/9', '10.127.255.255', true],
    ['10.0.0.0/9', '10.128.0.0', false],
    ['fd00::/8', 'fdff::1', true],
    ['fd00::/8', 'fe80::1', false],
    ['::1', '0:0:0:0:0:0:0:1', true],
    ['2001:db8::/33', '2001:db8:8000::', false],
    ['10.0.0.0/8', '::ffff:10.1.2.3', true],
    ['::ffff:10.0.0.0/104', '10.1.2.3', true],
    ['::ffff:10.0.0.0/104', '11.1.2.3', false],
    ['::/0', '10.1.2.3', true],
    ['0.0.0.0/0', '::1', false],
    ['fe80::/10', 'fe80::1%eth0', true],
  ]
  for (const [range, address, expected] of table) {
    test(`${range} ${expected ? 'holds' : 'does not hold'} ${address}`, () => {
      assert.equal(holds(range, address), expected)
    })
  }

  for (const text of [
    '',
    '10.0.0',
    '10.0.0.0/33',
    '10.0.0.0/',
    '10.0.0.0/08',
    '10.0.0.0/8/8',
    '010.0.0.1',
    '256.1.1.1',
    '1.2.3.4.5',
    '::1::',
    ':1',
    '1:',
    ':::',
    '12345::',
    '::/129',
    '1.2.3.4::',
    '::1.2.3',
    'a',
    '10.0.0.0/-1',
    '::g',
  ]) {
    test(`${JSON.stringify(text)} is none`, () => assert.equal(parseCidr(text), undefined))
  }

  test('addresses are what Node takes for addresses', () => {
    const text = fc.oneof(fc.ipV4(), fc.ipV6(), fc.string({ unit: fc.constantFrom(...'0:.1f') }))
    fc.assert(
      fc.property(text, (address) => {
        assert.equal(parseIp(address) !== undefined, isIP(address) !== 0, address)
      }),
      { numRuns: 2_000 },
    )
  })

  test('hold what a BlockList of Node holds', () => {
    fc.assert(
      fc.property(
        fc.ipV4(),
        fc.integer({ min: 0, max: 32 }),
        fc.ipV4(),
        (network, bits, address) => {
          const list = new BlockList()
          list.addSubnet(network, bits)
          assert.equal(holds(`${network}/${bits}`, address), list.check(address))
        },
      ),
    )
  })
})
