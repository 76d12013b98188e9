import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { HitsAddend, LimitOverride, RateLimitAction, RequestView } from '@weft/model'
import { countedDescriptorsOf, type DescriptorFacts, descriptorsOf } from './descriptors.ts'

const request: RequestView = {
  method: 'PUT',
  scheme: 'https',
  authority: 'a.example',
  path: '/p?q=1%202',
  header: (name) => (name === 'x-user' ? 'u' : undefined),
}
const CLAIMS: Readonly<Record<string, unknown>> = { sub: 'ann', cost: 12, list: ['a'] }
const facts = (changes: Partial<DescriptorFacts> = {}): DescriptorFacts => ({
  request,
  remoteHost: '10.1.2.3',
  principal: 'spiffe://d/ns/a/sa/b',
  sourceCluster: 'me',
  destinationCluster: 'app',
  metadata: {
    valueAt: (filter, [first, second]) =>
      filter === 'jwt' && first === 'payload' && second !== undefined ? CLAIMS[second] : undefined,
  },
  ...changes,
})
const read = (actions: readonly RateLimitAction[], changes: Partial<DescriptorFacts> = {}) =>
  descriptorsOf([{ actions, stage: 0 }], facts(changes))[0]?.map(
    ({ key, value }) => `${key}=${value}`,
  )

test('every action yields its entry, in order', () => {
  assert.deepEqual(
    read([
      { kind: 'genericKey', key: 'k', value: 'v' },
      { kind: 'header', header: 'x-user', key: 'user', skipIfAbsent: false },
      { kind: 'query', name: 'q', key: 'q', skipIfAbsent: false },
      { kind: 'remoteAddress' },
      { kind: 'sourceCluster' },
      { kind: 'destinationCluster' },
      { kind: 'path' },
      { kind: 'method' },
      { kind: 'sourcePrincipal' },
    ]),
    [
      ...['k=v', 'user=u', 'q=1 2', 'remote_address=10.1.2.3', 'source_cluster=me'],
      ...['destination_cluster=app', 'path=/p?q=1%202', 'method=PUT'],
      'source_principal=spiffe://d/ns/a/sa/b',
    ],
  )
})

test('one action without an entry is no descriptor, unless it may be left out', () => {
  const generic = { kind: 'genericKey', key: 'k', value: 'v' } as const
  const absent = { kind: 'header', header: 'x-none', key: 'h' } as const
  assert.equal(read([generic, { ...absent, skipIfAbsent: false }]), undefined)
  assert.deepEqual(read([generic, { ...absent, skipIfAbsent: true }]), ['k=v'])
  assert.equal(read([{ ...absent, skipIfAbsent: true }]), undefined)
  assert.equal(read([{ kind: 'sourcePrincipal' }], { principal: undefined }), undefined)
})

test('a text that an earlier filter left behind is an entry; anything else is none', () => {
  const claim = (name: string, more: { defaultValue?: string; skipIfAbsent?: boolean } = {}) => {
    const generic = { kind: 'genericKey', key: 'k', value: 'v' } as const
    const where = { filter: 'jwt', path: ['payload', name], key: 'claim' } as const
    return read([generic, { kind: 'metadata', ...where, skipIfAbsent: false, ...more }])
  }
  assert.deepEqual(claim('sub'), ['k=v', 'claim=ann'])
  for (const name of ['list', 'cost', 'none']) {
    assert.equal(claim(name), undefined)
    assert.deepEqual(claim(name, { skipIfAbsent: true }), ['k=v'])
    assert.deepEqual(claim(name, { defaultValue: 'guest' }), ['k=v', 'claim=guest'])
  }
})

test('a descriptor costs what its route, a header or a claim says, and else what the question does', () => {
  const actions = [{ kind: 'genericKey', key: 'k', value: 'v' }] as const
  const cost = (hits: HitsAddend, value?: string) => {
    const asked = { ...request, header: () => value }
    return countedDescriptorsOf([{ actions, stage: 0, hits }], facts({ request: asked }))[0]?.hits
  }
  assert.equal(cost({ kind: 'fixed', hits: 7 }), 7)
  assert.equal(cost({ kind: 'metadata', filter: 'jwt', path: ['payload', 'cost'] }), 12)
  for (const [value, wanted] of [
    ['0', 0],
    ['12', 12],
    ['9999999999', 1_000_000_000],
    ['-1', undefined],
    ['1.5', undefined],
    ['many', undefined],
    [undefined, undefined],
  ] as const) {
    assert.equal(cost({ kind: 'header', header: 'x-cost' }, value), wanted)
  }
})

