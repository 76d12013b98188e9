/** `connectionPool` of DestinationRules: limits, timeouts and protocol of a cluster's connections. */
import { parseDurationMs } from '@weft/base'
import type { ConnectionPoolSettings } from '@weft/config'
import {
  type CircuitLimits,
  type Cluster,
  NO_LIMITS,
  type TcpProxy,
  type UpstreamHttp,
} from '@weft/model'
import type { PortProtocol } from '../../registries/registry.ts'
import type { MeshSettings } from '../../snapshot/mesh-settings.ts'

/** Envoy's default for pooled connections. */
const IDLE_TIMEOUT_MS = 3_600_000
const KEEPALIVE_TIMEOUT_MS = 20_000

export function connectionPool(
  settings: ConnectionPoolSettings | undefined,
  protocol: PortProtocol,
  mesh: MeshSettings,
): Pick<Cluster, 'connectTimeoutMs' | 'limits' | 'http' | 'tcpKeepalive'> {
  const keepalive = readKeepalive(settings, mesh)
  return {
    connectTimeoutMs: readMs(settings?.tcp?.connectTimeout) ?? mesh.connectTimeoutMs,
    limits: readLimits(settings),
    http: readHttp(settings, protocol, mesh),
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
  mesh: MeshSettings,
): UpstreamHttp {
  const http = settings?.http
  const maxConnectionDurationMs = readMs(settings?.tcp?.maxConnectionDuration)
  const keepAlive = http?.http2KeepAlive
  const intervalMs = readMs(keepAlive?.interval)
  return {
    protocol: upstreamProtocol(http, protocol, mesh),
    idleTimeoutMs: readMs(http?.idleTimeout) ?? IDLE_TIMEOUT_MS,
    maxRequestsPerConnection: http?.maxRequestsPerConnection ?? 0,
    maxConcurrentStreams: http?.maxConcurrentStreams ?? 0,
    ...(maxConnectionDurationMs === undefined ? {} : { maxConnectionDurationMs }),
    ...(intervalMs === undefined
      ? {}
      : {
          keepAlive: { intervalMs, timeoutMs: readMs(keepAlive?.timeout) ?? KEEPALIVE_TIMEOUT_MS },
        }),
  }
}

function upstreamProtocol(
  http: ConnectionPoolSettings['http'],
  protocol: PortProtocol,
  mesh: MeshSettings,
): UpstreamHttp['protocol'] {
  if (http?.useClientProtocol === true) return 'downstream'
  if (protocol === 'http2' || protocol === 'grpc') return 'http2'
  if (protocol === 'http' && upgradesToH2(http?.h2UpgradePolicy, mesh)) return 'http2'
  return protocol === 'auto' ? 'downstream' : 'http1'
}

/** Of a port that is declared to speak HTTP/1.1; what nobody declared is not upgraded. */
function upgradesToH2(
  policy: NonNullable<ConnectionPoolSettings['http']>['h2UpgradePolicy'],
  mesh: MeshSettings,
): boolean {
  return policy === 'UPGRADE' || (mesh.h2Upgrade && policy !== 'DO_NOT_UPGRADE')
}

/** What a connection of bytes through a TCP proxy takes from the same settings. */
export function tcpSettings(
  settings: ConnectionPoolSettings | undefined,
): Partial<Pick<TcpProxy, 'idleTimeoutMs' | 'maxConnectionDurationMs'>> {
  const idleTimeoutMs = readMs(settings?.tcp?.idleTimeout)
  const maxConnectionDurationMs = readMs(settings?.tcp?.maxConnectionDuration)
  return {
    ...(idleTimeoutMs === undefined ? {} : { idleTimeoutMs }),
    ...(maxConnectionDurationMs === undefined ? {} : { maxConnectionDurationMs }),
  }
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
