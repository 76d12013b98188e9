import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  type FilterOverrides,
  type HttpFilterConfig,
  type LocalRateLimit,
  NO_HEADER_CHANGES,
  type RateLimitService,
  type RequestView,
  type ResourceSet,
  type Route,
} from '@weft/model'
import { buildWorkloadPolicy } from './workload-policy.ts'

const SERVICE: RateLimitService = {
  ...{ domain: 'weft.io/shop/cart', cluster: 'weft-control', timeoutMs: 500, stage: 1 },
  ...{ failureModeDeny: false, headers: false, status: 429 },
}

function limit(statPrefix: string): LocalRateLimit {
  return {
    statPrefix,
    bucket: { maxTokens: 1, tokensPerFill: 1, fillIntervalMs: 1_000 },
    ...{ enabledPercent: 100, enforcedPercent: 100, status: 429, perConnection: false },
    ...{ descriptors: [], actions: [], headers: false, responseHeaders: [] },
  }
}

function route(prefix: string, filters?: FilterOverrides): Route {
  const weighted = {
    cluster: `inbound${prefix}`,
    weight: 1,
    requestHeaders: NO_HEADER_CHANGES,
    responseHeaders: NO_HEADER_CHANGES,
  }
  return {
    name: prefix,
    match: { path: { kind: 'prefix', value: prefix, ignoreCase: false }, headers: [], query: [] },
    action: {
      kind: 'forward',
      targets: [weighted],
      ...{ hashPolicies: [], mirrors: [], timeoutMs: 0 },
    } as unknown as Route['action'],
    requestHeaders: NO_HEADER_CHANGES,
    responseHeaders: NO_HEADER_CHANGES,
    origins: [],
    ...(filters === undefined ? {} : { filters }),
  }
}

/** What a sidecar with these routes towards its application asks of `path`. */
function rulesFor(path: string) {
  const filters: HttpFilterConfig[] = [
    { kind: 'localRateLimit', limit: limit('listener') },
    { kind: 'rateLimit', service: SERVICE },
  ]
  const actions = [{ actions: [{ kind: 'path' as const }], stage: 1 }]
  const virtualHost = {
    name: 'inbound',
    domains: ['*'],
    routes: [
      route('/a', { localRateLimit: limit('route') }),
      route('/b', { rateLimits: actions }),
      route('/c', { disabled: ['localRateLimit'] }),
      route('/'),
    ],
    requireTls: 'none',
    requestHeaders: NO_HEADER_CHANGES,
    responseHeaders: NO_HEADER_CHANGES,
    filters: { rateLimits: [{ actions: [{ kind: 'method' as const }], stage: 0 }] },
  }
  const table = { name: 'inbound', virtualHosts: [virtualHost] }
  const filter = { kind: 'http', filters, routes: { kind: 'inline', table }, accessLogs: [] }
  const listener = { name: 'in', direction: 'inbound', filterChains: [{ filter }] }
  const set = {
    listener: new Map([['in', listener]]),
    ...{ route: new Map(), cluster: new Map(), endpoints: new Map() },
  } as unknown as ResourceSet
  const request: RequestView = {
    ...{ method: 'POST', scheme: 'http', authority: 'cart', path },
    header: () => undefined,
  }
  return buildWorkloadPolicy(set).inbound(request)
}

describe('what a workload asks of a call', () => {
  test('is what the route says that the call takes to the application', () => {
    const names = (path: string) => rulesFor(path).limits.map((one) => one.limit.statPrefix)
    assert.deepEqual(names('/a/x'), ['route'])
    assert.deepEqual(names('/b/x'), ['listener'])
    assert.deepEqual(names('/c/x'), [])
    assert.deepEqual(names('/d'), ['listener'])
    assert.equal(rulesFor('/b/x').destinationCluster, 'inbound/b')
  })

  test('limits of a route have buckets of their own, those of the listener are shared', () => {
    const [own] = rulesFor('/a/x').limits
    const [shared] = rulesFor('/d').limits
    assert.deepEqual([own?.ofRoute, shared?.ofRoute], ['/a', ''])
  })

  test('limits that others count are by the actions of the route, of their stage', () => {
    const kinds = (path: string) =>
      rulesFor(path).globals.flatMap(({ actions }) =>
        actions.flatMap((one) => one.actions.map(({ kind }) => kind)),
      )
    assert.deepEqual(kinds('/b/x'), ['path'])
    assert.deepEqual(kinds('/a/x'), [], 'those of the virtual host are of another stage')
  })
})
