/** Clusters ⇄ Envoy's `Cluster`. */
import type { JsonObject } from '@bufbuild/protobuf'
import type { CircuitLimits, Cluster, RetryBudget, ServiceRef } from '@weft/model'
import {
  CircuitBreakers_ThresholdsSchema,
  CircuitBreakersSchema,
} from '../gen/envoy/config/cluster/v3/circuit_breaker_pb.js'
import {
  type Cluster as ClusterProto,
  ClusterSchema,
  UpstreamConnectionOptionsSchema,
} from '../gen/envoy/config/cluster/v3/cluster_pb.js'
import { RoutingPriority } from '../gen/envoy/config/core/v3/base_pb.js'
import { decodeDiscovery, encodeDiscovery } from './cluster-discovery.ts'
import { decodeLoadBalancer, encodeLoadBalancer } from './cluster-load-balancer.ts'
import { decodeTransport, encodeTransport } from './cluster-transport.ts'
import { decodeCommonLb, encodeCommonLb } from './common-lb-config.ts'
import { decodeHealthCheck, encodeHealthCheck } from './health-check.ts'
import { decodeOutlier, encodeOutlier } from './outlier-detection.ts'
import { covers, type Problems, refuseOthers } from './problems.ts'
import { decodeAutoSni, decodeUpstreamHttp, encodeUpstreamHttp } from './upstream-http.ts'
import {
  decodeDuration,
  decodeOrigins,
  type EncodeOptions,
  encodeDuration,
  encodeMetadata,
  type Init,
  isObject,
  textOf,
  weftMetadata,
} from './values.ts'

export function encodeCluster(
  cluster: Cluster,
  options: EncodeOptions,
): Init<typeof ClusterSchema> {
  const { outlierDetection, service, tcpKeepalive, tls } = cluster
  const http = encodeUpstreamHttp(cluster.http, cluster.tls)
  const discovery = encodeDiscovery(cluster)
  const balancer = encodeLoadBalancer(cluster)
  const common = encodeCommonLb(cluster)
  const { healthChecks, retryBudget, tunnel } = cluster
  const metadata = encodeMetadata(
    cluster.origins,
    {
      ...http.extras,
      ...balancer.extras,
      ...common.extras,
      ...(tunnel === undefined ? {} : { tunnel: { ...tunnel } }),
      ...(outlierDetection === undefined || outlierDetection.minHealthPercent === 0
        ? {}
        : { minHealthPercent: outlierDetection.minHealthPercent }),
      ...(outlierDetection?.errorCodes === undefined
        ? {}
        : { outlierErrorCodes: [...outlierDetection.errorCodes] }),
      ...(retryBudget?.intervalMs === undefined
        ? {}
        : { retryBudgetIntervalMs: retryBudget.intervalMs }),
      ...(service === undefined ? {} : { service: encodeService(service) }),
      ...(tls === undefined || tls.validation !== undefined || tls.subjectAltNames.length === 0
        ? {}
        : { uncheckedNames: [...tls.subjectAltNames] }),
      ...(tcpKeepalive === undefined
        ? {}
        : { tcpKeepaliveMs: [tcpKeepalive.timeMs, tcpKeepalive.intervalMs] }),
    },
    options,
  )
  return {
    name: cluster.name,
    ...discovery,
    ...balancer.init,
    connectTimeout: encodeDuration(cluster.connectTimeoutMs),
    circuitBreakers: { thresholds: [encodeThresholds(cluster.limits, cluster.retryBudget)] },
    ...http.init,
    commonLbConfig: common.init,
    ...(healthChecks === undefined ? {} : { healthChecks: healthChecks.map(encodeHealthCheck) }),
    ...(outlierDetection === undefined
      ? {}
      : { outlierDetection: encodeOutlier(outlierDetection) }),
    ...(tcpKeepalive === undefined
      ? {}
      : {
          upstreamConnectionOptions: {
            tcpKeepalive: {
              keepaliveProbes: tcpKeepalive.probes,
              keepaliveTime: Math.ceil(tcpKeepalive.timeMs / 1_000),
              keepaliveInterval: Math.ceil(tcpKeepalive.intervalMs / 1_000),
            },
          },
        }),
    ...encodeTransport(cluster),
    ...(metadata === undefined ? {} : { metadata }),
  }
}