test('addresses are masked to their network', () => {
  for (const [host, v4Bits, v6Bits, wanted] of [
    ['10.1.2.3', 16, 64, '10.1.0.0/16'],
    ['10.1.255.3', 20, 64, '10.1.240.0/20'],
    ['10.1.2.3', 0, 64, '0.0.0.0/0'],
    ['10.1.2.3', 32, 64, '10.1.2.3/32'],
    ['2001:db8:1:2:3:4:5:6', 16, 64, '2001:db8:1:2::/64'],
    ['2001:db8::1', 16, 32, '2001:db8::/32'],
    ['2001:db8::1', 16, 128, '2001:db8::1/128'],
    ['::1', 16, 0, '::/0'],
  ] as const) {
    const action = { kind: 'maskedRemoteAddress', v4Bits, v6Bits } as const
    assert.deepEqual(read([action], { remoteHost: host }), [`masked_remote_address=${wanted}`])
  }
})

test('header matches must all hold, or must not', () => {
  const headers = [
    { name: 'x-user', value: { kind: 'exact', value: 'u', ignoreCase: false }, invert: false },
    { name: ':method', value: { kind: 'present' }, invert: false },
  ] as const
  const action = { kind: 'headerValueMatch', key: 'k', value: 'v', headers } as const
  assert.deepEqual(read([{ ...action, expectMatch: true }]), ['k=v'])
  assert.equal(read([{ ...action, expectMatch: false }]), undefined)
})

test('query parameters may be what a request is told apart by', () => {
  const match = (value: string, expectMatch: boolean) =>
    read([
      {
        kind: 'queryValueMatch',
        key: 'query_match',
        value: 'hit',
        expectMatch,
        query: [{ name: 'q', value: { kind: 'exact', value, ignoreCase: false } }],
      },
    ])
  assert.deepEqual(match('1 2', true), ['query_match=hit'])
  assert.equal(match('1', true), undefined)
  assert.deepEqual(match('1', false), ['query_match=hit'])
  assert.equal(match('1 2', false), undefined)
  const present = { kind: 'queryValueMatch', key: 'k', value: 'v', expectMatch: true } as const
  const asks = (name: string) => [{ name, value: { kind: 'present' } }] as const
  assert.deepEqual(read([{ ...present, query: asks('q') }]), ['k=v'])
  assert.equal(read([{ ...present, query: asks('none') }]), undefined)
})

test('an address is in one of the ranges, or in none', () => {
  const action = { kind: 'remoteAddressMatch', key: 'from', value: 'office' } as const
  const ranges = ['10.0.0.0/8', '2001:db8::/32']
  const from = (remoteHost: string, invert: boolean) =>
    read([{ ...action, ranges, invert }], { remoteHost })
  for (const inside of ['10.1.2.3', '2001:db8::1']) {
    assert.deepEqual(from(inside, false), ['from=office'])
    assert.equal(from(inside, true), undefined)
  }
  for (const outside of ['11.1.2.3', '2001:db9::1', '@unix']) {
    assert.equal(from(outside, false), undefined)
    assert.deepEqual(from(outside, true), ['from=office'])
  }
})

test('a limit in place of the service’s own is written down, or left behind by a filter', () => {
  const left: Readonly<Record<string, unknown>> = {
    gold: { requests_per_unit: 42.5, unit: 'HOUR' },
    odd: { requests_per_unit: 42, unit: 'FORTNIGHT' },
    none: 'text',
  }
  const metadata = { valueAt: (_filter: string, [key = '']: readonly string[]) => left[key] }
  const limitOf = (limit: LimitOverride) => {
    const actions = [{ kind: 'genericKey', key: 'k', value: 'v' }] as const
    const [found] = countedDescriptorsOf([{ actions, stage: 0, limit }], facts({ metadata }))
    return found?.limit
  }
  const written = { kind: 'fixed', requestsPerUnit: 7, unit: 'DAY' } as const
  assert.equal(limitOf(written)?.requestsPerUnit, 7)
  const behind = (key: string) => limitOf({ kind: 'metadata', filter: 'f', path: [key] })
  assert.deepEqual(behind('gold'), { requestsPerUnit: 42, unit: 'HOUR' })
  for (const key of ['odd', 'none', 'absent']) assert.equal(behind(key), undefined)
})
