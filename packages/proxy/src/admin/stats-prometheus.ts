/** Every metric as Prometheus scrapes it. */
import { CONTENT_TYPES, formatFor, renderMetrics } from '@weft/telemetry'
import type { AdminEndpoint } from './endpoint.ts'

export const prometheusStats: AdminEndpoint = {
  path: '/stats/prometheus',
  method: 'GET',
  summary: 'print server stats in prometheus format (OpenMetrics on request)',
  parameters: {},
  answer(request, proxy) {
    const format = formatFor(request.header('accept'))
    return {
      status: 200,
      contentType: CONTENT_TYPES[format],
      body: renderMetrics(proxy.registry, format),
    }
  },
}
