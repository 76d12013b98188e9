/** `/metrics`: the control plane's own metrics for Prometheus. */
import { CONTENT_TYPES, formatFor, renderMetrics } from '@weft/telemetry'
import type { AdminEndpoint } from './endpoint.ts'

export const metrics: AdminEndpoint = {
  path: '/metrics',
  method: 'GET',
  access: { action: 'metrics.get', role: 'viewer', where: 'namespaces' },
  summary: 'metrics in the format of Prometheus',
  answer(request, plane) {
    const format = formatFor(request.header('accept'))
    return {
      status: 200,
      contentType: CONTENT_TYPES[format],
      body: renderMetrics(plane.metrics, format),
    }
  },
}
