import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Arguments } from '../arguments.ts'
import { UsageError } from '../command.ts'
import type { Terminal } from '../terminal/terminal.ts'
import { brokersOf, delegatesOf, upstreamCaOf } from './upstream-ca-options.ts'

function given(values: Record<string, string>): Arguments {
  return { value: (name: string) => values[name] } as Arguments
}
const here = { cwd: '/here' } as Terminal

describe('the CA above', () => {
  test('is nobody without a word', () => {
    assert.equal(upstreamCaOf(given({}), here), undefined)
    assert.deepEqual(delegatesOf(given({})), [])
  })

  test('is asked with a token or with a certificate', () => {
    const asked = { 'upstream-ca': 'ca.example:15012', 'upstream-ca-name': 'ca.example' }
    assert.deepEqual(upstreamCaOf(given({ ...asked, 'upstream-ca-token-file': 'token' }), here), {
      address: { host: 'ca.example', port: 15012 },
      credentials: { kind: 'token', path: '/here/token' },
      serverName: 'ca.example',
    })
    const cert = { ...asked, 'upstream-ca-cert': 'up', 'upstream-ca-roots': '/roots.pem' }
    assert.deepEqual(upstreamCaOf(given(cert), here), {
      address: { host: 'ca.example', port: 15012 },
      credentials: { kind: 'certificate', folder: '/here/up' },
      rootsFile: '/roots.pem',
      serverName: 'ca.example',
    })
  })

  for (const [values, problem] of [
    [{ 'upstream-ca': 'ca:15012' }, /needs one proof/],
    [
      { 'upstream-ca': 'ca:15012', 'upstream-ca-cert': 'a', 'upstream-ca-token-file': 'b' },
      /needs one proof/,
    ],
    [{ 'upstream-ca-roots': 'roots.pem' }, /--upstream-ca-roots needs --upstream-ca/],
  ] as const) {
    test(`is refused with ${Object.keys(values).join(' ')}`, () => {
      assert.throws(() => upstreamCaOf(given(values), here), problem)
    })
  }

  test('lets those ask for others that are named, by service account', () => {
    const names = (text: string) => delegatesOf(given({ 'ca-delegates': text }))
    assert.deepEqual(names('istio-system/east,istio-system/west'), [
      'istio-system/east',
      'istio-system/west',
    ])
    for (const bad of ['east', '*/east', 'istio-system/*', 'a/b/c', 'spiffe://x/ns/a/sa/b']) {
      assert.throws(() => names(bad), UsageError, bad)
    }
  })

  test('takes brokers with or without their namespaces', () => {
    const of = (...list: string[]) => {
      const args = given({})
      return brokersOf({ ...args, list: () => list } as unknown as typeof args)
    }
    assert.deepEqual(of(), [])
    assert.deepEqual(of('edge/broker', 'shop/broker=shop,web'), [
      { account: 'edge/broker' },
      { account: 'shop/broker', namespaces: ['shop', 'web'] },
    ])
    for (const bad of ['broker', 'edge/broker=', 'edge/broker=*', 'a/b=c=d', '=shop']) {
      assert.throws(() => of(bad), UsageError, bad)
    }
  })
})
