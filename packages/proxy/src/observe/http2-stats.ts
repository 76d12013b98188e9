/**
 * What HTTP/2 connections count, under Envoy's names: `http2.rx_reset` for clients,
 * `cluster.<name>.http2.rx_reset` for endpoints. Sessions count in plain objects; the
 * registry takes over what is new when somebody scrapes.
 */
import type { MetricsRegistry, ScalarMetric, SeriesTable } from '@weft/telemetry'
import { type Http2Counters, newHttp2Counters } from '@weft/wire'
import type { Http2Stats } from '../exchange/contract.ts'

/** Clusters are configuration, not traffic, but a bound is a bound. */
const MAX_CLUSTERS = 20_000
const NAMES = Object.keys(newHttp2Counters()) as readonly (keyof Http2Counters)[]

/** What goes down again. */
const GAUGES: ReadonlySet<string> = new Set(['streams_active'])

interface Owner {
  readonly counters: Http2Counters
  /** What the registry has of them. */
  readonly told: Http2Counters
  readonly slot: () => number
  readonly metrics: Readonly<Record<string, ScalarMetric>>
}

export class RegistryHttp2Stats implements Http2Stats {
  readonly clients: Http2Counters
  readonly #clusters = new Map<string, Owner>()
  readonly #clusterTable: SeriesTable
  readonly #clusterMetrics: Readonly<Record<string, ScalarMetric>>

  constructor(registry: MetricsRegistry) {
    const table = registry.table({ labels: [], maxSeries: 1, expiryMs: 0 })
    const metrics = metricsOf((name) =>
      GAUGES.has(name)
        ? registry.gauge(`envoy_http2_${name}`, '', table)
        : registry.counter(`envoy_http2_${name}`, '', table),
    )
    const clients = ownerOf(() => table.slot([]), metrics)
    this.clients = clients.counters
    const labels = ['envoy_cluster_name']
    this.#clusterTable = registry.table({ labels, maxSeries: MAX_CLUSTERS, expiryMs: 0 })
    this.#clusterMetrics = metricsOf((name) =>
      GAUGES.has(name)
        ? registry.gauge(`envoy_cluster_http2_${name}`, '', this.#clusterTable)
        : registry.partialCounter(`envoy_cluster_http2_${name}`, '', this.#clusterTable),
    )
    registry.onCollect(() => {
      tell(clients)
      for (const owner of this.#clusters.values()) tell(owner)
    })
  }

  ofCluster(name: string): Http2Counters {
    let owner = this.#clusters.get(name)
    if (owner === undefined) {
      if (this.#clusters.size >= MAX_CLUSTERS) return newHttp2Counters()
      owner = ownerOf(() => this.#clusterTable.slot([name]), this.#clusterMetrics)
      this.#clusters.set(name, owner)
    }
    return owner.counters
  }
}

function metricsOf(make: (name: string) => ScalarMetric): Readonly<Record<string, ScalarMetric>> {
  return Object.fromEntries(NAMES.map((name) => [name, make(name)]))
}

function ownerOf(slot: () => number, metrics: Readonly<Record<string, ScalarMetric>>): Owner {
  return { counters: newHttp2Counters(), told: newHttp2Counters(), slot, metrics }
}

function tell({ counters, told, slot, metrics }: Owner): void {
  const at = slot()
  for (const name of NAMES) {
    const more = counters[name] - told[name]
    if (more === 0) continue
    metrics[name]?.add(at, more)
    told[name] = counters[name]
  }
}
