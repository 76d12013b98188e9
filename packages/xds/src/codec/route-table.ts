/** Route tables ⇄ Envoy's `RouteConfiguration` with its virtual hosts and routes. */
import type { Route, RouteTable, VirtualHost } from '@weft/model'
import {
  type Route as RouteProto,
  RouteSchema,
  VirtualHost_TlsRequirementType as TlsRequirement,
  type VirtualHost as VirtualHostProto,
  VirtualHostSchema,
} from '../gen/envoy/config/route/v3/route_components_pb.js'
import {
  type RouteConfiguration,
  RouteConfigurationSchema,
} from '../gen/envoy/config/route/v3/route_pb.js'
import { decodeHeaderChanges, encodeHeaderChanges, HEADER_CHANGE_FIELDS } from './header-changes.ts'
import { covers, type Problems, refuseOthers } from './problems.ts'
import { decodeAction, encodeAction } from './route-action.ts'
import { decodeFilterConfigs, encodeFilterConfigs } from './route-filters.ts'
import { decodeRouteMatch, encodeRouteMatch } from './route-match.ts'
import {
  decodeOrigins,
  type EncodeOptions,
  encodeMetadata,
  type Init,
  weftMetadata,
} from './values.ts'

/** Above it Envoy refuses a direct response unless the table allows more. */
const ENVOY_MAX_BODY_BYTES = 4_096

export function encodeRouteTable(
  table: RouteTable,
  options: EncodeOptions,
): Init<typeof RouteConfigurationSchema> {
  const largestBody = largestBodyBytes(table)
  const metadata = encodeMetadata(table.origins, {}, options)
  return {
    name: table.name,
    virtualHosts: table.virtualHosts.map((host) => encodeVirtualHost(host, options)),
    // A cluster may come later than the route; Envoy answers 503 meanwhile instead of refusing it.
    validateClusters: false,
    ...(table.ignorePort === true ? { ignorePortInHostMatching: true } : {}),
    ...(largestBody > ENVOY_MAX_BODY_BYTES ? { maxDirectResponseBodySizeBytes: largestBody } : {}),
    ...(metadata === undefined ? {} : { metadata }),
  }
}

function largestBodyBytes(table: RouteTable): number {
  let largest = 0
  for (const { routes } of table.virtualHosts) {
    for (const { action } of routes) {
      if (action.kind !== 'respond') continue
      largest = Math.max(largest, Buffer.byteLength(action.body))
    }
  }
  return largest
}

const TABLE = covers(
  RouteConfigurationSchema,
  ...['name', 'virtual_hosts', 'validate_clusters', 'max_direct_response_body_size_bytes'],
  'ignore_port_in_host_matching',
  // Strips headers that nobody but this Envoy's own filters sends.
  ...['internal_only_headers', 'metadata'],
)

export function decodeRouteTable(proto: RouteConfiguration, problems: Problems): RouteTable {
  const path = `route_config ${proto.name}`
  refuseOthers(TABLE, proto, path, problems)
  return {
    name: proto.name,
    virtualHosts: proto.virtualHosts.map((host) =>
      decodeVirtualHost(host, `${path}.virtual_hosts[${host.name}]`, problems),
    ),
    ...(proto.ignorePortInHostMatching ? { ignorePort: true } : {}),
    origins: decodeOrigins(proto.metadata),
  }
}

function encodeVirtualHost(
  host: VirtualHost,
  options: EncodeOptions,
): Init<typeof VirtualHostSchema> {
  const metadata = encodeMetadata(host.origins, {}, options)
  return {
    name: host.name,
    domains: [...host.domains],
    routes: host.routes.map((route) => encodeRoute(route, options)),
    requireTls: host.requireTls === 'all' ? TlsRequirement.ALL : TlsRequirement.NONE,
    ...encodeHeaderChanges(host),
    ...(metadata === undefined ? {} : { metadata }),
  }
}

const VIRTUAL_HOST = covers(
  VirtualHostSchema,
  ...['name', 'domains', 'routes', 'require_tls', ...HEADER_CHANGE_FIELDS, 'metadata'],
  // Statistics and informational headers.
  ...['virtual_clusters', 'include_request_attempt_count', 'include_attempt_count_in_response'],
  'include_is_timeout_retry_header',
)

function decodeVirtualHost(proto: VirtualHostProto, path: string, problems: Problems): VirtualHost {
  refuseOthers(VIRTUAL_HOST, proto, path, problems)
  if (proto.domains.length === 0) problems.add(`${path}.domains`, 'must not be empty')
  if (proto.requireTls === TlsRequirement.EXTERNAL_ONLY) {
    problems.add(`${path}.require_tls`, 'EXTERNAL_ONLY is not supported')
  }
  return {
    name: proto.name,
    domains: proto.domains,
    routes: proto.routes.map((route, index) =>
      decodeRoute(route, `${path}.routes[${index}]`, problems),
    ),
    requireTls: proto.requireTls === TlsRequirement.NONE ? 'none' : 'all',
    ...decodeHeaderChanges(proto, path, problems),
    origins: decodeOrigins(proto.metadata),
  }
}

function encodeRoute(route: Route, options: EncodeOptions): Init<typeof RouteSchema> {
  const action = encodeAction(route.action, route.match)
  const match = encodeRouteMatch(route.match)
  const filters = encodeFilterConfigs(route)
  const extras = { ...match.extras, ...action.extras, ...filters.extras }
  const metadata = encodeMetadata(route.origins, extras, options)
  return {
    name: route.name,
    match: match.init,
    action: action.init,
    ...encodeHeaderChanges(route),
    typedPerFilterConfig: filters.init,
    ...(metadata === undefined ? {} : { metadata }),
  }
}

const ROUTE = covers(
  RouteSchema,
  ...['name', 'match', 'route', 'redirect', 'direct_response', ...HEADER_CHANGE_FIELDS],
  ...['typed_per_filter_config', 'metadata'],
  // Names and shares of traces and statistics.
  ...['decorator', 'tracing', 'stat_prefix'],
)

function decodeRoute(proto: RouteProto, path: string, problems: Problems): Route {
  refuseOthers(ROUTE, proto, path, problems)
  const extras = weftMetadata(proto.metadata)
  const match = decodeRouteMatch(proto.match, extras, `${path}.match`, problems)
  return {
    name: proto.name,
    match,
    action: decodeAction(proto.action, extras, path, problems),
    ...decodeHeaderChanges(proto, path, problems),
    ...decodeFilterConfigs(proto.typedPerFilterConfig, extras, path, problems),
    origins: decodeOrigins(proto.metadata),
  }
}
