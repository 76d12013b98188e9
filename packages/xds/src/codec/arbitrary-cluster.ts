/** Random clusters and endpoints, for property tests. */
import type {
  Cluster,
  Endpoints,
  HealthCheck,
  HealthProbe,
  OutlierDetection,
  RetryBudget,
  UpstreamHttp,
} from '@weft/model'
import fc from 'fast-check'
import { upstreamTls } from './arbitrary-tls.ts'
import {
  type Arb,
  address,
  ms,
  origins,
  percent,
  port,
  positiveMs,
  record,
  stringMatch,
  tlvChoice,
  tlvType,
  word,
} from './arbitrary-values.ts'

const endpoint = record(
  {
    address,
    weight: fc.integer({ min: 1, max: 100 }),
    health: fc.constantFrom('healthy' as const, 'unhealthy' as const, 'draining' as const),
    workload: fc.record({ name: word, namespace: word, app: word, version: word, cluster: word }),
    tlsMode: fc.constant('istio' as const),
    path: fc.constant('broker' as const),
  },
  ['workload', 'tlsMode', 'path'],
)

/** Localities are unique and priorities have no gaps. */
export const endpoints: Arb<Endpoints> = fc
  .record({
    name: word,
    localities: fc.uniqueArray(
      fc.record({
        locality: fc.record({ region: word, zone: word, subZone: fc.oneof(word, fc.constant('')) }),
        weight: fc.integer({ min: 1, max: 100 }),
        endpoints: fc.uniqueArray(endpoint, {
          maxLength: 3,
          selector: ({ address: { host, port } }) => `${host} ${port}`,
        }),
      }),
      { maxLength: 3, selector: ({ locality }) => locality.region },
    ),
  })
  .map(({ name, localities }) => ({
    name,
    localities: localities.map((group, priority) => ({ ...group, priority })),
  }))

/** For DNS clusters: a host name, and one endpoint only where Envoy insists on it. */
const dnsEndpoints = fc.record({ name: word, host: word, port }).map(({ name, host, port }) => ({
  name,
  localities: [
    {
      locality: { region: '', zone: '', subZone: '' },
      priority: 0,
      weight: 1,
      endpoints: [
        { address: { host: `${host}.test`, port }, weight: 1, health: 'healthy' as const },
      ],
    },
  ],
}))

const share = fc.integer({ min: 0, max: 100 })
const count = fc.integer({ min: 1, max: 500 })
const outlierDetection = record<OutlierDetection>(
  {
    consecutive5xx: fc.integer({ min: 0, max: 10 }),
    consecutiveGatewayErrors: fc.integer({ min: 0, max: 10 }),
    consecutiveLocalOriginFailures: fc.integer({ min: 0, max: 10 }),
    splitLocalOriginErrors: fc.boolean(),
    intervalMs: positiveMs,
    baseEjectionMs: fc.integer({ min: 1, max: 300_000 }),
    maxEjectionPercent: share,
    minHealthPercent: share,
    // Envoy refuses less than the base time.
    maxEjectionMs: fc.integer({ min: 300_000, max: 3_600_000 }),
    maxEjectionJitterMs: ms,
    errorCodes: fc.array(fc.integer({ min: 100, max: 599 }), { minLength: 1, maxLength: 3 }),
    successRate: fc.record({ minHosts: count, minRequests: count, stdevFactor: count }),
    failurePercentage: fc.record({ percent: share, minHosts: count, minRequests: count }),
  },
  ['maxEjectionMs', 'maxEjectionJitterMs', 'errorCodes', 'successRate', 'failurePercentage'],
)

const bytes = fc.uint8Array({ minLength: 1, maxLength: 8 })
const probe: Arb<HealthProbe> = fc.oneof(
  record<Extract<HealthProbe, { readonly kind: 'http' }>>(
    {
      kind: fc.constant('http'),
      path: fc.constantFrom('/', '/healthz?full'),
      host: word,
      method: fc.constantFrom('GET', 'HEAD', 'OPTIONS', 'POST'),
      protocol: fc.constantFrom('http1', 'http2'),
      expectedStatuses: fc.array(
        fc.integer({ min: 100, max: 598 }).map((from) => ({ from, to: from + 1 })),
        { minLength: 1, maxLength: 2 },
      ),
      serviceName: stringMatch,
    },
    ['host', 'serviceName'],
  ),
  record<Extract<HealthProbe, { readonly kind: 'grpc' }>>(
    { kind: fc.constant('grpc'), service: fc.oneof(word, fc.constant('')), authority: word },
    ['authority'],
  ),
  record<Extract<HealthProbe, { readonly kind: 'tcp' }>>(
    { kind: fc.constant('tcp'), send: bytes, receive: fc.array(bytes, { maxLength: 2 }) },
    ['send'],
  ),
)
const healthCheck = record<HealthCheck>(
  {
    intervalMs: positiveMs,
    jitterMs: ms,
    timeoutMs: positiveMs,
    unhealthyThreshold: fc.integer({ min: 1, max: 10 }),
    healthyThreshold: fc.integer({ min: 1, max: 10 }),
    // Never equal to the interval, which would be the same as leaving it out.
    idleIntervalMs: fc.integer({ min: 3_600_001, max: 7_200_000 }),
    port,
    probe,
  },
  ['idleIntervalMs', 'port'],
)

