import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { HttpConnectionManager, LocalRateLimit, RateLimitService } from '@weft/model'
import { limitFacts } from './rate-limits.ts'

const SERVICE: RateLimitService = {
  domain: 'weft.io/default/shop',
  cluster: 'weft-control',
  timeoutMs: 500,
  failureModeDeny: false,
  stage: 0,
  headers: false,
  status: 429,
}
const LOCAL: LocalRateLimit = {
  statPrefix: 'rate_limit.default.web',
  bucket: { maxTokens: 5, tokensPerFill: 5, fillIntervalMs: 1_000 },
  ...{ enabledPercent: 100, enforcedPercent: 100, status: 429, descriptors: [], actions: [] },
  ...{ perConnection: false, headers: false, responseHeaders: [] },
}
const managerOf = (...filters: HttpConnectionManager['filters']) =>
  ({ filters }) as unknown as HttpConnectionManager
const RATE_LIMITS = [{ stage: 0, actions: [{ kind: 'method' }] }] as const

test('a global limit is told where the route has something to count by', () => {
  const manager = managerOf({ kind: 'rateLimit', service: SERVICE })
  assert.deepEqual(limitFacts(manager, {}), [])
  assert.deepEqual(limitFacts(manager, { rateLimits: RATE_LIMITS }), [
    'global rate limit: the control plane counts RateLimit default/shop for all proxies together; without an answer the request is let pass',
  ])
  const other = { ...SERVICE, domain: 'd', cluster: 'limits', failureModeDeny: true }
  const strange = managerOf({ kind: 'rateLimit', service: other })
  assert.deepEqual(limitFacts(strange, undefined, { rateLimits: RATE_LIMITS }), [
    'global rate limit: the service behind cluster "limits" counts domain "d"; without an answer the request is refused with 500',
  ])
  assert.deepEqual(limitFacts(strange, { rateLimits: RATE_LIMITS, disabled: ['rateLimit'] }), [])
})

test('a local limit is the one of the route, else the one of the listener', () => {
  const manager = managerOf({ kind: 'localRateLimit', limit: LOCAL })
  assert.deepEqual(limitFacts(manager), [
    'rate limit "rate_limit.default.web" of each proxy: 5 per 1000 ms; beyond it 429',
  ])
  const own = { ...LOCAL, statPrefix: 'own', status: 503 }
  assert.match(limitFacts(manager, { localRateLimit: own })[0] ?? '', /"own".*503/)
  assert.deepEqual(limitFacts(managerOf({ kind: 'localRateLimit' })), [])
})
