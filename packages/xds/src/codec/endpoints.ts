/**
 * Endpoints ⇄ Envoy's `ClusterLoadAssignment`.
 *
 * Hot on both sides: a service can have ten thousand endpoints. What is the rule (healthy,
 * weight 1) is not written, and who an endpoint is fits in one string, Istio's
 * `name;namespace;app;version;cluster` in `filter_metadata["istio"].workload`.
 */
import type {
  Endpoint,
  EndpointHealth,
  Endpoints,
  LocalityEndpoints,
  WorkloadRef,
} from '@weft/model'
import { HealthStatus } from '../gen/envoy/config/core/v3/health_check_pb.js'
import {
  EndpointSchema,
  type LbEndpoint,
  LbEndpointSchema,
  type LocalityLbEndpoints,
  LocalityLbEndpointsSchema,
} from '../gen/envoy/config/endpoint/v3/endpoint_components_pb.js'
import {
  type ClusterLoadAssignment,
  ClusterLoadAssignment_PolicySchema,
  ClusterLoadAssignmentSchema,
} from '../gen/envoy/config/endpoint/v3/endpoint_pb.js'
import { covers, type Problems, refuseOthers } from './problems.ts'
import { decodeAddress, encodeAddress, type Init, textOf } from './values.ts'

const ISTIO = 'istio'
const WEFT = 'weft'
/** What Envoy compares `transport_socket_matches` of the cluster with. */
const SOCKET_MATCH = 'envoy.transport_socket_match'
/** Shared by all: a service can have ten thousand. */
const TAKES_MUTUAL_TLS = { [SOCKET_MATCH]: { tlsMode: 'istio' } }

/** Shared likewise. */
const BY_BROKER = { [WEFT]: { path: 'broker' } }

const STATUSES = {
  healthy: HealthStatus.UNKNOWN,
  unhealthy: HealthStatus.UNHEALTHY,
  draining: HealthStatus.DRAINING,
} as const satisfies Record<EndpointHealth, HealthStatus>

export function encodeEndpoints(endpoints: Endpoints): Init<typeof ClusterLoadAssignmentSchema> {
  return { clusterName: endpoints.name, endpoints: endpoints.localities.map(encodeLocality) }
}

function encodeLocality(group: LocalityEndpoints): Init<typeof LocalityLbEndpointsSchema> {
  const { region, zone, subZone } = group.locality
  return {
    locality: { region, zone, subZone },
    priority: group.priority,
    loadBalancingWeight: group.weight,
    lbEndpoints: group.endpoints.map(encodeEndpoint),
  }
}

function encodeEndpoint(endpoint: Endpoint): Init<typeof LbEndpointSchema> {
  const { workload, tlsMode, path } = endpoint
  const filterMetadata = {
    ...(workload === undefined ? {} : { [ISTIO]: { workload: renderWorkload(workload) } }),
    ...(tlsMode === undefined ? {} : TAKES_MUTUAL_TLS),
    ...(path === undefined ? {} : BY_BROKER),
  }
  const saysNothing = workload === undefined && tlsMode === undefined && path === undefined
  return {
    hostIdentifier: { case: 'endpoint', value: { address: encodeAddress(endpoint.address) } },
    healthStatus: STATUSES[endpoint.health],
    ...(endpoint.weight === 1 ? {} : { loadBalancingWeight: endpoint.weight }),
    ...(saysNothing ? {} : { metadata: { filterMetadata } }),
  }
}

function renderWorkload({ name, namespace, app, version, cluster }: WorkloadRef): string {
  return `${name};${namespace};${app};${version};${cluster}`
}

const ASSIGNMENT = covers(ClusterLoadAssignmentSchema, 'cluster_name', 'endpoints', 'policy')
// How far a locality may shrink before the next priority helps out; ours uses Envoy's default.
const POLICY = covers(
  ClusterLoadAssignment_PolicySchema,
  ...['overprovisioning_factor', 'weighted_priority_health', 'endpoint_stale_after'],
)
const LOCALITY = covers(
  LocalityLbEndpointsSchema,
  ...['locality', 'metadata', 'lb_endpoints', 'load_balancing_weight', 'priority', 'proximity'],
)
const LB_ENDPOINT = covers(
  LbEndpointSchema,
  ...['endpoint', 'health_status', 'metadata', 'load_balancing_weight'],
)
// A second address is for clients that know how to race; the first one works.
const ENDPOINT = covers(
  EndpointSchema,
  ...['address', 'health_check_config', 'hostname', 'additional_addresses'],
)

export function decodeEndpoints(proto: ClusterLoadAssignment, problems: Problems): Endpoints {
  const path = `endpoints ${proto.clusterName}`
  refuseOthers(ASSIGNMENT, proto, path, problems)
  if (proto.policy !== undefined) refuseOthers(POLICY, proto.policy, `${path}.policy`, problems)
  return {
    name: proto.clusterName,
    localities: proto.endpoints.map((group, index) =>
      decodeLocality(group, `${path}.endpoints[${index}]`, problems),
    ),
  }
}

function decodeLocality(
  proto: LocalityLbEndpoints,
  path: string,
  problems: Problems,
): LocalityEndpoints {
  refuseOthers(LOCALITY, proto, path, problems)
  const { region = '', zone = '', subZone = '' } = proto.locality ?? {}
  return {
    locality: { region, zone, subZone },
    priority: proto.priority,
    weight: proto.loadBalancingWeight ?? 1,
    endpoints: proto.lbEndpoints.map((endpoint) => decodeEndpoint(endpoint, path, problems)),
  }
}

function decodeEndpoint(proto: LbEndpoint, path: string, problems: Problems): Endpoint {
  const at = `${path}.lb_endpoints`
  refuseOthers(LB_ENDPOINT, proto, at, problems)
  const host = proto.hostIdentifier
  if (host.case === 'endpoint') refuseOthers(ENDPOINT, host.value, at, problems)
  const address = host.case === 'endpoint' ? host.value.address : undefined
  const workload = parseWorkload(textOf(proto.metadata?.filterMetadata[ISTIO]?.workload))
  const tlsMode = textOf(proto.metadata?.filterMetadata[SOCKET_MATCH]?.tlsMode)
  const reached = textOf(proto.metadata?.filterMetadata[WEFT]?.path)
  return {
    address: decodeAddress(address, `${at}.endpoint.address`, problems),
    weight: proto.loadBalancingWeight ?? 1,
    health: decodeHealth(proto.healthStatus),
    ...(workload === undefined ? {} : { workload }),
    ...(tlsMode === 'istio' ? { tlsMode } : {}),
    ...(reached === 'broker' ? { path: reached } : {}),
  }
}

function decodeHealth(status: HealthStatus): EndpointHealth {
  switch (status) {
    case HealthStatus.UNHEALTHY:
    case HealthStatus.TIMEOUT:
      return 'unhealthy'
    case HealthStatus.DRAINING:
      return 'draining'
    default:
      return 'healthy'
  }
}

function parseWorkload(text: string): WorkloadRef | undefined {
  const [name, namespace, app, version, cluster] = text.split(';')
  if (name === undefined || namespace === undefined || app === undefined) return undefined
  return { name, namespace, app, version: version ?? '', cluster: cluster ?? '' }
}
