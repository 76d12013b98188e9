import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLogger } from '@weft/base'
import { type Endpoints, NO_LOCALITY } from '@weft/model'
import { FakeClock } from '@weft/testkit'
import { resolvedEndpoints, watchDnsEndpoints } from './dns-endpoints.ts'
import { NameResolver } from './name-resolver.ts'

const named: Endpoints = {
  name: 'c',
  localities: [
    {
      locality: NO_LOCALITY,
      priority: 0,
      weight: 1,
      endpoints: [
        { address: { host: 'a.example', port: 80 }, weight: 2, health: 'healthy' },
        { address: { host: '10.0.0.9', port: 81 }, weight: 1, health: 'healthy' },
      ],
    },
  ],
}
const addressesOf = new Map([
  ['a.example', ['10.0.0.1', '10.0.0.2']],
  ['10.0.0.9', ['10.0.0.9']],
])
const hostsOf = (endpoints: Endpoints) =>
  endpoints.localities.flatMap((locality) =>
    locality.endpoints.map(({ address }) => `${address.host}:${address.port}`),
  )

test('strict DNS makes every address an endpoint, with the weight of its name', () => {
  const endpoints = resolvedEndpoints({ kind: 'strictDns', endpoints: named }, addressesOf)
  assert.deepEqual(hostsOf(endpoints), ['10.0.0.1:80', '10.0.0.2:80', '10.0.0.9:81'])
  assert.equal(endpoints.localities[0]?.endpoints[1]?.weight, 2)
})

test('logical DNS uses the first address only', () => {
  const endpoints = resolvedEndpoints({ kind: 'logicalDns', endpoints: named }, addressesOf)
  assert.deepEqual(hostsOf(endpoints), ['10.0.0.1:80', '10.0.0.9:81'])
})

test('literal addresses serve at once, names join when they resolve', async () => {
  const clock = new FakeClock()
  const resolver = new NameResolver(
    { refreshMs: 5_000, maxConcurrent: 2, maxNames: 10 },
    { clock, log: silentLogger, lookup: async () => ['10.0.0.1'] },
  )
  const seen: string[][] = []
  const stop = watchDnsEndpoints({ kind: 'strictDns', endpoints: named }, resolver, (endpoints) =>
    seen.push(hostsOf(endpoints)),
  )
  assert.deepEqual(seen, [['10.0.0.9:81']])
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(seen[1], ['10.0.0.1:80', '10.0.0.9:81'])
  stop()
  assert.equal(clock.pending, 0)
})
