/**
 * The metrics of a process: counters, gauges and histograms over slabs of
 * numbers. Hot path: an increment is one array add at a slot that the caller
 * resolved before (`SeriesTable`). Rendering is `prometheus.ts`.
 */
import { SeriesTable, type SeriesTableOptions } from './series-table.ts'

/** The buckets of Envoy, and so of Istio's dashboards. */
export const ENVOY_BUCKETS: readonly number[] = [
  0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000,
  600_000, 1_800_000, 3_600_000,
]

export type MetricKind = 'counter' | 'gauge' | 'histogram'

/** One metric with its series, as a renderer reads it. */
export type Metric = ScalarMetric | HistogramMetric

/** A counter (only ever rises while its series lives) or a gauge. */
export class ScalarMetric {
  readonly kind: 'counter' | 'gauge'
  readonly name: string
  readonly help: string
  readonly table: SeriesTable
  /** Series that never counted anything are not shown: the metric does not apply to them. */
  readonly omitsZero: boolean
  #values = new Float64Array(0)

  constructor(
    kind: 'counter' | 'gauge',
    name: string,
    help: string,
    table: SeriesTable,
    omitsZero = false,
  ) {
    this.omitsZero = omitsZero
    this.kind = kind
    this.name = name
    this.help = help
    this.table = table
    table.attach({
      grow: (capacity) => {
        this.#values = widened(this.#values, capacity)
      },
      clear: (slot) => {
        this.#values[slot] = 0
      },
    })
  }

  add(slot: number, amount: number): void {
    this.#values[slot] = (this.#values[slot] as number) + amount
  }

  set(slot: number, value: number): void {
    this.#values[slot] = value
  }

  value(slot: number): number {
    return this.#values[slot] ?? 0
  }
}

/** Counts of values at or below each bound, as Prometheus reads them once summed up. */
export class HistogramMetric {
  readonly kind = 'histogram'
  readonly name: string
  readonly help: string
  readonly table: SeriesTable
  /** Rising upper bounds; above the last is one more bucket, `+Inf`. */
  readonly bounds: Float64Array
  readonly #width: number
  /** Per slot: a count per bucket, not cumulated, and the sum of the values. */
  #cells = new Float64Array(0)

  constructor(name: string, help: string, table: SeriesTable, bounds: readonly number[]) {
    this.name = name
    this.help = help
    this.table = table
    this.bounds = Float64Array.from(bounds)
    this.#width = bounds.length + 2
    table.attach({
      grow: (capacity) => {
        this.#cells = widened(this.#cells, capacity * this.#width)
      },
      clear: (slot) => {
        this.#cells.fill(0, slot * this.#width, (slot + 1) * this.#width)
      },
    })
  }

  record(slot: number, value: number): void {
    const { bounds } = this
    const cells = this.#cells
    const first = slot * this.#width
    let low = 0
    // Bodies that are none and answers that come at once: no search.
    let high = value <= (bounds[0] as number) ? 0 : bounds.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (value <= (bounds[middle] as number)) high = middle
      else low = middle + 1
    }
    cells[first + low] = (cells[first + low] as number) + 1
    const sum = first + this.#width - 1
    cells[sum] = (cells[sum] as number) + value
  }

  /** Adds what another process counted: a count per bucket, then the sum of the values. */
  merge(slot: number, counted: readonly number[]): void {
    const first = slot * this.#width
    for (let i = 0; i < this.#width; i++) {
      this.#cells[first + i] = (this.#cells[first + i] ?? 0) + (counted[i] ?? 0)
    }
  }

  /** How many values fell into bucket `index`; `bounds.length` is the one above the last bound. */
  bucket(slot: number, index: number): number {
    return this.#cells[slot * this.#width + index] ?? 0
  }

  sum(slot: number): number {
    return this.#cells[(slot + 1) * this.#width - 1] ?? 0
  }

  count(slot: number): number {
    let count = 0
    for (let i = 0; i <= this.bounds.length; i++) count += this.bucket(slot, i)
    return count
  }
}

export class MetricsRegistry {
  readonly #tables: SeriesTable[] = []
  readonly #metrics = new Map<string, Metric>()
  readonly #beforeCollect: (() => void)[] = []

  /** A set of labels that several metrics share: one slot serves them all. */
  table(options: SeriesTableOptions): SeriesTable {
    const table = new SeriesTable(options)
    this.#tables.push(table)
    return table
  }

  counter(name: string, help: string, table: SeriesTable): ScalarMetric {
    return this.#add(new ScalarMetric('counter', name, help, table))
  }

  /** A counter of what only some series of `table` have: those at zero are not shown. */
  partialCounter(name: string, help: string, table: SeriesTable): ScalarMetric {
    return this.#add(new ScalarMetric('counter', name, help, table, true))
  }

  gauge(name: string, help: string, table: SeriesTable): ScalarMetric {
    return this.#add(new ScalarMetric('gauge', name, help, table))
  }

  histogram(
    name: string,
    help: string,
    table: SeriesTable,
    bounds: readonly number[] = ENVOY_BUCKETS,
  ): HistogramMetric {
    return this.#add(new HistogramMetric(name, help, table, bounds))
  }

  /** Calls `refresh` before each collection: for gauges that are cheaper read than kept. */
  onCollect(refresh: () => void): void {
    this.#beforeCollect.push(refresh)
  }

  /** Every metric in the order of registration, refreshed. */
  collect(): readonly Metric[] {
    for (const refresh of this.#beforeCollect) refresh()
    return [...this.#metrics.values()]
  }

  /** Moves time on in every table; see `SeriesTable.sweep`. */
  sweep(monotonicMs: number): void {
    for (const table of this.#tables) table.sweep(monotonicMs)
  }

  #add<M extends Metric>(metric: M): M {
    if (this.#metrics.has(metric.name)) {
      throw new Error(`Cannot register a metric: the name must be new, got ${metric.name}`)
    }
    this.#metrics.set(metric.name, metric)
    return metric
  }
}

function widened(values: Float64Array<ArrayBuffer>, length: number): Float64Array<ArrayBuffer> {
  const wider = new Float64Array(length)
  wider.set(values)
  return wider
}
