/**
 * Mesh-wide settings: the subset of Istio's MeshConfig that changes what this
 * version does, with our defaults. They differ from Istio's in one point: the
 * default retry policy repeats only what provably never reached an upstream.
 */
import type { RetryPolicy } from '@weft/model'

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
