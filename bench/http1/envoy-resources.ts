/**
 * The work as Envoy resources: a static bootstrap for Envoy, the same bytes as xDS
 * files for Weft.
 */
import type { Plan } from './plan.ts'

const EXTENSIONS = 'type.googleapis.com/envoy.extensions'
const MANAGER = `${EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager`

export function listener({ dir, port, accessLog }: Plan) {
  const manager = {
    '@type': MANAGER,
    stat_prefix: 'mesh',
    codec_type: 'HTTP1',
    use_remote_address: true,
    generate_request_id: true,
    access_log: accessLog ? [fileAccessLog(`${dir}/access.log`)] : [],
    http_filters: [
      {
        name: 'envoy.filters.http.router',
        typed_config: { '@type': `${EXTENSIONS}.filters.http.router.v3.Router` },
      },
    ],
    route_config: { name: 'mesh', virtual_hosts: [virtualHost()] },
  }
  const filter = { name: 'envoy.filters.network.http_connection_manager', typed_config: manager }
  return {
    name: 'mesh',
    address: socketAddress(port),
    traffic_direction: 'OUTBOUND',
    filter_chains: [{ name: 'mesh', filters: [filter] }],
  }
}

export function clusters({ upstreams }: Plan) {
  return [cluster('reviews', upstreams), cluster('other', upstreams.slice(1))]
}

export function socketAddress(port: number) {
  return { socket_address: { address: '127.0.0.1', port_value: port } }
}

function virtualHost() {
  const prefix = { prefix: '/reviews' }
  const jason = { name: 'end-user', string_match: { exact: 'jason' } }
  return {
    name: 'reviews',
    domains: ['reviews:9080', 'reviews.default:9080'],
    request_headers_to_remove: ['x-remove-me'],
    request_headers_to_add: [overwrite('x-mesh-tier', 'gold')],
    response_headers_to_remove: ['x-powered-by'],
    response_headers_to_add: [overwrite('x-served-by', 'mesh')],
    routes: [
      { name: 'jason', match: { ...prefix, headers: [jason] }, route: { cluster: 'other' } },
      { name: 'everyone', match: prefix, route: { cluster: 'reviews' } },
    ],
  }
}

function cluster(name: string, ports: readonly number[]) {
  const endpoints = ports.map((port) => ({ endpoint: { address: socketAddress(port) } }))
  return {
    name,
    type: 'STATIC',
    connect_timeout: '5s',
    lb_policy: 'LEAST_REQUEST',
    circuit_breakers: {
      thresholds: [{ max_connections: 1e6, max_pending_requests: 1e6, max_requests: 1e6 }],
    },
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: endpoints }] },
  }
}

function overwrite(key: string, value: string) {
  return { header: { key, value }, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' }
}

function fileAccessLog(path: string) {
  return {
    name: 'envoy.access_loggers.file',
    typed_config: {
      '@type': `${EXTENSIONS}.access_loggers.file.v3.FileAccessLog`,
      path,
      log_format: {
        json_format: {
          start_time: '%START_TIME%',
          method: '%REQ(:METHOD)%',
          path: '%REQ(:PATH)%',
          response_code: '%RESPONSE_CODE%',
          response_flags: '%RESPONSE_FLAGS%',
          bytes_sent: '%BYTES_SENT%',
          duration: '%DURATION%',
          upstream_host: '%UPSTREAM_HOST%',
          request_id: '%REQ(X-REQUEST-ID)%',
        },
      },
    },
  }
}
