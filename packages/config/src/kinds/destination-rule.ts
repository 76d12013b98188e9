/**
 * `DestinationRule` (networking.istio.io): what applies to traffic for a host
 * after routing: subsets, balancing, limits, outlier detection, TLS. Checks
 * beyond the schema are in `destination-rule-rules.ts`.
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

const localityLbSetting = object({
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
    warmupDurationSecs: duration(),
    warmup: object({
      duration: required(duration()),
      minimumPercent: number(),
      aggression: number(),
    }),
    zoneAwareLbSetting: object({
      enabled: boolean(),
      failover: list(object({ from: string(), to: string() })),
      failoverPriority: stringList,
      minClusterSize: integer(),
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
  idleTimeout: positiveDuration(),
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
  http2KeepAlive: object({ interval: duration(), timeout: duration() }),
})

const connectionPool = object({ tcp: tcpSettings, http: httpSettings })

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
  outlierDetectionHttpErrorCodes: list(integer()),
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
  portLevelSettings: list(portTrafficPolicy),
  tunnel: object({
    protocol: string(),
    targetHost: required(string()),
    targetPort: required(integer(uint32)),
  }),
  proxyProtocol: object({ version: oneOfValues('V1', 'V2') }),
  retryBudget: object({
    percent: object({ value: number() }),
    minRetryConcurrency: integer(uint32),
    budgetInterval: duration(),
  }),
})

const subset = object({
  name: required(string()),
  labels: labels(),
  trafficPolicy,
})

export const destinationRule = object({
  host: required(string()),
  trafficPolicy,
  subsets: list(subset),
  exportTo: stringList,
  workloadSelector: object({ matchLabels: labels() }),
})

export type DestinationRule = Infer<typeof destinationRule>
export type Subset = Infer<typeof subset>
export type TrafficPolicy = Infer<typeof trafficPolicy>
export type PortTrafficPolicy = Infer<typeof portTrafficPolicy>
export type LoadBalancerSettings = Infer<typeof loadBalancer>
export type ConnectionPoolSettings = Infer<typeof connectionPool>
export type OutlierDetectionSettings = Infer<typeof outlierDetection>
export type ClientTlsSettings = Infer<typeof clientTls>
