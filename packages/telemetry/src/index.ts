export { type AccessLogEntry, writeAccessLog } from './access-log.ts'
export { type AccessLog, AccessLogs } from './access-logs.ts'
export { hostLabel, IP_HOST } from './host-label.ts'
export {
  type CallLabels,
  type HttpCallLabels,
  IstioMetrics,
  type IstioMetricsOptions,
  type Reporter,
  type ServiceLabels,
} from './istio-metrics.ts'
export { LineBuffer } from './line-buffer.ts'
export { compileLogFilter, type LogFilter } from './log-filter.ts'
export { logTypeOf } from './log-format/commands.ts'
export {
  compileLogFormat,
  logFormatProblem,
  type WriteLine,
} from './log-format/compile.ts'
export type { LogFacts } from './log-format/facts.ts'
export {
  createFileSink,
  DEFAULT_LOG_WRITER,
  type LogSink,
  LogWriter,
  type LogWriterOptions,
} from './log-writer.ts'
export {
  ENVOY_BUCKETS,
  type HistogramMetric,
  type Metric,
  type MetricKind,
  MetricsRegistry,
  type ScalarMetric,
} from './metrics.ts'
export {
  PEER_HEADER,
  type Peer,
  parsePeerHeader,
  peerOf,
  renderPeerHeader,
  UNKNOWN,
  UNKNOWN_PEER,
} from './peer.ts'
export { CONTENT_TYPES, type ExpositionFormat, formatFor, renderMetrics } from './prometheus.ts'
export { OVERFLOW, SeriesTable, type SeriesTableOptions } from './series-table.ts'
export { readStats, renderStatsJson, renderStatsText } from './stat-names.ts'
export {
  parseB3,
  parseTraceparent,
  readTraceContext,
  readTraceId,
  type TraceContext,
} from './trace-context.ts'
