/** What policies change of a listener's HTTP connection manager, of the filters in it, and of TCP proxies. */
import { parseDurationMs } from '@weft/base'
import type { TrafficPolicySpec } from '@weft/config'
import type {
  AccessLogTarget,
  FilterOverrides,
  HttpConnectionManager,
  HttpFilterConfig,
  LocalRateLimit,
  RateLimitService,
  TcpProxy,
} from '@weft/model'
import { HEADER_CASES } from './policy-cluster.ts'
import {
  adaptiveConcurrency,
  compression,
  csrf,
  DEFAULT_COMPRESSION,
  sessionPersistence,
} from './policy-filters.ts'

export interface ListenerPolicy {
  readonly traffic: TrafficPolicySpec
  readonly limit: LocalRateLimit | undefined
  /** Global limits: the listener's own, with actions, and those that routes ask. */
  readonly services: readonly RateLimitService[]
  /** Filters that routes of this proxy have settings for. */
  readonly onRoutes: readonly (keyof FilterOverrides)[]
}

/** Refusals come first, then what changes bodies; the router is last. */
const ORDER: readonly HttpFilterConfig['kind'][] = [
  'cors',
  'csrf',
  'grpcWeb',
  'localRateLimit',
  'rateLimit',
  'adaptiveConcurrency',
  'fault',
  'buffer',
  'compressor',
  'statefulSession',
]

export function managerUnderPolicy(
  manager: HttpConnectionManager,
  policy: ListenerPolicy,
): HttpConnectionManager {
  const { traffic } = policy
  const { timeouts = {}, maxRequestHeaderBytes, accessLog } = traffic
  const headerCase = HEADER_CASES[traffic.headerCase ?? 'Preserve']
  const streamIdleTimeoutMs = readMs(timeouts.streamIdle)
  const maxStreamDurationMs = readMs(timeouts.maxStreamDuration)
  const maxConnectionDurationMs = readMs(timeouts.connectionDuration)
  const requestTimeoutMs = readMs(timeouts.request)
  const idleTimeoutMs = readMs(timeouts.idle)
  const serverHeader = serverHeaderOf(traffic)
  return {
    ...manager,
    filters: filtersOf(manager.filters, policy),
    ...(maxRequestHeaderBytes === undefined ? {} : { maxRequestHeadBytes: maxRequestHeaderBytes }),
    ...(headerCase === undefined ? {} : { headerCase }),
    ...(streamIdleTimeoutMs === undefined ? {} : { streamIdleTimeoutMs }),
    ...(maxStreamDurationMs === undefined ? {} : { maxStreamDurationMs }),
    ...(maxConnectionDurationMs === undefined ? {} : { maxConnectionDurationMs }),
    ...(requestTimeoutMs === undefined ? {} : { requestTimeoutMs }),
    ...(idleTimeoutMs === undefined ? {} : { idleTimeoutMs }),
    ...(serverHeader === undefined ? {} : { serverHeader }),
    ...(traffic.expectContinue === 'PassThrough' ? { proxy100Continue: true } : {}),
    ...(accessLog === undefined ? {} : { accessLogs: accessLogs(accessLog) }),
  }
}

/** What of a policy is for connections as well: where their lines go, and when. */
export function tcpProxyUnderPolicy(proxy: TcpProxy, { accessLog }: TrafficPolicySpec): TcpProxy {
  if (accessLog === undefined) return proxy
  const { interval, onConnected } = accessLog.connections ?? {}
  const intervalMs = readMs(interval)
  const flush = {
    ...(intervalMs === undefined ? {} : { intervalMs }),
    ...(onConnected === true ? { onConnected } : {}),
  }
  return {
    ...proxy,
    accessLogs: accessLogs(accessLog),
    ...(Object.keys(flush).length === 0 ? {} : { accessLogFlush: flush }),
  }
}

/** A filter that is there already stays as it is: whoever put it there said more. */
function filtersOf(
  filters: readonly HttpFilterConfig[],
  { traffic, limit, services, onRoutes }: ListenerPolicy,
): readonly HttpFilterConfig[] {
  const { buffer, sessionPersistence: session } = traffic
  const added: HttpFilterConfig[] = []
  const add = (filter: HttpFilterConfig) => {
    if (!filters.some(({ kind }) => kind === filter.kind)) added.push(filter)
  }
  if (traffic.csrf !== undefined) add({ kind: 'csrf', policy: csrf(traffic.csrf) })
  else if (onRoutes.includes('csrf')) add({ kind: 'csrf' })
  if (traffic.grpcWeb === true) add({ kind: 'grpcWeb' })
  if (limit !== undefined) add({ kind: 'localRateLimit', limit })
  else if (onRoutes.includes('localRateLimit')) add({ kind: 'localRateLimit' })
  for (const service of services) added.push({ kind: 'rateLimit', service })
  if (traffic.adaptiveConcurrency !== undefined) {
    const settings = adaptiveConcurrency(traffic.adaptiveConcurrency)
    add({ kind: 'adaptiveConcurrency', settings })
  } else if (onRoutes.includes('adaptiveConcurrency')) add({ kind: 'adaptiveConcurrency' })
  if (buffer !== undefined) add({ kind: 'buffer', maxRequestBytes: buffer.maxRequestBytes })
  else if (onRoutes.includes('maxRequestBytes')) add({ kind: 'buffer' })
  if (traffic.compression !== undefined) {
    add({ kind: 'compressor', settings: compression(traffic.compression) })
  } else if (onRoutes.includes('compressor')) {
    add({ kind: 'compressor', settings: DEFAULT_COMPRESSION })
  }
  const own = session === undefined ? undefined : sessionPersistence(session)
  if (own !== undefined) add({ kind: 'statefulSession', session: own })
  else if (onRoutes.includes('session')) add({ kind: 'statefulSession' })
  const rank = ({ kind }: HttpFilterConfig) => ORDER.indexOf(kind)
  return added.length === 0 ? filters : [...filters, ...added].sort((a, b) => rank(a) - rank(b))
}

function serverHeaderOf({
  serverHeader: settings,
}: TrafficPolicySpec): HttpConnectionManager['serverHeader'] {
  if (settings === undefined) return undefined
  const { action, value = '' } = settings
  if (action === 'Remove') return { kind: 'remove' }
  return { kind: action === 'Overwrite' ? 'overwrite' : 'ifAbsent', value }
}

function accessLogs({
  path,
  disabled,
  format,
}: NonNullable<TrafficPolicySpec['accessLog']>): readonly AccessLogTarget[] {
  if (disabled === true) return []
  if (format?.json !== undefined) return [{ path, format: { kind: 'json', fields: format.json } }]
  const template = format?.text
  return [{ path, ...(template === undefined ? {} : { format: { kind: 'text', template } }) }]
}

function readMs(text: string | undefined): number | undefined {
  return text === undefined ? undefined : parseDurationMs(text)
}
