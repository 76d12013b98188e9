import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { parseSpiffeId, renderSpiffeId, serviceAccountId, serviceAccountOf } from './identity.ts'

const GOOD = [
  'spiffe://a',
  'spiffe://cluster.local',
  'spiffe://cluster.local/ns/shop/sa/cart',
  'spiffe://td.example-1.org/a/b/c',
  'spiffe://td_1/A/B.c/d-e/f_g',
  'spiffe://td/..a',
  'spiffe://td/a..',
  'spiffe://td/...',
  'spiffe://td/.a',
  'spiffe://1.2.3.4/ns/a/sa/b',
  'spiffe://-/x',
  `spiffe://${'a'.repeat(255)}`,
  `spiffe://td/${'a'.repeat(2_048 - 12)}`,
]

const BAD = [
  '',
  'spiffe:',
  'spiffe:/',
  'spiffe://',
  'spiffe:///path',
  'SPIFFE://td/a',
  'Spiffe://td',
  ' spiffe://td',
  'spiffe://td ',
  'spiffe://td/ ',
  'spiffe://td\n',
  'spiffe://td/a\0',
  'spiffe://td/a\0b',
  'https://td/a',
  'spiffe//td',
  'spiffe://TD/a',
  'spiffe://Td',
  'spiffe://td:80/a',
  'spiffe://user@td/a',
  'spiffe://user:secret@td/a',
  'spiffe://[::1]/a',
  'spiffe://td?x=1',
  'spiffe://td/a?x=1',
  'spiffe://td#f',
  'spiffe://td/a#f',
  'spiffe://td/',
  'spiffe://td/a/',
  'spiffe://td//a',
  'spiffe://td/a//b',
  'spiffe://td/.',
  'spiffe://td/..',
  'spiffe://td/./a',
  'spiffe://td/a/../b',
  'spiffe://td/a/.',
  'spiffe://td/%61',
  'spiffe://td/%2e%2e/a',
  'spiffe://td/a%2Fb',
  'spiffe://t%64/a',
  'spiffe://td/a;b',
  'spiffe://td/a=b',
  'spiffe://td/a,b',
  'spiffe://td/a*',
  'spiffe://td/ä',
  'spiffe://tä/a',
  'spiffe://td/\u212a', // the Kelvin sign, which lower-cases to k
  'spiffe://td/a\\b',
  'spiffe://td\\a',
  `spiffe://${'a'.repeat(256)}`,
  `spiffe://td/${'a'.repeat(2_048 - 11)}`,
]

describe('R38: SPIFFE IDs are read by an allow-list', () => {
  for (const text of GOOD) {
    test(`takes ${JSON.stringify(text).slice(0, 60)}`, () => {
      const parsed = parseSpiffeId(text)
      assert.ok(parsed.ok)
      assert.equal(renderSpiffeId(parsed.id), text)
    })
  }
  for (const text of BAD) {
    test(`refuses ${JSON.stringify(text).slice(0, 60)}`, () => {
      const parsed = parseSpiffeId(text)
      assert.ok(!parsed.ok && parsed.problem.length > 0)
    })
  }

  test('what is taken is rendered as it was, whatever it is', () => {
    const text = fc.string({ unit: fc.constantFrom(...'ab/.%:@Az-_~é') })
    fc.assert(
      fc.property(text, (rest) => {
        const parsed = parseSpiffeId(`spiffe://${rest}`)
        if (parsed.ok) assert.equal(renderSpiffeId(parsed.id), `spiffe://${rest}`)
      }),
    )
  })
})

describe('identities of service accounts', () => {
  test('go both ways', () => {
    const id = serviceAccountId('cluster.local', 'shop', 'cart')
    assert.equal(renderSpiffeId(id), 'spiffe://cluster.local/ns/shop/sa/cart')
    assert.deepEqual(serviceAccountOf(id), { namespace: 'shop', serviceAccount: 'cart' })
  })

  for (const path of ['', '/ns/a', '/ns/a/sa', '/ns/a/sa/b/c', '/sa/a/ns/b', '/x/ns/a/sa/b']) {
    test(`${path || 'a bare trust domain'} is none`, () => {
      assert.equal(serviceAccountOf({ trustDomain: 'td', path }), undefined)
    })
  }
})