function encodeService({ host, name, namespace }: ServiceRef): JsonObject {
  return { host, name, namespace }
}

function encodeThresholds(
  limits: CircuitLimits,
  budget: RetryBudget | undefined,
): Init<typeof CircuitBreakers_ThresholdsSchema> {
  return {
    priority: RoutingPriority.DEFAULT,
    maxConnections: limits.maxConnections,
    maxPendingRequests: limits.maxPendingRequests,
    maxRequests: limits.maxRequests,
    maxRetries: limits.maxRetries,
    ...(budget === undefined
      ? {}
      : {
          retryBudget: {
            budgetPercent: { value: budget.percent },
            minRetryConcurrency: budget.minRetryConcurrency,
          },
        }),
  }
}

const CLUSTER = covers(
  ClusterSchema,
  ...['name', 'type', 'cluster_type', 'eds_cluster_config', 'connect_timeout', 'lb_policy'],
  ...['load_assignment', 'circuit_breakers', 'typed_extension_protocol_options'],
  ...['outlier_detection', 'ring_hash_lb_config', 'maglev_lb_config', 'least_request_lb_config'],
  ...['round_robin_lb_config', 'common_lb_config', 'transport_socket', 'metadata'],
  'transport_socket_matches',
  ...['upstream_connection_options', 'health_checks'],
  // How and how often names are resolved, what is counted, when unused hosts are forgotten.
  ...['alt_stat_name', 'per_connection_buffer_limit_bytes', 'dns_refresh_rate'],
  ...['dns_failure_refresh_rate', 'respect_dns_ttl', 'dns_lookup_family', 'cleanup_interval'],
  ...['typed_dns_resolver_config', 'wait_for_warm_on_init', 'track_timeout_budgets'],
  ...['track_cluster_stats', 'lrs_server', 'lrs_report_endpoint_metrics'],
  ...['close_connections_on_host_health_failure', 'ignore_health_on_host_removal'],
  ...['max_requests_per_connection', 'preconnect_policy'],
)
const CONNECTION = covers(
  UpstreamConnectionOptionsSchema,
  ...['tcp_keepalive', 'set_local_interface_name_on_upstream_connections', 'happy_eyeballs_config'],
)

/** Envoy's default, in milliseconds. */
const DEFAULT_CONNECT_TIMEOUT_MS = 5_000

export function decodeCluster(proto: ClusterProto, problems: Problems): Cluster {
  const path = `cluster ${proto.name}`
  refuseOthers(CLUSTER, proto, path, problems)
  const extras = weftMetadata(proto.metadata)
  const service = decodeService(extras)
  const budget = decodeRetryBudget(proto, extras)
  const { tls, proxyProtocol, proxyTlvs, autoTls } = decodeTransport(proto, path, problems)
  const autoSni = decodeAutoSni(proto, path, problems)
  const tunnel = decodeTunnel(extras)
  const keepalive = decodeKeepalive(proto, extras, path, problems)
  return {
    name: proto.name,
    discovery: decodeDiscovery(proto, path, problems),
    ...decodeLoadBalancer(proto, extras, path, problems),
    ...decodeCommonLb(proto, extras, path, problems),
    ...(proto.healthChecks.length === 0
      ? {}
      : {
          healthChecks: proto.healthChecks.map((check, index) =>
            decodeHealthCheck(check, `${path}.health_checks[${index}]`, problems),
          ),
        }),
    connectTimeoutMs: decodeDuration(proto.connectTimeout, DEFAULT_CONNECT_TIMEOUT_MS),
    limits: decodeLimits(proto, path, problems),
    http: decodeUpstreamHttp(proto, extras, path, problems),
    ...(keepalive === undefined ? {} : { tcpKeepalive: keepalive }),
    ...(proto.outlierDetection === undefined
      ? {}
      : {
          outlierDetection: decodeOutlier(
            proto.outlierDetection,
            extras,
            `${path}.outlier_detection`,
            problems,
          ),
        }),
    ...(budget === undefined ? {} : { retryBudget: budget }),
    ...(tls === undefined ? {} : { tls: { ...withUncheckedNames(tls, extras), ...autoSni } }),
    ...(autoTls === undefined ? {} : { autoTls }),
    ...(proxyProtocol === undefined ? {} : { proxyProtocol }),
    ...(proxyTlvs === undefined ? {} : { proxyTlvs }),
    ...(tunnel === undefined ? {} : { tunnel }),
    ...(service === undefined ? {} : { service }),
    origins: decodeOrigins(proto.metadata),
  }
}

