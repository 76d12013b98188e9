/** Every cluster with its limits and hosts, as Envoy prints them. */
import { type CircuitLimits, renderAddress } from '@weft/model'
import {
  type AdminEndpoint,
  addressJson,
  type ClusterStatus,
  type HostStatus,
  JSON_TYPE,
  textAnswer,
} from './endpoint.ts'

export const clusters: AdminEndpoint = {
  path: '/clusters',
  method: 'GET',
  summary: 'upstream cluster status',
  parameters: { format: 'json or text (default)' },
  answer(request, proxy) {
    const all = proxy.clusters()
    return request.query.get('format') === 'json'
      ? { status: 200, contentType: JSON_TYPE, body: renderJson(all) }
      : textAnswer(renderText(all))
  },
}

function* renderText(all: readonly ClusterStatus[]): Generator<string> {
  for (const { cluster, hosts, inUse } of all) {
    const { name, limits } = cluster
    const lines = [
      `observability_name::${name}`,
      ...thresholds(limits).map(([limit, value]) => `default_priority::${limit}::${value}`),
      `added_via_api::true`,
      ...Object.entries(inUse).map(([resource, count]) => `in_use::${resource}::${count}`),
      ...hosts.flatMap(hostLines),
    ]
    yield `${lines.map((line) => `${name}::${line}\n`).join('')}`
  }
}

function hostLines(host: HostStatus): string[] {
  const address = renderAddress(host.address)
  const facts = {
    cx_active: host.activeConnections,
    rq_active: host.activeRequests,
    hostname: '',
    workload: host.workload,
    health_flags: healthFlags(host),
    weight: host.weight,
    canary: false,
  }
  return Object.entries(facts).map(([fact, value]) => `${address}::${fact}::${value}`)
}

/** In Envoy's words. */
function healthFlags(host: HostStatus): string {
  const flags = [
    ...(host.failedCheck ? ['/failed_active_hc'] : []),
    ...(host.ejected ? ['/failed_outlier_check'] : []),
    ...(host.health === 'unhealthy' ? ['/failed_eds_health'] : []),
    ...(host.health === 'draining' ? ['/eds_status_draining'] : []),
  ]
  return flags.length === 0 ? 'healthy' : flags.join('')
}

function thresholds(limits: CircuitLimits): [string, number][] {
  return [
    ['max_connections', limits.maxConnections],
    ['max_pending_requests', limits.maxPendingRequests],
    ['max_requests', limits.maxRequests],
    ['max_retries', limits.maxRetries],
  ]
}

function* renderJson(all: readonly ClusterStatus[]): Generator<string> {
  yield '{"cluster_statuses":['
  let separator = ''
  for (const status of all) {
    yield `${separator}\n${JSON.stringify(clusterJson(status))}`
    separator = ','
  }
  yield ']}\n'
}

function clusterJson({ cluster, hosts }: ClusterStatus): unknown {
  return {
    name: cluster.name,
    observability_name: cluster.name,
    added_via_api: true,
    circuit_breakers: {
      thresholds: [{ priority: 'DEFAULT', ...Object.fromEntries(thresholds(cluster.limits)) }],
    },
    host_statuses: hosts.map((host) => ({
      address: addressJson(host.address),
      stats: [
        { type: 'GAUGE', name: 'cx_active', value: String(host.activeConnections) },
        { type: 'GAUGE', name: 'rq_active', value: String(host.activeRequests) },
      ],
      health_status: {
        eds_health_status: host.health.toUpperCase(),
        ...(host.failedCheck ? { failed_active_health_check: true } : {}),
        ...(host.ejected ? { failed_outlier_check: true } : {}),
      },
      weight: host.weight,
    })),
  }
}
