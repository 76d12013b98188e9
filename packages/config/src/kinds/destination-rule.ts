/**
 * `DestinationRule` (networking.istio.io): what applies to traffic for a host
 * after routing: subsets, balancing, limits, outlier detection, TLS. Checks
 * beyond the schema are in `rules/destination-rule.ts`.
 */

import {
  atMostOne,
  boolean,
  type Infer,
  integer,
  list,
  map,
  number,
  object,
  oneOfValues,
  required,
  string,
  withRules,
} from '../schema/schema.ts'
import { duration, labels, positiveDuration, stringList } from './istio-common.ts'

const uint32 = { min: 0, max: 4294967295 }

const consistentHash = object(
  {
    httpHeaderName: string(),
    httpCookie: object({
      name: required(string()),
      path: string(),
      ttl: duration(),
      attributes: list(object({ name: required(string()), value: string() })),
    }),
    useSourceIp: boolean(),
    httpQueryParameterName: string(),
    ringHash: object({ minimumRingSize: integer({ min: 0 }) }),
    maglev: object({ tableSize: integer({ min: 0 }) }),
    minimumRingSize: integer({ min: 0 }),
  },
  {
    oneOf: [
      atMostOne('httpHeaderName', 'httpCookie', 'useSourceIp', 'httpQueryParameterName'),
      atMostOne('ringHash', 'maglev'),
    ],
  },
)

export const localityLbSetting = object({
  distribute: list(object({ from: string(), to: map(integer(uint32)) })),
  failover: list(object({ from: string(), to: string() })),
  failoverPriority: stringList,
  enabled: boolean(),
})

const loadBalancer = object(
  {
    simple: oneOfValues(
      'UNSPECIFIED',
      'LEAST_CONN',
      'RANDOM',
      'PASSTHROUGH',
      'ROUND_ROBIN',
      'LEAST_REQUEST',
    ),
    consistentHash,
    localityLbSetting,
    warmupDurationSecs: positiveDuration(),
    warmup: object({
      duration: required(positiveDuration()),
      minimumPercent: number({ min: 0, max: 100 }),
      aggression: number({ min: 0 }),
    }),
    zoneAwareLbSetting: object({
      enabled: boolean(),
      failover: list(object({ from: string(), to: string() })),
      failoverPriority: stringList,
      minClusterSize: integer({ min: 1 }),
    }),
    backendUtilization: object({
      blackoutPeriod: duration(),
      weightExpirationPeriod: duration(),
      weightUpdatePeriod: duration(),
      errorUtilizationPenalty: number(),
      metricNamesForComputingUtilization: stringList,
    }),
  },
  { oneOf: [atMostOne('simple', 'consistentHash')] },
)

const tcpSettings = object({
  maxConnections: integer(),
  connectTimeout: positiveDuration(),
  tcpKeepalive: object({
    probes: integer(uint32),
    time: positiveDuration(),
    interval: positiveDuration(),
  }),
  maxConnectionDuration: positiveDuration(),
  idleTimeout: duration(),
})

const httpSettings = object({
  http1MaxPendingRequests: integer(),
  http2MaxRequests: integer(),
  maxRequestsPerConnection: integer(),
  maxRetries: integer(),
  idleTimeout: positiveDuration(),
  h2UpgradePolicy: oneOfValues('DEFAULT', 'DO_NOT_UPGRADE', 'UPGRADE'),
  useClientProtocol: boolean(),
  maxConcurrentStreams: integer(),
  http2KeepAlive: object({ interval: positiveDuration(), timeout: positiveDuration() }),
})

export const connectionPool = object({ tcp: tcpSettings, http: httpSettings })

const outlierDetection = object({
  consecutiveErrors: integer(),
  splitExternalLocalOriginErrors: boolean(),
  consecutiveLocalOriginFailures: integer(uint32),
  consecutiveGatewayErrors: integer(uint32),
  consecutive5xxErrors: integer(uint32),
  interval: positiveDuration(),
  baseEjectionTime: positiveDuration(),
  maxEjectionPercent: integer(),
  minHealthPercent: integer(),
  outlierDetectionHttpErrorCodes: list(integer({ min: 100, max: 599 })),
})

const clientTls = object({
  mode: oneOfValues('DISABLE', 'SIMPLE', 'MUTUAL', 'ISTIO_MUTUAL'),
  clientCertificate: string(),
  privateKey: string(),
  caCertificates: string(),
  credentialName: string(),
  subjectAltNames: stringList,
  sni: string(),
  insecureSkipVerify: boolean(),
  caCrl: string(),
})

const portTrafficPolicy = object({
  port: object({ number: integer(uint32) }),
  loadBalancer,
  connectionPool,
  outlierDetection,
  tls: clientTls,
})

const trafficPolicy = object({
  loadBalancer,
  connectionPool,
  outlierDetection,
  tls: clientTls,
  portLevelSettings: list(portTrafficPolicy, { maxItems: 4096 }),
  tunnel: object({
    protocol: string(),
    targetHost: required(string()),
    targetPort: required(integer(uint32)),
  }),
  proxyProtocol: object({ version: oneOfValues('V1', 'V2') }),
  retryBudget: object({
    percent: number({ min: 0, max: 100 }),
    minRetryConcurrency: integer(uint32),
    budgetInterval: duration(),
  }),
})

const subset = object({
  name: required(string()),
  labels: labels(),
  trafficPolicy,
})

const selectorLabels = withRules(
  map(
    withRules(string({ maxLength: 63 }), {
      cel: '!self.contains("*")',
      message: 'wildcards are not allowed in a selector',
    }),
    { maxEntries: 4096 },
  ),
  {
    cel: 'self.all(key, !key.contains("*"))',
    message: 'wildcards are not allowed in the keys of a selector',
  },
  { cel: 'self.all(key, key.size() != 0)', message: 'a key must not be empty' },
)

export const destinationRule = object({
  host: required(string()),
  trafficPolicy,
  subsets: list(subset),
  exportTo: stringList,
  workloadSelector: object({ matchLabels: selectorLabels }),
})

export type DestinationRule = Infer<typeof destinationRule>
export type Subset = Infer<typeof subset>
export type TrafficPolicy = Infer<typeof trafficPolicy>
export type PortTrafficPolicy = Infer<typeof portTrafficPolicy>
export type LoadBalancerSettings = Infer<typeof loadBalancer>
export type ConnectionPoolSettings = Infer<typeof connectionPool>
export type OutlierDetectionSettings = Infer<typeof outlierDetection>
export type LocalityLbSettings = Infer<typeof localityLbSetting>
export type ClientTlsSettings = Infer<typeof clientTls>
