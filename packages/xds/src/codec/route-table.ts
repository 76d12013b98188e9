/** Route tables ⇄ Envoy's `RouteConfiguration` with its virtual hosts and routes. */
import { create } from '@bufbuild/protobuf'
import type { FilterOverrides, RateLimitActions, Route, RouteTable, VirtualHost } from '@weft/model'
import {
  type RateLimit,
  RateLimitSchema,
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
import { decodeRateLimits, encodeRateLimits } from './http-filters/rate-limit-actions.ts'
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
  const { init: typedPerFilterConfig, extras } = encodeFilterConfigs(
    host.filters === undefined ? {} : { filters: host.filters },
    true,
  )
  const metadata = encodeMetadata(host.origins, extras, options)
  return {
    name: host.name,
    domains: [...host.domains],
    routes: host.routes.map((route) => encodeRoute(route, options)),
    requireTls: host.requireTls === 'all' ? TlsRequirement.ALL : TlsRequirement.NONE,
    ...encodeHeaderChanges(host),
    typedPerFilterConfig,
    rateLimits: encodeRateLimits(host.filters?.rateLimits ?? []),
    ...(metadata === undefined ? {} : { metadata }),
  }
}

const VIRTUAL_HOST = covers(
  VirtualHostSchema,
  ...['name', 'domains', 'routes', 'require_tls', ...HEADER_CHANGE_FIELDS, 'metadata'],
  ...['typed_per_filter_config', 'rate_limits'],
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
  const configured = decodeFilterConfigs(
    proto.typedPerFilterConfig,
    weftMetadata(proto.metadata),
    path,
    problems,
  )
  if (configured.cors !== undefined || configured.fault !== undefined) {
    problems.add(`${path}.typed_per_filter_config`, 'cors and fault are supported on routes only')
  }
  return {
    name: proto.name,
    domains: proto.domains,
    routes: proto.routes.map((route, index) =>
      decodeRoute(route, `${path}.routes[${index}]`, problems),
    ),
    requireTls: proto.requireTls === TlsRequirement.NONE ? 'none' : 'all',
    ...decodeHeaderChanges(proto, path, problems),
    ...readRateLimits(configured.filters, proto.rateLimits, path, problems),
    origins: decodeOrigins(proto.metadata),
  }
}

function encodeRoute(route: Route, options: EncodeOptions): Init<typeof RouteSchema> {
  const action = encodeAction(route.action, route.match)
  const match = encodeRouteMatch(route.match)
  const isForward = action.init.case === 'route'
  const filters = encodeFilterConfigs(route, isForward)
  const extras = { ...match.extras, ...action.extras, ...filters.extras }
  const metadata = encodeMetadata(route.origins, extras, options)
  return {
    name: route.name,
    match: match.init,
    action: withRateLimits(action.init, route.filters?.rateLimits),
    ...encodeHeaderChanges(route),
    typedPerFilterConfig: filters.init,
    ...(metadata === undefined ? {} : { metadata }),
  }
}

function withRateLimits(
  action: ReturnType<typeof encodeAction>['init'],
  limits: readonly RateLimitActions[] | undefined,
): ReturnType<typeof encodeAction>['init'] {
  if (action.case !== 'route' || limits === undefined) return action
  const rateLimits = encodeRateLimits(limits).map((limit) => create(RateLimitSchema, limit))
  return { case: 'route', value: { ...action.value, rateLimits } }
}

function readRateLimits(
  filters: FilterOverrides | undefined,
  protos: readonly RateLimit[],
  path: string,
  problems: Problems,
): { readonly filters?: FilterOverrides } {
  if (protos.length === 0) return filters === undefined ? {} : { filters }
  const rateLimits = decodeRateLimits(protos, `${path}.rate_limits`, problems)
  return { filters: { ...filters, rateLimits } }
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
  const configured = decodeFilterConfigs(proto.typedPerFilterConfig, extras, path, problems)
  const limits = proto.action.case === 'route' ? proto.action.value.rateLimits : []
  return {
    name: proto.name,
    match,
    action: decodeAction(proto.action, extras, path, problems),
    ...decodeHeaderChanges(proto, path, problems),
    ...configured,
    ...readRateLimits(configured.filters, limits, `${path}.route`, problems),
    origins: decodeOrigins(proto.metadata),
  }
}
