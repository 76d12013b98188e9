import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MetricsRegistry, readStats, renderMetrics, renderStatsText } from '@weft/telemetry'
import { RegistryHttp2Stats } from './http2-stats.ts'

test("HTTP/2 counts under Envoy's names, in both forms, and nothing twice", () => {
  const registry = new MetricsRegistry()
  const stats = new RegistryHttp2Stats(registry)
  stats.clients.rx_reset += 2
  stats.clients.too_many_premature_resets++
  const web = stats.ofCluster('web')
  web.goaway_sent++
  stats.ofCluster('web').goaway_sent++
  const text = () => [...renderStatsText(readStats(registry, ({ used }) => used))].sort()
  const before = text()
  assert.deepEqual(before, [
    'cluster.web.http2.goaway_sent: 2\n',
    'http2.rx_reset: 2\n',
    'http2.too_many_premature_resets: 1\n',
  ])
  web.goaway_sent++
  assert.equal(text()[0], 'cluster.web.http2.goaway_sent: 3\n')
  const prometheus = [...renderMetrics(registry, 'prometheus')].join('')
  assert.match(prometheus, /^envoy_http2_rx_reset 2$/m)
  assert.match(prometheus, /^envoy_cluster_http2_goaway_sent\{envoy_cluster_name="web"\} 3$/m)
})

test('open streams go up and down, and a GOAWAY that came is counted', () => {
  const registry = new MetricsRegistry()
  const { clients } = new RegistryHttp2Stats(registry)
  const text = () => [...renderStatsText(readStats(registry, ({ used }) => used))].sort()
  clients.streams_active += 3
  clients.goaway_received++
  assert.deepEqual(text(), ['http2.goaway_received: 1\n', 'http2.streams_active: 3\n'])
  clients.streams_active -= 2
  assert.equal(text()[1], 'http2.streams_active: 1\n')
  const prometheus = [...renderMetrics(registry, 'prometheus')].join('')
  assert.match(prometheus, /^# TYPE envoy_http2_streams_active gauge$/m)
})
