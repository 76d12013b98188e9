/** TCP proxies ⇄ Envoy's `TcpProxy`. */
import type { TcpProxy } from '@weft/model'
import {
  TcpProxy_TcpAccessLogOptionsSchema,
  TcpProxy_WeightedCluster_ClusterWeightSchema,
  type TcpProxy as TcpProxyProto,
  TcpProxySchema,
} from '../gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.js'
import { decodeAccessLogs, encodeAccessLogs } from './access-log.ts'
import { covers, type Problems, refuseOthers } from './problems.ts'
import { decodeDuration, encodeDuration, type Init } from './values.ts'

const PLAIN_WEIGHT = 100
/** Envoy's default, in milliseconds. */
const DEFAULT_IDLE_TIMEOUT_MS = 3_600_000

export function encodeTcpProxy(proxy: TcpProxy): Init<typeof TcpProxySchema> {
  const [first] = proxy.targets
  // Envoy wants weights of at least 1; a target without weight gets nothing, and is not sent.
  const weighted = proxy.targets.filter((target) => target.weight > 0)
  const plain = proxy.targets.length === 1 && first.weight === PLAIN_WEIGHT
  return {
    statPrefix: proxy.statPrefix,
    clusterSpecifier: plain
      ? { case: 'cluster', value: first.cluster }
      : {
          case: 'weightedClusters',
          value: { clusters: weighted.map(({ cluster, weight }) => ({ name: cluster, weight })) },
        },
    idleTimeout: encodeDuration(proxy.idleTimeoutMs),
    ...(proxy.maxConnectionDurationMs === undefined
      ? {}
      : { maxDownstreamConnectionDuration: encodeDuration(proxy.maxConnectionDurationMs) }),
    ...(proxy.maxConnectAttempts === undefined
      ? {}
      : { maxConnectAttempts: proxy.maxConnectAttempts }),
    ...(proxy.hashSourceIp === true
      ? { hashPolicy: [{ policySpecifier: { case: 'sourceIp', value: {} } }] }
      : {}),
    accessLog: encodeAccessLogs(proxy.accessLogs),
    ...encodeLogFlush(proxy),
  }
}

function encodeLogFlush({
  accessLogFlush: flush,
}: TcpProxy): Pick<Init<typeof TcpProxySchema>, 'accessLogOptions'> {
  if (flush === undefined) return {}
  const { intervalMs, onConnected = false } = flush
  return {
    accessLogOptions: {
      flushAccessLogOnConnected: onConnected,
      ...(intervalMs === undefined ? {} : { accessLogFlushInterval: encodeDuration(intervalMs) }),
    },
  }
}

const TCP = covers(
  TcpProxySchema,
  ...['stat_prefix', 'cluster', 'weighted_clusters', 'idle_timeout', 'access_log'],
  ...['access_log_options', 'access_log_flush_interval', 'flush_access_log_on_connected'],
  ...['max_connect_attempts', 'max_downstream_connection_duration', 'hash_policy'],
  // How long to wait between attempts; ours go to another endpoint at once.
  'backoff_options',
)
const LOG_OPTIONS = covers(
  TcpProxy_TcpAccessLogOptionsSchema,
  ...['access_log_flush_interval', 'flush_access_log_on_connected'],
)
const WEIGHT = covers(TcpProxy_WeightedCluster_ClusterWeightSchema, 'name', 'weight')

export function decodeTcpProxy(proto: TcpProxyProto, path: string, problems: Problems): TcpProxy {
  refuseOthers(TCP, proto, path, problems)
  const { clusterSpecifier } = proto
  const targets =
    clusterSpecifier.case === 'cluster'
      ? [{ cluster: clusterSpecifier.value, weight: PLAIN_WEIGHT }]
      : (clusterSpecifier.value?.clusters ?? []).map((target, index) => {
          refuseOthers(WEIGHT, target, `${path}.weighted_clusters[${index}]`, problems)
          return { cluster: target.name, weight: target.weight }
        })
  const [first, ...rest] = targets
  if (first === undefined) problems.add(path, 'names no cluster')
  const hashSourceIp = proto.hashPolicy.some(
    ({ policySpecifier }) => policySpecifier.case === 'sourceIp',
  )
  if (proto.hashPolicy.length > (hashSourceIp ? 1 : 0)) {
    problems.add(`${path}.hash_policy`, 'only one, by source_ip, is supported')
  }
  if (proto.maxConnectAttempts === 0) problems.add(`${path}.max_connect_attempts`, 'must be > 0')
  return {
    kind: 'tcp',
    statPrefix: proto.statPrefix,
    targets: [first ?? { cluster: '', weight: PLAIN_WEIGHT }, ...rest],
    idleTimeoutMs: decodeDuration(proto.idleTimeout, DEFAULT_IDLE_TIMEOUT_MS),
    ...(proto.maxDownstreamConnectionDuration === undefined
      ? {}
      : { maxConnectionDurationMs: decodeDuration(proto.maxDownstreamConnectionDuration, 0) }),
    ...(proto.maxConnectAttempts === undefined
      ? {}
      : { maxConnectAttempts: proto.maxConnectAttempts }),
    ...(hashSourceIp ? { hashSourceIp } : {}),
    accessLogs: decodeAccessLogs(proto.accessLog, path, problems),
    ...decodeLogFlush(proto, path, problems),
  }
}

/** The fields that stood in the filter itself before count only where the newer message is absent. */
function decodeLogFlush(
  proto: TcpProxyProto,
  path: string,
  problems: Problems,
): Pick<TcpProxy, 'accessLogFlush'> {
  const { accessLogOptions } = proto
  const at = accessLogOptions === undefined ? path : `${path}.access_log_options`
  if (accessLogOptions !== undefined) refuseOthers(LOG_OPTIONS, accessLogOptions, at, problems)
  const { accessLogFlushInterval: interval, flushAccessLogOnConnected: onConnected } =
    accessLogOptions ?? proto
  const intervalMs = interval === undefined ? undefined : decodeDuration(interval, 0)
  if (intervalMs !== undefined && intervalMs < 1) {
    problems.add(`${at}.access_log_flush_interval`, 'must be at least 1ms')
  }
  if (intervalMs === undefined && !onConnected) return {}
  return {
    accessLogFlush: {
      ...(intervalMs === undefined ? {} : { intervalMs }),
      ...(onConnected ? { onConnected } : {}),
    },
  }
}