function withUncheckedNames(
  tls: NonNullable<Cluster['tls']>,
  { uncheckedNames }: JsonObject,
): NonNullable<Cluster['tls']> {
  if (tls.validation !== undefined || !Array.isArray(uncheckedNames)) return tls
  return { ...tls, subjectAltNames: uncheckedNames.map(textOf) }
}

/** In Envoy the TCP proxy in front knows of tunnels, not the cluster. */
function decodeTunnel({ tunnel }: JsonObject): Cluster['tunnel'] {
  if (!isObject(tunnel)) return undefined
  const method = tunnel.method === 'POST' ? 'POST' : 'CONNECT'
  return { method, target: textOf(tunnel.target) }
}

function decodeService({ service }: JsonObject): ServiceRef | undefined {
  if (!isObject(service)) return undefined
  const { host, name, namespace } = service
  return { host: textOf(host), name: textOf(name), namespace: textOf(namespace) }
}

const BREAKERS = covers(CircuitBreakersSchema, 'thresholds')
const THRESHOLDS = covers(
  CircuitBreakers_ThresholdsSchema,
  ...['priority', 'max_connections', 'max_pending_requests', 'max_requests', 'max_retries'],
  ...['retry_budget', 'track_remaining', 'max_connection_pools'],
)

function defaultThresholds(proto: ClusterProto) {
  return proto.circuitBreakers?.thresholds.find(
    (threshold) => threshold.priority === RoutingPriority.DEFAULT,
  )
}

/** Envoy's limits where nothing is said. */
function decodeLimits(proto: ClusterProto, path: string, problems: Problems): CircuitLimits {
  const at = `${path}.circuit_breakers`
  if (proto.circuitBreakers !== undefined)
    refuseOthers(BREAKERS, proto.circuitBreakers, at, problems)
  const threshold = defaultThresholds(proto)
  if (threshold !== undefined) refuseOthers(THRESHOLDS, threshold, `${at}.thresholds`, problems)
  return {
    maxConnections: threshold?.maxConnections ?? 1_024,
    maxPendingRequests: threshold?.maxPendingRequests ?? 1_024,
    maxRequests: threshold?.maxRequests ?? 1_024,
    maxRetries: threshold?.maxRetries ?? 3,
  }
}

function decodeRetryBudget(
  proto: ClusterProto,
  { retryBudgetIntervalMs }: JsonObject,
): RetryBudget | undefined {
  const budget = defaultThresholds(proto)?.retryBudget
  if (budget === undefined) return undefined
  return {
    percent: budget.budgetPercent?.value ?? 20,
    minRetryConcurrency: budget.minRetryConcurrency ?? 3,
    ...(typeof retryBudgetIntervalMs === 'number' ? { intervalMs: retryBudgetIntervalMs } : {}),
  }
}

/** Envoy has whole seconds; the model's milliseconds travel beside them. */
function decodeKeepalive(
  proto: ClusterProto,
  { tcpKeepaliveMs }: JsonObject,
  path: string,
  problems: Problems,
): Cluster['tcpKeepalive'] {
  const options = proto.upstreamConnectionOptions
  if (options === undefined) return undefined
  refuseOthers(CONNECTION, options, `${path}.upstream_connection_options`, problems)
  const { tcpKeepalive } = options
  if (tcpKeepalive === undefined) return undefined
  const [timeMs, intervalMs] = Array.isArray(tcpKeepaliveMs) ? tcpKeepaliveMs : []
  return {
    // Linux's defaults, as Envoy has them.
    probes: tcpKeepalive.keepaliveProbes ?? 9,
    timeMs: typeof timeMs === 'number' ? timeMs : (tcpKeepalive.keepaliveTime ?? 7_200) * 1_000,
    intervalMs:
      typeof intervalMs === 'number' ? intervalMs : (tcpKeepalive.keepaliveInterval ?? 75) * 1_000,
  }
}
