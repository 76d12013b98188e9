/**
 * Mesh-wide settings: the subset of Istio's MeshConfig that changes what this
 * version does, with our defaults. They differ from Istio's in one point: the
 * default retry policy repeats only what provably never reached an upstream.
 */
import { parseDurationMs } from '@weft/base'
import type { MeshConfig } from '@weft/config'
import type { RetryPolicy } from '@weft/model'
import { readRetryPolicy } from './retry-policy.ts'

export interface MeshSettings {
  readonly trustDomain: string
  readonly rootNamespace: string
  /** `cluster.local`: services are `<name>.<namespace>.svc.<domain>`. */
  readonly domain: string
  readonly outboundTrafficPolicy: 'ALLOW_ANY' | 'REGISTRY_ONLY'
  readonly connectTimeoutMs: number
  readonly defaultRetry: RetryPolicy | undefined
  /** `''` writes no access log. */
  readonly accessLogFile: string
  readonly defaultServiceExportTo: readonly string[]
  readonly defaultVirtualServiceExportTo: readonly string[]
  readonly defaultDestinationRuleExportTo: readonly string[]
  readonly tcpKeepalive?: {
    readonly probes: number
    readonly timeMs: number
    readonly intervalMs: number
  }
}

/** Connect failures and refused streams only, twice, elsewhere. */
export const SAFE_RETRY: RetryPolicy = {
  on: ['connect-failure', 'refused-stream'],
  statusCodes: [],
  attempts: 2,
  perTryTimeoutMs: 0,
  backoffBaseMs: 25,
  backoffMaxMs: 250,
  avoidPreviousHosts: true,
  onlyWhen: [],
}

export const DEFAULT_MESH: MeshSettings = {
  trustDomain: 'cluster.local',
  rootNamespace: 'istio-system',
  domain: 'cluster.local',
  outboundTrafficPolicy: 'ALLOW_ANY',
  connectTimeoutMs: 10_000,
  defaultRetry: SAFE_RETRY,
  accessLogFile: '',
  defaultServiceExportTo: ['*'],
  defaultVirtualServiceExportTo: ['*'],
  defaultDestinationRuleExportTo: ['*'],
}

export function meshSettings(config: MeshConfig): MeshSettings {
  const keepalive = readKeepalive(config.tcpKeepalive)
  return {
    ...DEFAULT_MESH,
    trustDomain: config.trustDomain,
    rootNamespace: config.rootNamespace,
    outboundTrafficPolicy: config.outboundTrafficPolicy.mode,
    connectTimeoutMs: parseDurationMs(config.connectTimeout) ?? DEFAULT_MESH.connectTimeoutMs,
    // Istio's own default is not assumed: only what somebody wrote replaces ours.
    defaultRetry:
      config.defaultHttpRetryPolicy === undefined
        ? SAFE_RETRY
        : readRetryPolicy(config.defaultHttpRetryPolicy),
    accessLogFile: config.accessLogFile,
    defaultServiceExportTo: config.defaultServiceExportTo,
    defaultVirtualServiceExportTo: config.defaultVirtualServiceExportTo,
    defaultDestinationRuleExportTo: config.defaultDestinationRuleExportTo,
    ...(keepalive === undefined ? {} : { tcpKeepalive: keepalive }),
  }
}

/** MeshConfig leaves this field open; what is not a keepalive is as if absent. */
function readKeepalive(value: unknown): MeshSettings['tcpKeepalive'] {
  if (typeof value !== 'object' || value === null) return undefined
  const { probes, time, interval } = value as Readonly<Record<string, unknown>>
  return {
    probes: typeof probes === 'number' ? probes : 9,
    timeMs: readDuration(time) ?? 7_200_000,
    intervalMs: readDuration(interval) ?? 75_000,
  }
}

function readDuration(value: unknown): number | undefined {
  return typeof value === 'string' ? parseDurationMs(value) : undefined
}
