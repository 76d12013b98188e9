import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type FilterChain, type FilterChainMatch, type Listener, MATCH_ALL } from '@weft/model'
import { type Call, parseCalls } from './call.ts'
import { findFilterChain, findListener } from './connection.ts'

function listener(
  name: string,
  host: string,
  port: number,
  more: Partial<Listener> = {},
): Listener {
  return {
    name,
    address: { host, port },
    direction: 'outbound',
    bindToPort: false,
    useOriginalDst: false,
    filterChains: [],
    origins: [],
    ...more,
  }
}

function chain(name: string, match: Partial<FilterChainMatch>): FilterChain {
  return {
    name,
    match: { ...MATCH_ALL, ...match },
    filter: {
      kind: 'tcp',
      statPrefix: name,
      targets: [{ cluster: name, weight: 1 }],
      idleTimeoutMs: 0,
      accessLogs: [],
    },
  }
}

function call(value: object): Call {
  const [parsed] = parseCalls(JSON.stringify({ address: '10.0.0.1', ...value })).calls
  assert.ok(parsed)
  return parsed
}

describe('findListener()', () => {
  const listeners = [
    listener('virtualOutbound', '0.0.0.0', 15_001),
    listener('virtualInbound', '0.0.0.0', 15_006, { direction: 'inbound' }),
    listener('0.0.0.0_80', '0.0.0.0', 80),
    listener('10.0.0.1_80', '10.0.0.1', 80),
  ]
  const find = (value: object) => {
    const one = call(value)
    return findListener(listeners, one, one.port)?.name
  }

  test('an exact address wins over the wildcard', () => {
    assert.equal(find({ address: '10.0.0.1', port: 80 }), '10.0.0.1_80')
    assert.equal(find({ address: '10.0.0.2', port: 80 }), '0.0.0.0_80')
  })

  test('what no listener is for goes to virtualOutbound, even on its own port', () => {
    assert.equal(find({ address: '10.0.0.1', port: 81 }), 'virtualOutbound')
    assert.equal(find({ address: '10.0.0.1', port: 15_001 }), 'virtualOutbound')
  })

  test('a captured port takes calls to addresses of both families, a bound one does not', () => {
    const call6 = call({ address: '1234::1', port: 80 })
    assert.equal(findListener(listeners, call6, 80)?.name, '0.0.0.0_80')
    const bound = [listener('0.0.0.0_80', '0.0.0.0', 80, { bindToPort: true })]
    assert.equal(findListener(bound, call6, 80), undefined)
  })

  test('inbound calls go to virtualInbound', () => {
    assert.equal(find({ address: '10.0.0.1', port: 80, direction: 'inbound' }), 'virtualInbound')
  })

  test('without a catch-all nothing is found', () => {
    const one = call({ port: 81 })
    assert.equal(findListener([listener('0.0.0.0_80', '0.0.0.0', 80)], one, 81), undefined)
  })
})

describe('findFilterChain()', () => {
  const pick = (chains: readonly FilterChain[], value: object, more: Partial<Listener> = {}) => {
    const one = call(value)
    const all = listener('l', '0.0.0.0', 80, { filterChains: chains, ...more })
    return findFilterChain(all, one, one.port)?.name
  }

  test('the longest destination prefix wins', () => {
    const chains = [
      chain('all', {}),
      chain('/8', { destinationPrefixes: ['10.0.0.0/8'] }),
      chain('/32', { destinationPrefixes: ['10.0.0.1/32', '192.168.0.0/16'] }),
    ]
    assert.equal(pick(chains, { address: '10.0.0.1' }), '/32')
    assert.equal(pick(chains, { address: '10.9.9.9' }), '/8')
    assert.equal(pick(chains, { address: '11.0.0.1' }), 'all')
    assert.equal(pick(chains, { address: 'fd00::1' }), 'all')
  })

  test('an exact server name wins over a wildcard, the longer wildcard over the shorter', () => {
    const chains = [
      chain('*.com', { serverNames: ['*.com'] }),
      chain('*.example.com', { serverNames: ['*.example.com'] }),
      chain('exact', { serverNames: ['a.example.com'] }),
    ]
    assert.equal(pick(chains, { protocol: 'tls', sni: 'a.example.com' }), 'exact')
    assert.equal(pick(chains, { protocol: 'tls', sni: 'b.example.com' }), '*.example.com')
    assert.equal(pick(chains, { protocol: 'tls', sni: 'example.com' }), '*.com')
    assert.equal(pick(chains, { protocol: 'tls', sni: 'b.org' }), undefined)
  })

  test('a criterion decided is not looked at again: Envoy does not go back', () => {
    const chains = [
      chain('by address', { destinationPrefixes: ['10.0.0.1/32'], serverNames: ['a'] }),
      chain('by name', { serverNames: ['b'] }),
    ]
    assert.equal(pick(chains, { address: '10.0.0.1', protocol: 'tls', sni: 'b' }), undefined)
  })

  test('plain HTTP is told from other bytes by what it looks like', () => {
    const chains = [
      chain('http', { transportProtocol: 'raw_buffer', applicationProtocols: ['http/1.1', 'h2c'] }),
      chain('tls', { transportProtocol: 'tls' }),
    ]
    const more = { defaultFilterChain: chain('rest', {}) }
    assert.equal(pick(chains, { protocol: 'http' }, more), 'http')
    assert.equal(pick(chains, { protocol: 'grpc' }, more), 'http')
    assert.equal(pick(chains, { protocol: 'tcp' }, more), 'rest')
    assert.equal(pick(chains, { protocol: 'https' }, more), 'tls')
  })
})