const limit = fc.oneof(fc.constant(4_294_967_295), fc.integer({ min: 1, max: 10_000 }))
const addedTlvs = fc.array(
  fc.record({ type: tlvType, value: fc.uint8Array({ minLength: 1, maxLength: 9 }) }),
  { minLength: 1, maxLength: 2 },
)

const anyCluster: Arb<Cluster> = record<Cluster>(
  {
    name: word,
    discovery: fc.oneof(
      fc.record({ kind: fc.constant('eds' as const), name: word }),
      fc.record({ kind: fc.constant('static' as const), endpoints }),
      fc.record({ kind: fc.constant('strictDns' as const), endpoints: dnsEndpoints }),
      fc.record({ kind: fc.constant('logicalDns' as const), endpoints: dnsEndpoints }),
      fc.constant({ kind: 'originalDst' as const }),
      fc.constant({ kind: 'forwardProxy' as const }),
    ),
    loadBalancer: fc.oneof(
      fc.constantFrom({ kind: 'roundRobin' as const }, { kind: 'random' as const }),
      fc.record({
        kind: fc.constant('leastRequest' as const),
        choices: fc.integer({ min: 2, max: 9 }),
      }),
      fc.record({
        kind: fc.constant('ringHash' as const),
        minRingSize: fc.integer({ min: 1, max: 8_192 }),
      }),
      fc.record({ kind: fc.constant('maglev' as const), tableSize: fc.constantFrom(251, 65_537) }),
      fc.record({ kind: fc.constant('peakEwma' as const), decayMs: positiveMs }),
    ),
    localities: fc.oneof(
      fc.constant({ kind: 'weighted' as const }),
      fc.record({
        kind: fc.constant('zoneAware' as const),
        routedPercent: percent,
        minEndpoints: fc.integer({ min: 0, max: 100 }),
      }),
    ),
    slowStart: fc.record({
      windowMs: positiveMs,
      aggression: fc.constantFrom(0.5, 1, 1.5, 3),
      minPercent: percent,
    }),
    panicPercent: percent,
    healthChecks: fc.array(healthCheck, { minLength: 1, maxLength: 2 }),
    connectTimeoutMs: positiveMs,
    limits: fc.record({
      maxConnections: limit,
      maxPendingRequests: limit,
      maxRequests: limit,
      maxRetries: limit,
    }),
    http: record<UpstreamHttp>(
      {
        protocol: fc.constantFrom('http1', 'http2', 'downstream', 'alpn'),
        idleTimeoutMs: ms,
        maxRequestsPerConnection: fc.integer({ min: 0, max: 100 }),
        maxConcurrentStreams: fc.integer({ min: 0, max: 100 }),
        maxConnectionDurationMs: positiveMs,
        keepAlive: fc.record({ intervalMs: positiveMs, timeoutMs: positiveMs }),
        headerCase: fc.constantFrom('lower', 'proper'),
      },
      ['maxConnectionDurationMs', 'keepAlive', 'headerCase'],
    ),
    tcpKeepalive: fc.record({
      probes: fc.integer({ min: 1, max: 9 }),
      timeMs: positiveMs,
      intervalMs: positiveMs,
    }),
    outlierDetection,
    retryBudget: record<RetryBudget>(
      {
        percent,
        minRetryConcurrency: fc.integer({ min: 0, max: 10 }),
        intervalMs: positiveMs,
      },
      ['intervalMs'],
    ),
    tls: upstreamTls,
    autoTls: fc.constant(true),
    proxyProtocol: fc.constantFrom('v1', 'v2'),
    proxyTlvs: fc.oneof(
      fc.record({ passes: tlvChoice }),
      fc.record({ adds: addedTlvs }),
      fc.record({ passes: tlvChoice, adds: addedTlvs }),
    ),
    tunnel: fc.record({
      method: fc.constantFrom('CONNECT' as const, 'POST' as const),
      target: word,
    }),
    service: fc.record({ host: word, name: word, namespace: word }),
    origins,
  },
  [
    ...(['localities', 'slowStart', 'panicPercent', 'healthChecks', 'tcpKeepalive'] as const),
    ...([
      'outlierDetection',
      'retryBudget',
      'tls',
      'autoTls',
      'proxyProtocol',
      'proxyTlvs',
      'tunnel',
      'service',
    ] as const),
  ],
)

/**
 * An Envoy speaks gRPC only to endpoints that speak HTTP/2, health checks included, and lets a
 * handshake decide only where there always is one.
 */
export const cluster: Arb<Cluster> = anyCluster.map(({ autoTls, proxyTlvs, ...all }) => {
  const tells = all.proxyProtocol !== undefined && proxyTlvs !== undefined
  const isAuto = autoTls === true && all.tls !== undefined && all.http.protocol !== 'alpn'
  const isUnagreed = all.http.protocol === 'alpn' && all.tls === undefined
  const http = isUnagreed ? ({ ...all.http, protocol: 'http1' } as const) : all.http
  const made: Cluster = {
    ...all,
    http,
    ...(isAuto ? { autoTls } : {}),
    ...(tells ? { proxyTlvs } : {}),
  }
  const { healthChecks, ...rest } = made
  if (healthChecks === undefined || made.http.protocol === 'http2') return made
  const left = healthChecks.filter(({ probe }) => probe.kind !== 'grpc')
  return left.length === 0 ? rest : { ...rest, healthChecks: left }
})
