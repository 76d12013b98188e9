/** Counters, gauges and histograms as text, JSON or Prometheus: Envoy's `/stats`. */

import { readStats, renderStatsJson, renderStatsText } from '@weft/telemetry'
import { type AdminEndpoint, JSON_TYPE, textAnswer } from './endpoint.ts'
import { parseNameFilter } from './name-filter.ts'
import { prometheusStats } from './stats-prometheus.ts'

export const stats: AdminEndpoint = {
  path: '/stats',
  method: 'GET',
  summary: 'print server stats',
  parameters: {
    format: 'text (default), json or prometheus',
    filter: 'only stats whose name matches (RE2)',
    usedonly: 'only stats that are not zero',
  },
  answer(request, proxy) {
    const { query } = request
    const hasName = parseNameFilter(query.get('filter'))
    if (hasName === undefined) return textAnswer('filter is not a regular expression\n', 400)
    const format = query.get('format') ?? 'text'
    if (format === 'prometheus') return prometheusStats.answer(request, proxy)
    const usedOnly = query.has('usedonly')
    const wanted = readStats(
      proxy.registry,
      (stat) => hasName(stat.name) && (!usedOnly || stat.used),
    )
    if (format === 'json') {
      return { status: 200, contentType: JSON_TYPE, body: renderStatsJson(wanted) }
    }
    if (format === 'text') return textAnswer(renderStatsText(wanted))
    return textAnswer('usage: /stats?format=text|json|prometheus\n', 400)
  },
}
