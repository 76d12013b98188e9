/**
 * Which known fields no data plane of this release acts on. One table: a field
 * that lands loses its line here, and the warning ends. Everything else that the
 * schemas know is acted on, or says nothing a proxy could act on.
 */

import type { DocumentType } from './document.ts'
import { childPath, itemPath } from './text/places.ts'

interface IdleField {
  /** `[]` stands for every item of a list. */
  readonly field: string
  /** Values that ask for what happens anyway, so nothing is lost. */
  readonly unless?: readonly unknown[]
}

const idle = (...fields: string[]): readonly IdleField[] => fields.map((field) => ({ field }))

/** The fields of a traffic policy, wherever one stands. */
function trafficPolicyAt(path: string): readonly IdleField[] {
  return [
    ...idle(
      `${path}.loadBalancer.backendUtilization`,
      `${path}.loadBalancer.zoneAwareLbSetting.failover`,
      `${path}.loadBalancer.zoneAwareLbSetting.failoverPriority`,
    ),
  ]
}

const HTTP_FILTERS = ['spec.rules[].filters[]', 'spec.rules[].backendRefs[].filters[]']

export const IDLE_FIELDS: Readonly<Partial<Record<DocumentType, readonly IdleField[]>>> = {
  VirtualService: idle('spec.http[].match[].statPrefix'),
  DestinationRule: [
    ...trafficPolicyAt('spec.trafficPolicy'),
    ...trafficPolicyAt('spec.trafficPolicy.portLevelSettings[]'),
    ...trafficPolicyAt('spec.subsets[].trafficPolicy'),
    ...trafficPolicyAt('spec.subsets[].trafficPolicy.portLevelSettings[]'),
  ],
  WorkloadEntry: idle('spec.network'),
  GatewayClass: idle('spec.parametersRef'),
  KubernetesGateway: idle('spec.addresses', 'spec.infrastructure', 'spec.defaultScope'),
  GRPCRoute: idle(
    ...HTTP_FILTERS.map((filter) => `${filter}.extensionRef`),
    'spec.rules[].sessionPersistence.idleTimeout',
    'spec.useDefaultGateways',
  ),
  TLSRoute: idle('spec.useDefaultGateways'),
  TCPRoute: idle('spec.useDefaultGateways'),
  BackendTLSPolicy: idle('spec.options'),
  XBackendTrafficPolicy: idle('spec.sessionPersistence.idleTimeout'),
  HTTPRoute: idle(
    ...HTTP_FILTERS.flatMap((filter) => [`${filter}.extensionRef`, `${filter}.externalAuth`]),
    'spec.rules[].sessionPersistence.idleTimeout',
    'spec.useDefaultGateways',
  ),
  Service: [
    { field: 'spec.sessionAffinity', unless: ['None'] },
    { field: 'spec.internalTrafficPolicy', unless: ['Cluster'] },
    { field: 'spec.trafficDistribution' },
  ],
}

/** Fields of MeshConfig that have no effect; the paths begin below the ConfigMap's key. */
export const IDLE_MESH_FIELDS: readonly IdleField[] = [
  // Slashes are merged; `%2F` and its like stay encoded.
  {
    field: 'pathNormalization.normalization',
    unless: ['DEFAULT', 'NONE', 'BASE', 'MERGE_SLASHES'],
  },
  ...idle(
    'protocolDetectionTimeout',
    'enableTracing',
    'ingressClass',
    'ingressService',
    'ingressSelector',
    'zoneAwareLbSetting',
    'defaultProviders',
    'serviceSettings',
    // Those of TLS 1.2, which the mesh's own TLS has no need to choose among.
    'meshMTLS.cipherSuites',
    'verifyCertificateAtClient',
    'dnsRefreshRate',
    ...['discoveryAddress', 'concurrency', 'drainDuration', 'terminationDrainDuration'].map(
      (name) => `defaultConfig.${name}`,
    ),
    ...['holdApplicationUntilProxyStarts', 'proxyMetadata', 'tracing', 'statNameLength'].map(
      (name) => `defaultConfig.${name}`,
    ),
    ...['proxyAdminPort', 'statusPort'].map((name) => `defaultConfig.${name}`),
    'defaultTrafficPolicy',
    'defaultInboundHttpRetryPolicy',
  ),
]

/** Paths of the fields in `value` that are accepted, but not acted on. */
export function findIdle(
  fields: readonly IdleField[],
  root: string,
  value: unknown,
): readonly string[] {
  return fields.flatMap(({ field, unless = [] }) => {
    const parts = field.split(/(?=\[\])|\./).filter((part) => part !== '')
    return occurrences(parts, root, value).flatMap(({ path, found }) =>
      unless.some((one) => JSON.stringify(one) === JSON.stringify(found)) ? [] : [path],
    )
  })
}

interface Occurrence {
  readonly path: string
  readonly found: unknown
}

function occurrences(
  parts: readonly string[],
  path: string,
  value: unknown,
): readonly Occurrence[] {
  const [part, ...rest] = parts
  if (part === undefined) return [{ path, found: value }]
  if (typeof value !== 'object' || value === null) return []
  if (part === '[]') {
    if (!Array.isArray(value)) return []
    return value.flatMap((item, index) => occurrences(rest, itemPath(path, index), item))
  }
  if (!Object.hasOwn(value, part)) return []
  return occurrences(rest, childPath(path, part), (value as Record<string, unknown>)[part])
}
