/** What all HTTP listeners have in common, by the side that they face. */
import type { AccessLogTarget, HttpConnectionManager, RouteSource, TcpProxy } from '@weft/model'
import type { MeshSettings } from '../../snapshot/mesh-settings.ts'

export type HttpFace = 'application' | 'mesh' | 'outside'

/** Envoy's limit for a request head. */
const MAX_HEAD_BYTES = 60 * 1024
const IDLE_TIMEOUT_MS = 3_600_000
/** Clients from outside are many and leave their connections behind. */
const OUTSIDE_IDLE_TIMEOUT_MS = 60_000
/** A head that takes longer is an attack or a broken client. */
const HEAD_TIMEOUT_MS = 60_000
const OUTSIDE_HEAD_TIMEOUT_MS = 10_000
const STREAM_IDLE_TIMEOUT_MS = 300_000

/** @param face `application`: its own outbound calls; `mesh`: calls from other workloads; `outside`: a gateway. */
export function httpManager(
  mesh: MeshSettings,
  face: HttpFace,
  statPrefix: string,
  routes: RouteSource,
  upgrades: readonly string[] = ['websocket'],
): HttpConnectionManager {
  const { gatewayTopology } = mesh
  const forwardClientCert = face === 'outside' ? gatewayTopology.forwardClientCert : undefined
  return {
    kind: 'http',
    statPrefix,
    routes,
    filters: face === 'mesh' ? [] : [{ kind: 'cors' }, { kind: 'fault' }],
    useRemoteAddress: face === 'outside',
    xffTrustedHops: face === 'outside' ? gatewayTopology.trustedProxies : 0,
    ...(forwardClientCert === undefined ? {} : { forwardClientCert }),
    normalizePath: mesh.normalizePath,
    mergeSlashes: mesh.mergeSlashes,
    ...(mesh.escapedSlashes === undefined ? {} : { escapedSlashes: mesh.escapedSlashes }),
    upgrades,
    acceptHttp10: true,
    generateRequestId: true,
    maxRequestHeadBytes: MAX_HEAD_BYTES,
    requestHeadTimeoutMs: face === 'outside' ? OUTSIDE_HEAD_TIMEOUT_MS : HEAD_TIMEOUT_MS,
    idleTimeoutMs: face === 'outside' ? OUTSIDE_IDLE_TIMEOUT_MS : IDLE_TIMEOUT_MS,
    // Between workloads a silent stream may be a subscription; from outside it is a leak.
    streamIdleTimeoutMs: face === 'outside' ? STREAM_IDLE_TIMEOUT_MS : 0,
    accessLogs: accessLogs(mesh),
  }
}

export function tcpProxy(
  mesh: MeshSettings,
  statPrefix: string,
  targets: TcpProxy['targets'],
  settings: Partial<TcpProxy> = {},
): TcpProxy {
  return {
    kind: 'tcp',
    statPrefix,
    targets,
    idleTimeoutMs: IDLE_TIMEOUT_MS,
    accessLogs: accessLogs(mesh),
    ...settings,
  }
}

function accessLogs({ accessLogFile, accessLogFormat }: MeshSettings): readonly AccessLogTarget[] {
  if (accessLogFile === '') return []
  const format = accessLogFormat === undefined ? {} : { format: accessLogFormat }
  return [{ path: accessLogFile, ...format }]
}
