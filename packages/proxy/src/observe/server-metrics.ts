/**
 * Gauges of the proxy itself, under Envoy's names where it has them. Read when
 * somebody scrapes; nothing is kept on the data path.
 */
import type { Clock } from '@weft/base'
import { renderAddress } from '@weft/model'
import type { MetricsRegistry, ScalarMetric } from '@weft/telemetry'
import type { ProxyView } from '../admin/endpoint.ts'
import type { ConnectionBudget } from '../listen/connection-budget.ts'

/** What is gone from the configuration is gone from the scrape after this. */
const EXPIRY_MS = 60_000
const MAX_SERIES = 20_000

type Read = (proxy: ProxyView) => number

const SERVER_GAUGES: Readonly<Record<string, Read>> = {
  envoy_server_live: (proxy) => (proxy.state() === 'LIVE' ? 1 : 0),
  envoy_server_state: (proxy) => ['LIVE', 'DRAINING', 'PRE_INITIALIZING'].indexOf(proxy.state()),
  envoy_server_uptime: ({ clock, startedAtMs }) =>
    Math.floor((clock.monotonicMs() - startedAtMs) / 1_000),
  envoy_server_memory_allocated: ({ workers }) =>
    workers?.memoryBytes() ?? process.memoryUsage.rss(),
  envoy_server_concurrency: ({ workers }) => workers?.concurrency ?? 1,
  envoy_server_total_connections: (proxy) =>
    proxy.listeners().reduce((sum, { connections }) => sum + connections, 0),
  envoy_cluster_manager_active_clusters: (proxy) => proxy.clusters().length,
  envoy_listener_manager_total_listeners_active: (proxy) => proxy.listeners().length,
  envoy_control_plane_connected_state: (proxy) => (proxy.control()?.kind === 'connected' ? 1 : 0),
  // Below zero since it has expired; 0 where there is none.
  weft_identity_expiry_seconds: (proxy) => {
    const { notAfterMs } = proxy.identity() ?? {}
    return notAfterMs === undefined ? 0 : Math.round((notAfterMs - proxy.clock.nowMs()) / 1_000)
  },
  weft_identity_failures: (proxy) => proxy.identity()?.failures ?? 0,
  weft_rejected_resources: (proxy) => proxy.rejections().length,
}

/** What the descriptors allow, under the name Envoy has for its global limit. */
export function registerConnectionMetrics(
  registry: MetricsRegistry,
  connections: ConnectionBudget,
): void {
  const table = registry.table({ labels: [], maxSeries: 1, expiryMs: 0 })
  const refused = registry.counter(
    'envoy_listener_downstream_global_cx_overflow',
    'Clients that were refused because too many are connected.',
    table,
  )
  let counted = 0
  registry.onCollect(() => {
    refused.add(table.slot([]), connections.refused - counted)
    counted = connections.refused
  })
}

export function registerServerMetrics(
  registry: MetricsRegistry,
  proxy: ProxyView,
  clock: Clock,
): void {
  const server = registry.table({ labels: [], maxSeries: 1, expiryMs: 0 })
  const gauges = Object.entries(SERVER_GAUGES).map(
    ([name, read]) => [registry.gauge(name, '', server), read] as const,
  )
  const transports = registry.table({ labels: ['transport'], maxSeries: 4, expiryMs: 0 })
  const transport = registry.gauge(
    'weft_transport',
    'The transport that carries the traffic; handle is the fast one.',
    transports,
  )
  transport.set(transports.slot([proxy.transport.name]), 1)

  const listeners = registry.table({
    labels: ['envoy_listener_address'],
    maxSeries: MAX_SERIES,
    expiryMs: EXPIRY_MS,
  })
  const connections = registry.gauge('envoy_listener_downstream_cx_active', '', listeners)
  const clusters = registry.table({
    labels: ['envoy_cluster_name'],
    maxSeries: MAX_SERIES,
    expiryMs: EXPIRY_MS,
  })
  const gauge = (leaf: string): ScalarMetric =>
    registry.gauge(`envoy_cluster_${leaf}`, '', clusters)
  const members = gauge('membership_total')
  const healthy = gauge('membership_healthy')
  const active = gauge('upstream_rq_active')
  const pending = gauge('upstream_rq_pending_active')
  const open = gauge('upstream_cx_active')
  const ejected = gauge('outlier_detection_ejections_active')

  registry.onCollect(() => {
    // What is read below counts as used now: the rest expires.
    registry.sweep(clock.monotonicMs())
    for (const [metric, read] of gauges) metric.set(server.slot([]), read(proxy))
    for (const { address, connections: count } of proxy.listeners()) {
      connections.set(listeners.slot([renderAddress(address)]), count)
    }
    for (const { cluster, hosts, inUse } of proxy.clusters()) {
      const slot = clusters.slot([cluster.name])
      members.set(slot, hosts.length)
      const isWell = (host: (typeof hosts)[number]) =>
        host.health === 'healthy' && !host.ejected && host.failedCheck !== true
      healthy.set(slot, hosts.filter(isWell).length)
      ejected.set(slot, hosts.filter((host) => host.ejected).length)
      active.set(slot, inUse.requests)
      pending.set(slot, inUse.pending)
      open.set(slot, inUse.connections)
    }
  })
}
