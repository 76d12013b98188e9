/**
 * Mesh-wide settings: the subset of Istio's MeshConfig that changes what this
 * version does, with our defaults. They differ from Istio's in one point: the
 * default retry policy repeats only what provably never reached an upstream.
 */
import { parseDurationMs } from '@weft/base'
import type { LocalityLbSettings, MeshConfig } from '@weft/config'
import type {
  AccessLogFields,
  AccessLogTarget,
  ForwardClientCert,
  RetryPolicy,
  TlsParameters,
} from '@weft/model'
import { logFormatProblem } from '@weft/telemetry'
import { type AuthorizationProvider, authorizationProviders } from './authorization-providers.ts'
import type { LabelSelector } from './label-selector.ts'
import { readRetryPolicy } from './retry-policy.ts'

export interface MeshSettings {
  readonly trustDomain: string
  /** Other names of the trust domain: whoever has one of these is of the mesh, too. */
  readonly trustDomainAliases: readonly string[]
  /** Other trust domains whose workloads may come in; what they may do is for policies to say. */
  readonly federatedTrustDomains?: readonly string[]
  /** Workloads of the mesh call each other with mutual TLS, where both can. */
  readonly autoMtls: boolean
  readonly rootNamespace: string
  /** `cluster.local`: services are `<name>.<namespace>.svc.<domain>`. */
  readonly domain: string
  readonly outboundTrafficPolicy: 'ALLOW_ANY' | 'REGISTRY_ONLY'
  readonly connectTimeoutMs: number
  readonly defaultRetry: RetryPolicy | undefined
  /** `''` writes no access log. */
  readonly accessLogFile: string
  /** Absent: Weft's JSON line. */
  readonly accessLogFormat?: AccessLogTarget['format']
  /** What stands in front of the gateways. */
  readonly gatewayTopology: GatewayTopology
  /** HTTP/1.1 ports are called with HTTP/2 unless a DestinationRule says otherwise. */
  readonly h2Upgrade: boolean
  /** Istio's default: on, for clusters with outlier detection. `undefined`: off. */
  readonly localityLb: LocalityLbSettings | undefined
  readonly normalizePath: boolean
  readonly mergeSlashes: boolean
  readonly escapedSlashes?: 'decode'
  /** Nobody chose how paths are normalised: where policies look at paths, the strict way is safe. */
  readonly strictPaths: boolean
  readonly defaultServiceExportTo: readonly string[]
  readonly defaultVirtualServiceExportTo: readonly string[]
  readonly defaultDestinationRuleExportTo: readonly string[]
  /** Only what lives in a namespace that one of these selects is looked at; empty: everything is. */
  readonly discoverySelectors: readonly LabelSelector[]
  /** For servers and clients of TLS that say nothing themselves. */
  readonly tlsDefaults: MeshTlsParameters
  /** Of the mesh's own TLS, on both sides. */
  readonly meshMtls: Pick<MeshTlsParameters, 'minVersion' | 'ecdhCurves'>
  /** Whom CUSTOM policies may ask. */
  readonly authorizationProviders: readonly AuthorizationProvider[]
  readonly tcpKeepalive?: {
    readonly probes: number
    readonly timeMs: number
    readonly intervalMs: number
  }
}

interface GatewayTopology {
  /** Proxies in front, each of which adds an entry to `x-forwarded-for`. */
  readonly trustedProxies: number
  readonly forwardClientCert?: ForwardClientCert
  /** Connections begin with a PROXY protocol header. */
  readonly proxyProtocol: boolean
}

type MeshTlsParameters = Pick<TlsParameters, 'minVersion' | 'ecdhCurves' | 'cipherSuites'>

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
  trustDomainAliases: [],
  autoMtls: true,
  rootNamespace: 'istio-system',
  domain: 'cluster.local',
  outboundTrafficPolicy: 'ALLOW_ANY',
  connectTimeoutMs: 10_000,
  defaultRetry: SAFE_RETRY,
  accessLogFile: '',
  gatewayTopology: { trustedProxies: 0, proxyProtocol: false },
  h2Upgrade: false,
  localityLb: {},
  normalizePath: true,
  mergeSlashes: false,
  strictPaths: true,
  defaultServiceExportTo: ['*'],
  defaultVirtualServiceExportTo: ['*'],
  defaultDestinationRuleExportTo: ['*'],
  discoverySelectors: [],
  tlsDefaults: {},
  meshMtls: {},
  authorizationProviders: [],
}

