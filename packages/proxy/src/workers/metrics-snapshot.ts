/**
 * The metrics of several processes as those of one. Counters and histograms add up, and
 * those of a worker that is gone stay in the sum: a counter that falls would be read as
 * a restart of the whole proxy.
 */
import { type Metric, MetricsRegistry } from '@weft/telemetry'

export interface MetricSnapshot {
  readonly kind: Metric['kind']
  readonly name: string
  readonly help: string
  readonly labels: readonly string[]
  readonly omitsZero: boolean
  /** Of a histogram. */
  readonly bounds: readonly number[]
  readonly series: readonly SeriesSnapshot[]
}

interface SeriesSnapshot {
  readonly values: readonly string[]
  /** One number; for a histogram a count per bucket, then the sum of the values. */
  readonly cells: readonly number[]
}

/** Gauges that say what something is, not how much of it there is. */
const FACTS: ReadonlySet<string> = new Set(['istio_build'])
/** Gauges of which the highest counts: what one process is short of is a shortage. */
const PEAKS = /^(envoy_overload_|weft_event_loop_delay_max_ms$)/
/** Series of workers that are gone; beyond it they are forgotten, which reads as a reset. */
const MAX_RETIRED_SERIES = 50_000

export function snapshotMetrics(registry: MetricsRegistry): MetricSnapshot[] {
  return registry.collect().map((metric) => ({
    kind: metric.kind,
    name: metric.name,
    help: metric.help,
    labels: metric.table.labels,
    omitsZero: metric.kind === 'counter' && metric.omitsZero,
    bounds: metric.kind === 'histogram' ? [...metric.bounds] : [],
    series: [...metric.table.series()].map(({ slot, values }) => ({
      values,
      cells: cellsOf(metric, slot),
    })),
  }))
}

function cellsOf(metric: Metric, slot: number): number[] {
  if (metric.kind !== 'histogram') return [metric.value(slot)]
  const buckets = Array.from({ length: metric.bounds.length + 1 }, (_, i) => metric.bucket(slot, i))
  return [...buckets, metric.sum(slot)]
}

/** Snapshots of one process each, in the order in which metrics shall appear. */
export function mergeSnapshots(
  snapshots: readonly (readonly MetricSnapshot[])[],
): MetricSnapshot[] {
  const merged = new Map<string, { first: MetricSnapshot; series: Map<string, SeriesSnapshot> }>()
  for (const metric of snapshots.flat()) {
    const known = merged.get(metric.name) ?? { first: metric, series: new Map() }
    merged.set(metric.name, known)
    const isFact = FACTS.has(metric.name)
    for (const one of metric.series) {
      const key = one.values.join('\0')
      const before = known.series.get(key)
      const add = PEAKS.test(metric.name) ? highest : sum
      known.series.set(key, before === undefined || isFact ? one : add(before, one))
    }
  }
  return [...merged.values()].map(({ first, series }) => ({
    ...first,
    series: [...series.values()],
  }))
}

function sum(a: SeriesSnapshot, b: SeriesSnapshot): SeriesSnapshot {
  return { values: a.values, cells: a.cells.map((cell, i) => cell + (b.cells[i] ?? 0)) }
}

function highest(a: SeriesSnapshot, b: SeriesSnapshot): SeriesSnapshot {
  return { values: a.values, cells: a.cells.map((cell, i) => Math.max(cell, b.cells[i] ?? 0)) }
}

/** What of a process's numbers still counts when it is gone. */
export function retire(
  retired: readonly MetricSnapshot[],
  gone: readonly MetricSnapshot[],
): MetricSnapshot[] {
  const lasting = gone.filter(({ kind }) => kind !== 'gauge')
  const merged = mergeSnapshots([retired, lasting])
  const size = merged.reduce((total, { series }) => total + series.length, 0)
  return size > MAX_RETIRED_SERIES ? lasting : merged
}

/** A registry to render from; nothing counts in it. */
export function registryOf(snapshot: readonly MetricSnapshot[]): MetricsRegistry {
  const registry = new MetricsRegistry()
  for (const { kind, name, help, labels, omitsZero, bounds, series } of snapshot) {
    const table = registry.table({ labels, maxSeries: Math.max(1, series.length), expiryMs: 0 })
    if (kind === 'histogram') {
      const metric = registry.histogram(name, help, table, bounds)
      for (const { values, cells } of series) metric.merge(table.slot(values), cells)
      continue
    }
    const metric =
      kind === 'gauge'
        ? registry.gauge(name, help, table)
        : omitsZero
          ? registry.partialCounter(name, help, table)
          : registry.counter(name, help, table)
    for (const { values, cells } of series) metric.set(table.slot(values), cells[0] ?? 0)
  }
  return registry
}
