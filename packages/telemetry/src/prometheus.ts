/**
 * Metrics as Prometheus reads them: text format 0.0.4, and OpenMetrics 1.0 for
 * whoever asks for it.
 *
 * The two differ where it matters: OpenMetrics names a counter's family without
 * `_total`, demands the suffix on its samples, and ends with `# EOF`.
 */
import type { HistogramMetric, Metric, MetricsRegistry, ScalarMetric } from './metrics.ts'

export type ExpositionFormat = 'prometheus' | 'openmetrics'

export const CONTENT_TYPES: Readonly<Record<ExpositionFormat, string>> = {
  prometheus: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
}

/** Which format an `Accept` header asks for. OpenMetrics only when it is named. */
export function formatFor(accept: string | undefined): ExpositionFormat {
  return accept !== undefined &&
    /application\/openmetrics-text(?!\s*;[^,]*q=0(?:\.0*)?\s*(?:,|$))/.test(accept)
    ? 'openmetrics'
    : 'prometheus'
}

/** Every metric that has a series, piece by piece: a large registry never becomes one string. */
export function* renderMetrics(
  registry: MetricsRegistry,
  format: ExpositionFormat,
): Generator<string> {
  for (const metric of registry.collect()) {
    if (metric.table.size === 0) continue
    const family = familyName(metric, format)
    const help = metric.help === '' ? '' : `# HELP ${family} ${escapeHelp(metric.help)}\n`
    yield `${help}# TYPE ${family} ${metric.kind}\n`
    for (const { slot, values } of metric.table.series()) {
      if (metric.kind === 'counter' && metric.omitsZero && metric.value(slot) === 0) continue
      const labels = renderLabels(metric.table.labels, values)
      yield metric.kind === 'histogram'
        ? renderHistogram(metric, slot, labels)
        : renderScalar(metric, family, slot, labels, format)
    }
  }
  if (format === 'openmetrics') yield '# EOF\n'
}

function familyName(metric: Metric, format: ExpositionFormat): string {
  return format === 'openmetrics' && metric.kind === 'counter'
    ? metric.name.replace(/_total$/, '')
    : metric.name
}

function renderScalar(
  metric: ScalarMetric,
  family: string,
  slot: number,
  labels: string,
  format: ExpositionFormat,
): string {
  const name = format === 'openmetrics' && metric.kind === 'counter' ? `${family}_total` : family
  return `${name}${labels === '' ? '' : `{${labels}}`} ${renderNumber(metric.value(slot))}\n`
}

function renderHistogram(metric: HistogramMetric, slot: number, labels: string): string {
  const { name, bounds } = metric
  const prefix = labels === '' ? '' : `${labels},`
  let text = ''
  let count = 0
  for (let i = 0; i <= bounds.length; i++) {
    count += metric.bucket(slot, i)
    text += `${name}_bucket{${prefix}le="${renderNumber(bounds[i] ?? Number.POSITIVE_INFINITY)}"} ${count}\n`
  }
  const braces = labels === '' ? '' : `{${labels}}`
  return `${text}${name}_sum${braces} ${renderNumber(metric.sum(slot))}\n${name}_count${braces} ${count}\n`
}

function renderLabels(names: readonly string[], values: readonly string[]): string {
  return names.map((name, i) => `${name}="${escapeLabel(values[i] ?? '')}"`).join(',')
}

function renderNumber(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf'
  if (value === Number.NEGATIVE_INFINITY) return '-Inf'
  return String(value)
}

/** Label values come from requests; a line end in one would forge another sample. */
function escapeLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"')
}

function escapeHelp(help: string): string {
  return help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
}
