import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FilterOverrides, HttpFilterConfig, Route } from '@weft/model'
import { MetricsRegistry, readStats } from '@weft/telemetry'
import {
  engineDeps,
  forwardTo,
  httpRuntime,
  MANAGER,
  routeOf,
  tableOf,
} from '../exchange/engine-fixture.ts'
import { ExchangeFacts } from '../exchange/exchange-facts.ts'
import { RegistryFilterStats } from '../observe/filter-stats.ts'
import { filterChainOf } from './bound-filters.ts'

const ADDRESS = { host: '10.0.0.1', port: 1 }
const PEER = {
  remote: ADDRESS,
  local: ADDRESS,
  protocol: 'HTTP/1.1',
  requestId: '',
  tls: undefined,
} as const

/** Runs requests through a chain and reads what was counted. */
function counted(
  filters: readonly HttpFilterConfig[],
  requests: readonly { readonly method?: string; readonly [header: string]: string | undefined }[],
  changes: Partial<Route> = {},
  overrides: FilterOverrides = {},
): Record<string, number> {
  const registry = new MetricsRegistry()
  const deps = { ...engineDeps(), filterStats: new RegistryFilterStats(registry) }
  const runtime = httpRuntime(
    tableOf([routeOf(forwardTo('app'), { filters: overrides, ...changes })]),
    [],
    {
      manager: { ...MANAGER, filters },
    },
  )
  const host = runtime.routes?.virtualHosts[0]
  const route = host?.routes[0]
  assert.ok(host !== undefined && route !== undefined)
  const chain = filterChainOf(deps, runtime, host.source, route)
  for (const { method = 'GET', ...headers } of requests) {
    const request = {
      method,
      path: '/',
      scheme: 'http' as const,
      authority: 'shop.example',
      header: (name: string) => headers[name],
    }
    for (const entry of chain) {
      const call = {
        request,
        remoteHost: '10.0.0.1',
        principal: undefined,
        contentLength: 0,
        connection: {},
        peer: PEER,
        facts: new ExchangeFacts(),
        fieldNames: () => Object.keys(headers),
        fieldLines: (name: string) => [headers[name] ?? ''],
        whenBody: () => () => {},
      }
      if (entry.kind === 'bound') entry.filter.onRequest(call)
    }
  }
  const stats = [...readStats(registry, () => true)].map(({ name, value }) => [name, value])
  return Object.fromEntries(stats)
}

test('faults', () => {
  const fault = { delay: { percent: 100, delayMs: 5 }, abort: { percent: 100, status: 503 } }
  assert.deepEqual(counted([{ kind: 'fault' }], [{}, {}], { fault }), {
    'http.test.fault.delays_injected': 2,
    'http.test.fault.aborts_injected': 2,
  })
})

test('origins', () => {
  const cors = {
    allowOrigins: [{ kind: 'exact', value: 'https://a.example', ignoreCase: false }],
    allowMethods: [],
    allowHeaders: [],
    exposeHeaders: [],
    allowCredentials: false,
    forwardUnmatchedPreflights: true,
  } as const
  const requests = [{ origin: 'https://a.example' }, { origin: 'https://b.example' }, {}]
  assert.deepEqual(counted([{ kind: 'cors' }], requests, { cors }), {
    'http.test.cors.origin_valid': 1,
    'http.test.cors.origin_invalid': 1,
  })
})

test('forged requests, also where they are only watched', () => {
  const policy = { enabledPercent: 0, shadowPercent: 100, additionalOrigins: [] }
  const requests = [
    { method: 'POST', origin: 'https://shop.example' },
    { method: 'POST', origin: 'https://evil.example' },
    { method: 'DELETE' },
    { method: 'GET' },
  ]
  assert.deepEqual(counted([{ kind: 'csrf', policy }], requests), {
    'http.test.csrf.missing_source_origin': 1,
    'http.test.csrf.request_valid': 1,
    'http.test.csrf.request_invalid': 1,
  })
})

test('local limits', () => {
  const limit = {
    statPrefix: 'shop',
    bucket: { maxTokens: 2, tokensPerFill: 1, fillIntervalMs: 60_000 },
    enabledPercent: 100,
    enforcedPercent: 100,
    status: 429,
    descriptors: [],
    actions: [],
    perConnection: false,
    headers: false,
    responseHeaders: [],
  }
  assert.deepEqual(counted([{ kind: 'localRateLimit', limit }], [{}, {}, {}]), {
    'shop.http_local_rate_limit.enabled': 3,
    'shop.http_local_rate_limit.ok': 2,
    'shop.http_local_rate_limit.rate_limited': 1,
    'shop.http_local_rate_limit.enforced': 1,
  })
})
