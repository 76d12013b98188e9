/**
 * Counters per cluster under Envoy's names (`envoy_cluster_upstream_rq_total` …),
 * for dashboards that were built for Envoy and for `/clusters`.
 */

import type { MetricsRegistry, ScalarMetric, SeriesTable } from '@weft/telemetry'
import type { ExchangeRecord } from '../exchange/contract.ts'

/** Clusters are configuration, not traffic, but a bound is a bound. */
const MAX_CLUSTERS = 20_000

export class ClusterStats {
  readonly #clusters: SeriesTable
  readonly #classes: SeriesTable
  readonly #requests: ScalarMetric
  readonly #retries: ScalarMetric
  readonly #byClass: ScalarMetric
  readonly #rare: Readonly<Record<RareCount, ScalarMetric>>

  constructor(registry: MetricsRegistry) {
    const bounded = { maxSeries: MAX_CLUSTERS, expiryMs: 0 }
    this.#clusters = registry.table({ labels: ['envoy_cluster_name'], ...bounded })
    this.#classes = registry.table({
      labels: ['envoy_response_code_class', 'envoy_cluster_name'],
      ...bounded,
    })
    this.#requests = registry.counter('envoy_cluster_upstream_rq_total', '', this.#clusters)
    this.#retries = registry.counter('envoy_cluster_upstream_rq_retry', '', this.#clusters)
    this.#byClass = registry.counter('envoy_cluster_upstream_rq_xx', '', this.#classes)
    const rare = (name: string) => registry.counter(name, '', this.#clusters)
    this.#rare = {
      success: rare('envoy_cluster_upstream_rq_retry_success'),
      overflow: rare('envoy_cluster_upstream_rq_retry_overflow'),
      limitExceeded: rare('envoy_cluster_upstream_rq_retry_limit_exceeded'),
      exponential: rare('envoy_cluster_upstream_rq_retry_backoff_exponential'),
      ratelimited: rare('envoy_cluster_upstream_rq_retry_backoff_ratelimited'),
      hedges: rare('weft_cluster_upstream_rq_hedge_total'),
      hedgesWon: rare('weft_cluster_upstream_rq_hedge_won_total'),
    }
  }

  /** Moves whenever slots may have become another's. */
  get epoch(): number {
    return this.#clusters.epoch + this.#classes.epoch
  }

  /** What `record` needs to know of a cluster; good until `epoch` moves. */
  slots(cluster: string): ClusterSlots {
    const byClass = ['0', '1', '2', '3', '4', '5'].map((digit) =>
      digit === '0' ? 0 : this.#classes.slot([digit, cluster]),
    )
    return { cluster: this.#clusters.slot([cluster]), byClass: Uint32Array.from(byClass) }
  }

  record(slots: ClusterSlots, status: number, attempts: number): void {
    this.#requests.add(slots.cluster, attempts)
    if (attempts > 1) this.#retries.add(slots.cluster, attempts - 1)
    const digit = Math.trunc(status / 100)
    if (digit >= 1 && digit <= 5) this.#byClass.add(slots.byClass[digit] as number, 1)
  }

  /** Not a hot path: what went otherwise than by one attempt. */
  recordRepeats({ cluster, status, attempts, retryEnd, backoff, hedges }: ExchangeRecord): void {
    if (cluster === undefined) return
    const slot = this.#clusters.slot([cluster.name])
    if (attempts > 1 && status > 0 && status < 500) this.#rare.success.add(slot, 1)
    if (retryEnd !== undefined) this.#rare[retryEnd].add(slot, 1)
    if (backoff !== undefined) this.#rare[backoff].add(slot, 1)
    if (hedges === undefined || hedges.launched === 0) return
    this.#rare.hedges.add(slot, hedges.launched)
    if (hedges.won) this.#rare.hedgesWon.add(slot, 1)
  }
}

type RareCount =
  | 'success'
  | 'overflow'
  | 'limitExceeded'
  | 'exponential'
  | 'ratelimited'
  | 'hedges'
  | 'hedgesWon'

export interface ClusterSlots {
  readonly cluster: number
  /** By first digit of the status; index 0 is unused. */
  readonly byClass: Uint32Array
}
