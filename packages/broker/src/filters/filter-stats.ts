/** What filters do, as metrics: `weft_rsocket_filter_…`, by the filter's name. */
import type { MetricsRegistry } from '@weft/telemetry'
import type { FilterRow, FilterSet } from './filter-set.ts'

type Count = {
  [K in keyof FilterRow]: FilterRow[K] extends number ? K : never
}[keyof FilterRow]

const TOTALS: Readonly<Record<string, readonly [Count, help: string]>> = {
  streams_total: ['streams', 'Streams that the filter took part in.'],
  calls_total: ['calls', 'Calls of its hooks.'],
  failures_total: ['failures', 'Hooks that threw, rejected or were late.'],
  timeouts_total: ['timeouts', 'Hooks that were late.'],
  bypassed_total: ['bypassed', 'Hooks that were not called because it fails again and again.'],
  refusals_total: ['refusals', 'Streams and connections that it refused.'],
  answers_total: ['answers', 'Requests that it answered itself.'],
  changes_total: ['changes', 'Requests and items that it changed.'],
  drops_total: ['drops', 'Items that it dropped.'],
  loads_total: ['generation', 'Times that its file was loaded.'],
}

const MAX_FILTERS = 256

/** Registers them; they are read when somebody scrapes. */
export function registerFilterStats(registry: MetricsRegistry, filters: FilterSet): void {
  const table = registry.table({ labels: ['filter'], maxSeries: MAX_FILTERS, expiryMs: 0 })
  const totals = Object.entries(TOTALS).map(
    ([name, [count, help]]) =>
      [count, registry.counter(`weft_rsocket_filter_${name}`, help, table)] as const,
  )
  const bad = registry.gauge(
    'weft_rsocket_filter_load_failed',
    '1: its file as it is now was not taken.',
    table,
  )
  registry.onCollect(() => {
    for (const row of filters.rows()) {
      const slot = table.slot([row.name])
      for (const [count, metric] of totals) metric.set(slot, row[count])
      bad.set(slot, row.problem === undefined ? 0 : 1)
    }
  })
}
