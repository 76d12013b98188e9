/** `connectionPool` of DestinationRules: limits, timeouts and protocol of a cluster's connections. */
import { parseDurationMs } from '@weft/base'
import type { ConnectionPoolSettings } from '@weft/config'
import { type CircuitLimits, type Cluster, NO_LIMITS, type UpstreamHttp } from '@weft/model'
import type { PortProtocol } from '../../registries/registry.ts'
import type { MeshSettings } from '../../snapshot/mesh-settings.ts'

/** Envoy's default for pooled connections. */
const IDLE_TIMEOUT_MS = 3_600_000

export function connectionPool(
  settings: ConnectionPoolSettings | undefined,
  protocol: PortProtocol,
  mesh: MeshSettings,
): Pick<Cluster, 'connectTimeoutMs' | 'limits' | 'http' | 'tcpKeepalive'> {
  const keepalive = readKeepalive(settings, mesh)
  return {
    connectTimeoutMs: readMs(settings?.tcp?.connectTimeout) ?? mesh.connectTimeoutMs,
    limits: readLimits(settings),
    http: readHttp(settings, protocol),
    ...(keepalive === undefined ? {} : { tcpKeepalive: keepalive }),
  }
}

/** Zero and absent mean no limit, as in Istio. */
function readLimits(settings: ConnectionPoolSettings | undefined): CircuitLimits {
  const orNone = (value: number | undefined, none: number) =>
    value === undefined || value <= 0 ? none : value
  return {
    maxConnections: orNone(settings?.tcp?.maxConnections, NO_LIMITS.maxConnections),
    maxPendingRequests: orNone(
      settings?.http?.http1MaxPendingRequests,
      NO_LIMITS.maxPendingRequests,
    ),
    maxRequests: orNone(settings?.http?.http2MaxRequests, NO_LIMITS.maxRequests),
    maxRetries: orNone(settings?.http?.maxRetries, NO_LIMITS.maxRetries),
  }
}

function readHttp(
  settings: ConnectionPoolSettings | undefined,
  protocol: PortProtocol,
): UpstreamHttp {
  const http = settings?.http
  return {
    protocol: upstreamProtocol(http, protocol),
    idleTimeoutMs: readMs(http?.idleTimeout) ?? IDLE_TIMEOUT_MS,
    maxRequestsPerConnection: http?.maxRequestsPerConnection ?? 0,
    maxConcurrentStreams: http?.maxConcurrentStreams ?? 0,
  }
}

function upstreamProtocol(
  http: ConnectionPoolSettings['http'],
  protocol: PortProtocol,
): UpstreamHttp['protocol'] {
  if (http?.useClientProtocol === true) return 'downstream'
  if (protocol === 'http2' || protocol === 'grpc') return 'http2'
  if (http?.h2UpgradePolicy === 'UPGRADE') return 'http2'
  return protocol === 'auto' ? 'downstream' : 'http1'
}

function readKeepalive(
  settings: ConnectionPoolSettings | undefined,
  mesh: MeshSettings,
): Cluster['tcpKeepalive'] {
  const own = settings?.tcp?.tcpKeepalive
  if (own === undefined) return mesh.tcpKeepalive
  return {
    probes: own.probes ?? mesh.tcpKeepalive?.probes ?? 9,
    timeMs: readMs(own.time) ?? mesh.tcpKeepalive?.timeMs ?? 7_200_000,
    intervalMs: readMs(own.interval) ?? mesh.tcpKeepalive?.intervalMs ?? 75_000,
  }
}

function readMs(text: string | undefined): number | undefined {
  return text === undefined ? undefined : parseDurationMs(text)
}
