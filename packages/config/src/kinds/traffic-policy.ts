/**
 * `TrafficPolicy` (weft.io): what users of other meshes patch raw proxy
 * configuration for, as fields.
 */

import {
  atMostOne,
  boolean,
  defaulted,
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
import { positiveDuration, stringList } from './istio-common.ts'
import { targetFields } from './policy-target.ts'

const percentage = { min: 0, max: 100 }
const bytes = { min: 0, max: 4_294_967_295 }

const hedging = object({
  after: positiveDuration(),
  afterPercentile: number({ min: 1, max: 99.99 }),
  maxAttempts: defaulted(integer({ min: 2, max: 10 }), 2),
})

const compression = object({
  encodings: defaulted(list(oneOfValues('gzip', 'br', 'zstd'), { minItems: 1, isSet: true }), [
    'gzip',
    'br',
  ]),
  minBytes: defaulted(integer(bytes), 1024),
  contentTypes: stringList,
  disableOnEtag: defaulted(boolean(), true),
  removeAcceptEncoding: defaulted(boolean(), false),
  level: integer({ min: 0, max: 22 }),
})

const accessLog = object({
  path: defaulted(string({ minLength: 1 }), '/dev/stdout'),
  disabled: boolean(),
  format: object(
    { text: string({ minLength: 1 }), json: map(string(), { minEntries: 1 }) },
    { oneOf: [atMostOne('text', 'json')] },
  ),
  /** Lines of TCP connections besides the one at their end. */
  connections: object({ interval: positiveDuration(), onConnected: boolean() }),
})

const adaptiveConcurrency = object({
  samplePercentile: defaulted(number(percentage), 50),
  minConcurrency: defaulted(integer({ min: 1, max: 1_000_000 }), 3),
  maxConcurrency: defaulted(integer({ min: 1, max: 1_000_000 }), 1000),
  updateInterval: defaulted(positiveDuration(), '100ms'),
  minRttInterval: defaulted(positiveDuration(), '60s'),
  minRttJitterPercent: defaulted(number(percentage), 15),
  minRttRequests: defaulted(integer({ min: 1, max: 1_000_000 }), 50),
  minRttBufferPercent: defaulted(number(percentage), 25),
  status: defaulted(integer({ min: 400, max: 599 }), 503),
})

const originMatch = object(
  { exact: string(), prefix: string(), regex: string({ maxLength: 1024 }) },
  { oneOf: [atMostOne('exact', 'prefix', 'regex')] },
)

const healthCheck = object(
  {
    interval: defaulted(positiveDuration(), '5s'),
    jitter: positiveDuration(),
    timeout: defaulted(positiveDuration(), '1s'),
    unhealthyThreshold: defaulted(integer({ min: 1, max: 100 }), 3),
    healthyThreshold: defaulted(integer({ min: 1, max: 100 }), 1),
    idleInterval: positiveDuration(),
    port: integer({ min: 1, max: 65535 }),
    http: object({
      path: defaulted(string({ minLength: 1 }), '/'),
      host: string({ minLength: 1 }),
      method: defaulted(oneOfValues('GET', 'HEAD', 'OPTIONS', 'POST'), 'GET'),
      protocol: defaulted(oneOfValues('http1', 'http2'), 'http1'),
      statuses: list(
        object({
          from: required(integer({ min: 100, max: 599 })),
          to: required(integer({ min: 100, max: 599 })),
        }),
        { minItems: 1 },
      ),
    }),
    grpc: object({ service: defaulted(string(), ''), authority: string() }),
    /** Text that is sent, and texts that must come back, in this order. */
    tcp: object({ send: string(), receive: stringList }),
  },
  { oneOf: [atMostOne('http', 'grpc', 'tcp')] },
)

export const trafficPolicy = object({
  ...targetFields,
  hedging: withRules(hedging, {
    cel: 'has(self.after) || has(self.afterPercentile)',
    message: 'after or afterPercentile must say when the next attempt begins',
  }),
  buffer: object({ maxRequestBytes: required(integer({ min: 1, max: 4_294_967_295 })) }),
  compression,
  headerCase: oneOfValues('Lower', 'Proper', 'Preserve'),
  maxRequestHeaderBytes: integer({ min: 1024, max: 8 * 1024 * 1024 }),
  /** Who answers `Expect: 100-continue`. */
  expectContinue: oneOfValues('Answer', 'PassThrough'),
  accessLog,
  adaptiveConcurrency,
  /** Listeners translate gRPC-Web to gRPC. */
  grpcWeb: boolean(),
  loadBalancer: object({
    type: required(oneOfValues('PEAK_EWMA')),
    decay: defaulted(positiveDuration(), '10s'),
  }),
  csrf: object({
    enabledPercent: defaulted(number(percentage), 100),
    shadowPercent: defaulted(number(percentage), 0),
    additionalOrigins: list(originMatch, { maxItems: 64 }),
  }),
  sessionPersistence: object(
    {
      cookie: object({
        name: required(string({ minLength: 1, maxLength: 256 })),
        path: defaulted(string(), '/'),
        ttl: positiveDuration(),
      }),
      header: object({ name: required(string({ minLength: 1, maxLength: 256 })) }),
    },
    { oneOf: [atMostOne('cookie', 'header')] },
  ),
  timeouts: object({
    streamIdle: positiveDuration(),
    maxStreamDuration: positiveDuration(),
    connectionDuration: positiveDuration(),
    request: positiveDuration(),
    idle: positiveDuration(),
  }),
  /**
   * Of a Gateway: connections to its ports begin with a PROXY protocol header, v1 or v2. Of a
   * Service that is sent one (v2, by its DestinationRule): what the header says beside the client.
   */
  proxyProtocol: object({
    mode: oneOfValues('Required', 'Optional'),
    passThroughTlvs: object({
      match: defaulted(oneOfValues('All', 'Listed'), 'All'),
      types: list(integer({ min: 0, max: 255 }), { maxItems: 256, isSet: true }),
    }),
    addedTlvs: list(
      object({
        type: required(integer({ min: 0, max: 255 })),
        value: required(string({ minLength: 1, maxLength: 1024 })),
      }),
      { maxItems: 32 },
    ),
  }),
  serverHeader: object({
    action: required(oneOfValues('Overwrite', 'IfAbsent', 'Remove')),
    value: string({ minLength: 1, maxLength: 256 }),
  }),
  healthChecks: list(healthCheck, { minItems: 1, maxItems: 8 }),
  outlierDetection: object({
    successRate: object({
      minHosts: defaulted(integer({ min: 1, max: 1_000_000 }), 5),
      minRequests: defaulted(integer({ min: 1, max: 1_000_000 }), 100),
      stdevFactor: defaulted(integer({ min: 1, max: 100_000 }), 1900),
    }),
    failurePercentage: object({
      percent: defaulted(number(percentage), 85),
      minHosts: defaulted(integer({ min: 1, max: 1_000_000 }), 5),
      minRequests: defaulted(integer({ min: 1, max: 1_000_000 }), 50),
    }),
    interval: positiveDuration(),
    baseEjectionTime: positiveDuration(),
    maxEjectionPercent: number(percentage),
  }),
  slowStart: object({
    window: required(positiveDuration()),
    aggression: defaulted(number({ min: 0.1, max: 100 }), 1),
    minPercent: defaulted(number(percentage), 10),
  }),
})

export type TrafficPolicySpec = Infer<typeof trafficPolicy>
