/**
 * What HTTP filters count, under the names that Envoy's filters use:
 * `http.<prefix>.fault.aborts_injected` of `/stats` is `envoy_http_fault_aborts_injected` with the
 * label `envoy_http_conn_manager_prefix` for Prometheus.
 */
import type { MetricsRegistry, ScalarMetric, SeriesTable } from '@weft/telemetry'
import type { FilterGauge, FilterStats, StatOwner } from '../exchange/contract.ts'

/** Owners are configuration, not traffic, but a bound is a bound. */
const MAX_OWNERS = 20_000

const LABELS = {
  http: { prefix: 'envoy_http_', label: 'envoy_http_conn_manager_prefix' },
  cluster: { prefix: 'envoy_cluster_', label: 'envoy_cluster_name' },
  listener: { prefix: 'envoy_listener_', label: 'envoy_listener_address' },
  network: { prefix: 'envoy_', label: 'envoy_rbac_prefix' },
  localRateLimit: {
    prefix: 'envoy_http_local_rate_limit_',
    label: 'envoy_local_http_ratelimit_prefix',
  },
} as const

export class RegistryFilterStats implements FilterStats {
  readonly #registry: MetricsRegistry
  readonly #tables = new Map<string, SeriesTable>()
  readonly #metrics = new Map<string, ScalarMetric>()

  constructor(registry: MetricsRegistry) {
    this.#registry = registry
  }

  counter(owner: StatOwner, leaf: string): (amount?: number) => void {
    const { metric, slot } = this.#find(owner, leaf, 'counter')
    return (amount = 1) => metric.add(slot, amount)
  }

  gauge(owner: StatOwner, leaf: string): FilterGauge {
    const { metric, slot } = this.#find(owner, leaf, 'gauge')
    return (value) => metric.set(slot, value)
  }

  #find({ kind, name }: StatOwner, leaf: string, type: 'counter' | 'gauge') {
    const { prefix, label } = LABELS[kind]
    // Gauges show zeros: those who have none of them are in another table.
    let table = this.#tables.get(`${type} ${kind}`)
    if (table === undefined) {
      table = this.#registry.table({ labels: [label], maxSeries: MAX_OWNERS, expiryMs: 0 })
      this.#tables.set(`${type} ${kind}`, table)
    }
    const metricName = `${prefix}${leaf.replaceAll(/[.-]/g, '_')}`
    let metric = this.#metrics.get(metricName)
    if (metric === undefined) {
      metric =
        type === 'counter'
          ? this.#registry.partialCounter(metricName, '', table)
          : this.#registry.gauge(metricName, '', table)
      this.#metrics.set(metricName, metric)
    }
    return { metric, slot: table.slot([name]) }
  }
}
