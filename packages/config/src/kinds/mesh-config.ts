/**
 * `MeshConfig`: the settings of the whole mesh, as Istio keeps them under the
 * key `mesh` of the ConfigMap `istio`. Known fields only; the rest of Istio's
 * long list is accepted with a warning that it has no effect here.
 */

import {
  anything,
  boolean,
  defaulted,
  type Infer,
  integer,
  list,
  map,
  object,
  oneOfValues,
  required,
  string,
} from '../schema/schema.ts'
import { localityLbSetting } from './destination-rule.ts'
import { duration, labels, stringList } from './istio-common.ts'

const proxyConfig = object({
  discoveryAddress: string(),
  concurrency: integer({ min: 0 }),
  drainDuration: duration(),
  terminationDrainDuration: duration(),
  holdApplicationUntilProxyStarts: boolean(),
  proxyMetadata: map(string()),
  tracing: anything(),
  statNameLength: integer(),
  proxyAdminPort: integer({ min: 0, max: 65535 }),
  statusPort: integer({ min: 0, max: 65535 }),
  gatewayTopology: object({
    numTrustedProxies: integer({ min: 0, max: 4294967295 }),
    forwardClientCertDetails: oneOfValues(
      'UNDEFINED',
      'SANITIZE',
      'FORWARD_ONLY',
      'APPEND_FORWARD',
      'SANITIZE_SET',
      'ALWAYS_FORWARD_ONLY',
    ),
    proxyProtocol: object({}),
  }),
})

const labelSelector = object({
  matchLabels: labels(),
  matchExpressions: list(
    object({
      key: required(string()),
      operator: required(oneOfValues('In', 'NotIn', 'Exists', 'DoesNotExist')),
      values: stringList,
    }),
  ),
})

export const meshConfig = object({
  outboundTrafficPolicy: defaulted(
    object({ mode: defaulted(oneOfValues('REGISTRY_ONLY', 'ALLOW_ANY'), 'ALLOW_ANY') }),
    { mode: 'ALLOW_ANY' },
  ),
  trustDomain: defaulted(string(), 'cluster.local'),
  trustDomainAliases: stringList,
  rootNamespace: defaulted(string(), 'istio-system'),
  accessLogFile: defaulted(string(), ''),
  accessLogFormat: defaulted(string(), ''),
  accessLogEncoding: defaulted(oneOfValues('TEXT', 'JSON'), 'TEXT'),
  defaultServiceExportTo: defaulted(stringList, ['*']),
  defaultVirtualServiceExportTo: defaulted(stringList, ['*']),
  defaultDestinationRuleExportTo: defaulted(stringList, ['*']),
  defaultHttpRetryPolicy: object({
    attempts: integer(),
    perTryTimeout: duration(),
    retryOn: string(),
    retryRemoteLocalities: boolean(),
    retryIgnorePreviousHosts: boolean(),
    backoff: duration(),
  }),
  connectTimeout: defaulted(duration(), '10s'),
  protocolDetectionTimeout: duration(),
  enableTracing: boolean(),
  enableAutoMtls: boolean(),
  pathNormalization: object({
    normalization: oneOfValues(
      'DEFAULT',
      'NONE',
      'BASE',
      'MERGE_SLASHES',
      'DECODE_AND_MERGE_SLASHES',
    ),
  }),
  defaultConfig: proxyConfig,
  ingressClass: string(),
  ingressService: string(),
  ingressSelector: string(),
  localityLbSetting,
  zoneAwareLbSetting: anything(),
  defaultTrafficPolicy: anything(),
  defaultInboundHttpRetryPolicy: anything(),
  extensionProviders: list(anything()),
  defaultProviders: anything(),
  discoverySelectors: list(labelSelector),
  serviceSettings: list(anything()),
  meshMTLS: object({
    minProtocolVersion: oneOfValues('TLS_AUTO', 'TLSV1_2', 'TLSV1_3'),
    ecdhCurves: stringList,
    cipherSuites: stringList,
  }),
  tlsDefaults: object({
    minProtocolVersion: oneOfValues('TLS_AUTO', 'TLSV1_2', 'TLSV1_3'),
    ecdhCurves: stringList,
    cipherSuites: stringList,
  }),
  tcpKeepalive: object({
    probes: integer({ min: 0, max: 4294967295 }),
    time: duration(),
    interval: duration(),
  }),
  certificates: list(anything()),
  caCertificates: list(anything()),
  configSources: list(anything()),
  proxyListenPort: integer({ min: 1, max: 65535 }),
  proxyInboundListenPort: integer({ min: 1, max: 65535 }),
  proxyHttpPort: integer({ min: 0, max: 65535 }),
  h2UpgradePolicy: oneOfValues('DO_NOT_UPGRADE', 'UPGRADE'),
  inboundClusterStatName: string(),
  outboundClusterStatName: string(),
  enablePrometheusMerge: boolean(),
  verifyCertificateAtClient: boolean(),
  dnsRefreshRate: duration(),
  hboneIdleTimeout: duration(),
  enableEnvoyAccessLogService: boolean(),
  disableEnvoyListenerLog: boolean(),
})

export type MeshConfig = Infer<typeof meshConfig>
