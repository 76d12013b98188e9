/** The access logs of a proxy: one writer per file, however many listeners log there. */
import type { Clock } from '@weft/base'
import type { HttpConnectionManager, TcpProxy } from '@weft/model'
import { createFileSink, LogWriter, type MetricsRegistry } from '@weft/telemetry'

export class AccessLogs {
  readonly #clock: Clock
  /** Where everything is logged that says nothing about it. */
  readonly #fallback: string | undefined
  readonly #writers = new Map<string, LogWriter>()

  constructor(clock: Clock, fallback: string | undefined, registry: MetricsRegistry) {
    this.#clock = clock
    this.#fallback = fallback
    const table = registry.table({ labels: [], maxSeries: 1, expiryMs: 0 })
    const dropped = registry.counter(
      'weft_access_log_dropped_total',
      'Entries that found no room or whose file refused them.',
      table,
    )
    registry.onCollect(() => {
      const total = [...this.#writers.values()].reduce((sum, writer) => sum + writer.dropped, 0)
      dropped.set(table.slot([]), total)
    })
  }

  /** The writers that a filter's configuration names. */
  writersFor({ accessLogs }: HttpConnectionManager | TcpProxy): readonly LogWriter[] {
    const named = accessLogs.map(({ path }) => path)
    const paths = named.length === 0 && this.#fallback !== undefined ? [this.#fallback] : named
    return [...new Set(paths)].map((path) => this.#writer(path))
  }

  /** After files were renamed by a rotation. */
  async reopen(): Promise<void> {
    await Promise.all([...this.#writers.values()].map((writer) => writer.reopen()))
  }

  async close(): Promise<void> {
    await Promise.all([...this.#writers.values()].map((writer) => writer.close()))
  }

  #writer(path: string): LogWriter {
    const known = this.#writers.get(path)
    if (known !== undefined) return known
    const writer = new LogWriter(createFileSink(path, this.#clock), this.#clock)
    this.#writers.set(path, writer)
    return writer
  }
}