export function meshSettings(config: MeshConfig): MeshSettings {
  const keepalive = readKeepalive(config.tcpKeepalive)
  return {
    ...DEFAULT_MESH,
    trustDomain: config.trustDomain,
    trustDomainAliases: config.trustDomainAliases ?? [],
    autoMtls: config.enableAutoMtls ?? true,
    rootNamespace: config.rootNamespace,
    outboundTrafficPolicy: config.outboundTrafficPolicy.mode,
    connectTimeoutMs: parseDurationMs(config.connectTimeout) ?? DEFAULT_MESH.connectTimeoutMs,
    // Istio's own default is not assumed: only what somebody wrote replaces ours.
    defaultRetry:
      config.defaultHttpRetryPolicy === undefined
        ? SAFE_RETRY
        : readRetryPolicy(config.defaultHttpRetryPolicy),
    accessLogFile: config.accessLogFile,
    gatewayTopology: readTopology(config.defaultConfig?.gatewayTopology),
    h2Upgrade: config.h2UpgradePolicy === 'UPGRADE',
    ...readPathNormalization(config.pathNormalization?.normalization),
    ...accessLogFormat(config.accessLogFormat, config.accessLogEncoding),
    localityLb:
      config.localityLbSetting?.enabled === false ? undefined : (config.localityLbSetting ?? {}),
    defaultServiceExportTo: config.defaultServiceExportTo,
    defaultVirtualServiceExportTo: config.defaultVirtualServiceExportTo,
    defaultDestinationRuleExportTo: config.defaultDestinationRuleExportTo,
    discoverySelectors: config.discoverySelectors ?? [],
    tlsDefaults: readTls(config.tlsDefaults),
    meshMtls: readTls({ ...config.meshMTLS, cipherSuites: [] }),
    authorizationProviders: authorizationProviders(config.extensionProviders),
    ...(keepalive === undefined ? {} : { tcpKeepalive: keepalive }),
  }
}

type WrittenTopology = NonNullable<NonNullable<MeshConfig['defaultConfig']>['gatewayTopology']>

/** What is told where a gateway tells anything (Istio's). */
const CERTIFICATE_DETAILS: ForwardClientCert['details'] = ['cert', 'subject', 'uri', 'dns']

const CERTIFICATE_MODES = {
  UNDEFINED: undefined,
  SANITIZE: undefined,
  FORWARD_ONLY: 'forwardOnly',
  APPEND_FORWARD: 'appendForward',
  SANITIZE_SET: 'sanitizeSet',
  ALWAYS_FORWARD_ONLY: 'alwaysForwardOnly',
} as const satisfies Record<string, ForwardClientCert['mode'] | undefined>

function readTopology({
  numTrustedProxies = 0,
  forwardClientCertDetails = 'UNDEFINED',
  proxyProtocol,
}: WrittenTopology = {}): GatewayTopology {
  const mode = CERTIFICATE_MODES[forwardClientCertDetails]
  return {
    trustedProxies: numTrustedProxies,
    ...(mode === undefined ? {} : { forwardClientCert: { mode, details: CERTIFICATE_DETAILS } }),
    proxyProtocol: proxyProtocol !== undefined,
  }
}

function readTls({
  minProtocolVersion,
  ecdhCurves = [],
  cipherSuites = [],
}: NonNullable<MeshConfig['tlsDefaults']> = {}): MeshTlsParameters {
  const minVersion = minProtocolVersion === 'TLSV1_3' ? '1.3' : '1.2'
  const isWritten = minProtocolVersion === 'TLSV1_2' || minProtocolVersion === 'TLSV1_3'
  return {
    ...(isWritten ? { minVersion } : {}),
    ...(ecdhCurves.length === 0 ? {} : { ecdhCurves }),
    ...(cipherSuites.length === 0 ? {} : { cipherSuites }),
  }
}

function readPathNormalization(
  mode: NonNullable<MeshConfig['pathNormalization']>['normalization'],
): Pick<MeshSettings, 'mergeSlashes' | 'normalizePath' | 'escapedSlashes' | 'strictPaths'> {
  const decodes = mode === 'DECODE_AND_MERGE_SLASHES'
  return {
    normalizePath: mode !== 'NONE',
    mergeSlashes: mode === 'MERGE_SLASHES' || decodes,
    ...(decodes ? { escapedSlashes: 'decode' } : {}),
    strictPaths: mode === undefined || mode === 'DEFAULT',
  }
}

/**
 * A format that is not JSON is kept as text. One that no proxy would take is as if absent: it would
 * be refused with the listener that carries it.
 */
function accessLogFormat(
  template: string,
  encoding: 'JSON' | 'TEXT',
): Pick<MeshSettings, 'accessLogFormat'> {
  if (template === '') return {}
  const fields = encoding === 'JSON' ? jsonFields(template) : undefined
  const format =
    fields === undefined
      ? ({ kind: 'text', template } as const)
      : ({ kind: 'json', fields } as const)
  return logFormatProblem(format) === undefined ? { accessLogFormat: format } : {}
}

function jsonFields(template: string): AccessLogFields | undefined {
  try {
    const value: unknown = JSON.parse(template)
    return isFields(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** JSON holds nothing else than log fields may. */
function isFields(value: unknown): value is AccessLogFields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
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
