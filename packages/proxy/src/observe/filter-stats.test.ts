import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MetricsRegistry, readStats, renderMetrics, renderStatsText } from '@weft/telemetry'
import { RegistryFilterStats } from './filter-stats.ts'

test("filters count under Envoy's names, in both forms", () => {
  const registry = new MetricsRegistry()
  const stats = new RegistryFilterStats(registry)
  const http = { kind: 'http', name: 'outbound_0.0.0.0_80' } as const
  stats.counter(http, 'fault.aborts_injected')(2)
  stats.counter(http, 'fault.aborts_injected')()
  stats.counter({ kind: 'http', name: 'other' }, 'compressor.gzip.response.compressed')()
  stats.gauge(http, 'adaptive_concurrency.gradient_controller.concurrency_limit')(7)
  stats.counter({ kind: 'localRateLimit', name: 'shop' }, 'rate_limited')()
  stats.counter({ kind: 'cluster', name: 'web' }, 'ratelimit.over_limit')()
  const text = [...renderStatsText(readStats(registry, () => true))].join('')
  assert.deepEqual(text.trim().split('\n').sort(), [
    'cluster.web.ratelimit.over_limit: 1',
    'http.other.compressor.gzip.gzip.response.compressed: 1',
    'http.outbound_0.0.0.0_80.adaptive_concurrency.gradient_controller.concurrency_limit: 7',
    'http.outbound_0.0.0.0_80.fault.aborts_injected: 3',
    'shop.http_local_rate_limit.rate_limited: 1',
  ])
  const prometheus = [...renderMetrics(registry, 'prometheus')].join('')
  assert.match(
    prometheus,
    /envoy_http_fault_aborts_injected\{envoy_http_conn_manager_prefix="outbound_0.0.0.0_80"\} 3/,
  )
  assert.match(
    prometheus,
    /envoy_http_local_rate_limit_rate_limited\{envoy_local_http_ratelimit_prefix="shop"\} 1/,
  )
})
