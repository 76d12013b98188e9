import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type FilterChainMatch, MATCH_ALL } from '@weft/model'
import {
  clusterOf,
  engineDeps,
  httpRuntime,
  tableOf,
  upstreamOf,
} from '../exchange/engine-fixture.ts'
import { type ConnectionFacts, matchChain, needsDetection } from './match-chain.ts'

const handler = httpRuntime(tableOf([]), [upstreamOf(clusterOf('app', []), engineDeps())])

function listener(
  matches: Readonly<Record<string, Partial<FilterChainMatch>>>,
  withDefault = false,
) {
  const chains = Object.entries(matches).map(([name, match]) => ({
    name,
    match: { ...MATCH_ALL, ...match },
    handler,
  }))
  const fallback = { name: 'default', match: MATCH_ALL, handler }
  const listener = { name: 'test', direction: 'outbound', chains } as const
  return withDefault ? { ...listener, defaultChain: fallback } : listener
}

function facts(changes: Partial<ConnectionFacts> = {}): ConnectionFacts {
  return {
    destination: { host: '10.1.2.3', port: 80 },
    source: { host: '10.9.9.9', port: 5_000 },
    transport: 'raw_buffer',
    protocols: ['http/1.1'],
    ...changes,
  }
}

test('the most specific criterion wins, destination port before everything else', () => {
  const runtime = listener({
    any: {},
    wide: { destinationPrefixes: ['10.0.0.0/8'] },
    narrow: { destinationPrefixes: ['10.1.0.0/16'] },
    port: { destinationPort: 81 },
  })
  assert.equal(matchChain(runtime, facts())?.name, 'narrow')
  const other = facts({ destination: { host: '10.200.0.1', port: 80 } })
  assert.equal(matchChain(runtime, other)?.name, 'wide')
  const outside = facts({ destination: { host: '192.168.0.1', port: 80 } })
  assert.equal(matchChain(runtime, outside)?.name, 'any')
  const port = facts({ destination: { host: '10.1.2.3', port: 81 } })
  assert.equal(matchChain(runtime, port)?.name, 'port')
})

test('protocols decide where a listener asks for them, IPv6 prefixes too', () => {
  const runtime = listener(
    {
      http: { applicationProtocols: ['http/1.1', 'h2c'], transportProtocol: 'raw_buffer' },
      six: { destinationPrefixes: ['fd00::/8'] },
    },
    true,
  )
  assert.ok(needsDetection(runtime))
  assert.equal(matchChain(runtime, facts())?.name, 'http')
  assert.equal(matchChain(runtime, facts({ protocols: [] }))?.name, 'default')
  const six = facts({ protocols: [], destination: { host: 'fd00::1', port: 80 } })
  assert.equal(matchChain(runtime, six)?.name, 'six')
})

test('no chain and no default chain is no match', () => {
  const runtime = listener({ port: { destinationPort: 81 } })
  assert.equal(matchChain(runtime, facts()), undefined)
  assert.equal(needsDetection(runtime), false)
})
