/** The access logs of a data plane: one writer per file, however many listeners log there. */
import { hostname } from 'node:os'
import type { Clock } from '@weft/base'
import type { AccessLogTarget, HttpConnectionManager, TcpProxy } from '@weft/model'
import { compileLogFilter, type LogFilter, type MatchText } from './log-filter.ts'
import { compileLogFormat, type WriteLine } from './log-format/compile.ts'
import { createFileSink, LogWriter } from './log-writer.ts'
import type { MetricsRegistry } from './metrics.ts'

/** Where lines go, which ones, and what they look like. */
export interface AccessLog {
  readonly writer: LogWriter
  /** Absent: Weft's own line. */
  readonly write?: WriteLine
  /** Absent: all. */
  readonly filter?: LogFilter
}

export class AccessLogs {
  readonly #clock: Clock
  /** Where everything is logged that says nothing about it. */
  readonly #fallback: string | undefined
  readonly #writers = new Map<string, LogWriter>()
  readonly #matchText: MatchText

  constructor(
    clock: Clock,
    fallback: string | undefined,
    registry: MetricsRegistry,
    matchText: MatchText,
  ) {
    this.#clock = clock
    this.#matchText = matchText
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

  /**
   * The logs that a filter's configuration names.
   *
   * @throws {LogFormatError} On a format that validation would have refused.
   */
  logsFor({
    accessLogs,
  }: Pick<HttpConnectionManager | TcpProxy, 'accessLogs'>): readonly AccessLog[] {
    const fallback = this.#fallback === undefined ? [] : [{ path: this.#fallback }]
    const targets = accessLogs.length === 0 ? fallback : accessLogs
    const distinct = new Map(targets.map((target) => [JSON.stringify(target), target]))
    return [...distinct.values()].map((target) => this.#logOf(target))
  }

  #logOf({ path, format, omitEmpty = false, filter }: AccessLogTarget): AccessLog {
    const options = { omitEmpty, hostname: hostname() }
    return {
      writer: this.#writer(path),
      ...(format === undefined ? {} : { write: compileLogFormat(format, options) }),
      ...(filter === undefined ? {} : { filter: compileLogFilter(filter, this.#matchText) }),
    }
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
