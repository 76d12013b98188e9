/**
 * Metrics under the names of Envoy's `/stats`: `cluster.<name>.upstream_rq_total`
 * instead of `envoy_cluster_upstream_rq_total{envoy_cluster_name="<name>"}`.
 * What has no such name keeps Prometheus' form.
 */
import type { HistogramMetric, Metric, MetricsRegistry } from './metrics.ts'

export interface Stat {
  readonly name: string
  readonly used: boolean
  readonly value: number | HistogramReading
}

interface HistogramReading {
  readonly metric: HistogramMetric
  readonly slot: number
}

const QUANTILES = [0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 100] as const

/** Label that names the thing a stat belongs to, and where Envoy puts that name. */
const OWNERS = [
  { prefix: 'envoy_cluster_', label: 'envoy_cluster_name', root: 'cluster' },
  { prefix: 'envoy_listener_', label: 'envoy_listener_address', root: 'listener' },
  { prefix: 'envoy_http_', label: 'envoy_http_conn_manager_prefix', root: 'http' },
] as const

/** Of HTTP filters, whose leaves have dots of their own. */
const FILTER_SCOPES: readonly (readonly [flat: string, dotted: string])[] = [
  ['adaptive_concurrency_gradient_controller_', 'adaptive_concurrency.gradient_controller.'],
  ...['http2', 'cors', 'csrf', 'fault', 'buffer', 'ratelimit', 'ssl'].map(
    (filter) => [`${filter}_`, `${filter}.`] as const,
  ),
]
const COMPRESSOR = /^compressor_(gzip|br|zstd)_response_/
const LOCAL_LIMIT = 'envoy_http_local_rate_limit_'

/** Whose names have dots of their own. */
const OVERLOAD =
  /^envoy_overload_(envoy|weft)_(overload_actions|resource_monitors)_(.+)_(active|scale_percent|pressure|failed_updates)$/

/** What Envoy files under a name of its own, without an owner. */
const SCOPES = ['http2', 'server', 'cluster_manager', 'listener_manager', 'control_plane'] as const

export function* readStats(
  registry: MetricsRegistry,
  isWanted: (stat: Stat) => boolean,
): Generator<Stat> {
  for (const metric of registry.collect()) {
    for (const { slot, values } of metric.table.series()) {
      if (metric.kind === 'counter' && metric.omitsZero && metric.value(slot) === 0) continue
      const stat = statOf(metric, slot, values)
      if (isWanted(stat)) yield stat
    }
  }
}

export function* renderStatsText(stats: Iterable<Stat>): Generator<string> {
  for (const { name, value } of stats) {
    yield typeof value === 'number'
      ? `${name}: ${value}\n`
      : `${name}: ${QUANTILES.map((q) => `P${q}(nan,${quantile(value, q)})`).join(' ')}\n`
  }
}

export function* renderStatsJson(stats: Iterable<Stat>): Generator<string> {
  const histograms: unknown[] = []
  yield '{"stats":['
  let separator = '\n'
  for (const { name, value } of stats) {
    if (typeof value === 'number') {
      yield `${separator}${JSON.stringify({ name, value })}`
      separator = ',\n'
    } else {
      const values = QUANTILES.map((q) => ({ interval: null, cumulative: quantile(value, q) }))
      histograms.push({ name, values })
    }
  }
  const computed = { supported_quantiles: QUANTILES, computed_quantiles: histograms }
  yield `${separator}${JSON.stringify({ histograms: computed })}]}\n`
}

function statOf(metric: Metric, slot: number, values: readonly string[]): Stat {
  const name = statName(metric, values)
  if (metric.kind === 'histogram') {
    return { name, used: metric.count(slot) > 0, value: { metric, slot } }
  }
  const value = metric.value(slot)
  return { name, used: value !== 0, value }
}

function statName(metric: Metric, values: readonly string[]): string {
  const { labels } = metric.table
  const labelled = labels.map((label, i) => [label, values[i] ?? ''] as const)
  for (const { prefix, label, root } of OWNERS) {
    const owner = labelled.find(([name]) => name === label)
    if (owner === undefined || !metric.name.startsWith(prefix)) continue
    return `${root}.${owner[1]}.${leafName(metric.name.slice(prefix.length), labelled)}`
  }
  const localLimit = labelled.find(([name]) => name === 'envoy_local_http_ratelimit_prefix')
  if (localLimit !== undefined) {
    return `${localLimit[1]}.http_local_rate_limit.${metric.name.slice(LOCAL_LIMIT.length)}`
  }
  const scope =
    labels.length > 0 ? undefined : SCOPES.find((s) => metric.name.startsWith(`envoy_${s}_`))
  const overload = OVERLOAD.exec(metric.name)
  if (overload !== null) return `overload.${overload.slice(1).join('.')}`
  // `envoy_server_uptime` is `server.uptime`.
  if (scope !== undefined) return `${scope}.${metric.name.slice(`envoy_${scope}_`.length)}`
  const inner = labelled.map(([label, value]) => `${label}=${JSON.stringify(value)}`).join(',')
  return inner === '' ? metric.name : `${metric.name}{${inner}}`
}

/** `upstream_rq_xx` of class 2 is `upstream_rq_2xx`. */
function leafName(leaf: string, labelled: readonly (readonly [string, string])[]): string {
  const digit = labelled.find(([label]) => label === 'envoy_response_code_class')?.[1]
  const scope = FILTER_SCOPES.find(([flat]) => leaf.startsWith(flat))
  if (scope !== undefined) return `${scope[1]}${leaf.slice(scope[0].length)}`
  if (COMPRESSOR.test(leaf)) return leaf.replace(COMPRESSOR, 'compressor.$1.$1.response.')
  return digit === undefined ? leaf : leaf.replace('_xx', `_${digit}xx`)
}

/** Interpolated in its bucket, as Prometheus' `histogram_quantile` does; `null` without values. */
function quantile(reading: HistogramReading, percent: number): number | null {
  const { metric, slot } = reading
  const count = metric.count(slot)
  if (count === 0) return null
  const rank = (percent / 100) * count
  let seen = 0
  for (let i = 0; i < metric.bounds.length; i++) {
    const inBucket = metric.bucket(slot, i)
    const upper = metric.bounds[i] as number
    if (inBucket > 0 && seen + inBucket >= rank) {
      const lower = i === 0 ? 0 : (metric.bounds[i - 1] as number)
      return Number((lower + ((upper - lower) * (rank - seen)) / inBucket).toFixed(3))
    }
    seen += inBucket
  }
  return metric.bounds.at(-1) ?? null
}
