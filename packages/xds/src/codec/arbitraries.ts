/**
 * Random resources for property tests: every field and every variant of the model, within what
 * the model's comments allow and Envoy accepts.
 */
import type {
  FilterChain,
  HeaderChanges,
  HedgePolicy,
  HttpConnectionManager,
  Listener,
  PathMatch,
  ProxyHeaderRules,
  Resources,
  ResourceType,
  RetryPolicy,
  RouteAction,
  RouteTable,
  Secret,
  TcpProxy,
} from '@weft/model'
import { RETRY_CONDITIONS } from '@weft/model'
import fc from 'fast-check'
import { accessLogs } from './arbitrary-access-log.ts'
import { cluster, endpoints } from './arbitrary-cluster.ts'
import { filterOverrides, httpFilters } from './arbitrary-filters.ts'
import { networkRbac } from './arbitrary-rbac.ts'
import { downstreamTls } from './arbitrary-tls.ts'
import {
  type Arb,
  address,
  headerMatch,
  ms,
  origins,
  percent,
  port,
  positiveMs,
  presentOr,
  record,
  regex,
  stringMatch,
  text,
  tlvChoice,
  tlvType,
  word,
} from './arbitrary-values.ts'

const header = fc.record({ name: word.map((name) => `x-${name}`), value: text })
const headerChanges: Arb<HeaderChanges> = fc.record({
  set: fc.array(header, { maxLength: 2 }),
  add: fc.array(header, { maxLength: 2 }),
  remove: fc.array(word, { maxLength: 2 }),
})

const pathText = fc.stringMatching(/^(\/[a-z0-9.]{1,5}){0,3}\/?$/).map((path) => path || '/')
const path: Arb<PathMatch> = fc.oneof(
  ...(['exact', 'prefix', 'segments'] as const).map((kind) =>
    fc.record({ kind: fc.constant(kind), value: pathText, ignoreCase: fc.boolean() }),
  ),
  fc.record({ kind: fc.constant('regex' as const), value: regex, ignoreCase: fc.boolean() }),
  fc.constant({ kind: 'connect' as const }),
)

const pathRewrite = fc.oneof(
  fc.record({ kind: fc.constantFrom('full' as const, 'prefix' as const), value: pathText }),
  fc.constant({ kind: 'prefix' as const, value: '' }),
  fc.record({
    kind: fc.constant('regex' as const),
    pattern: fc.constantFrom('^/a/(.*)$', '(x)(y)'),
    substitution: fc.constantFrom('/\\1', '\\2\\1', 'plain'),
  }),
)

const hostRewrite = fc.oneof(
  fc.record({ kind: fc.constant('literal' as const), value: word }),
  fc.constant({ kind: 'endpoint' as const }),
)

const target = record(
  {
    cluster: word,
    weight: fc.integer({ min: 1, max: 1_000 }),
    requestHeaders: headerChanges,
    responseHeaders: headerChanges,
    hostRewrite,
  },
  ['hostRewrite'],
)
const targets = fc
  .tuple(target, fc.array(target, { maxLength: 2 }))
  .map(([first, rest]) => [first, ...rest] as const)

const resetBackoff = fc.record({
  headers: fc.array(
    fc.record({
      name: word,
      format: fc.constantFrom('seconds' as const, 'unixTimestamp' as const),
    }),
    { minLength: 1, maxLength: 2 },
  ),
  maxMs: fc.integer({ min: 1, max: 600_000 }),
})
const retry = record<RetryPolicy>(
  {
    on: fc.subarray([...RETRY_CONDITIONS]),
    statusCodes: fc.array(fc.integer({ min: 400, max: 599 }), { maxLength: 2 }),
    attempts: fc.integer({ min: 0, max: 5 }),
    perTryTimeoutMs: ms,
    backoffBaseMs: fc.integer({ min: 1, max: 1_000 }),
    backoffMaxMs: fc.integer({ min: 1_000, max: 60_000 }),
    avoidPreviousHosts: fc.boolean(),
    onlyWhen: fc.array(headerMatch, { maxLength: 2 }),
    answerHeaders: fc.array(headerMatch, { minLength: 1, maxLength: 2 }),
    resetBackoff,
    otherPriorities: fc.constant(true as const),
  },
  ['answerHeaders', 'resetBackoff', 'otherPriorities'],
)

const terminal = fc.boolean()
const hashPolicy = fc.oneof(
  fc.record({ kind: fc.constant('header' as const), name: word, terminal }),
  record<{
    kind: 'cookie'
    name: string
    path: string
    ttlMs?: number
    terminal: boolean
  }>({ kind: fc.constant('cookie' as const), name: word, path: pathText, ttlMs: ms, terminal }, [
    'ttlMs',
  ]),
  fc.record({ kind: fc.constant('sourceIp' as const), terminal }),
  fc.record({ kind: fc.constant('query' as const), name: word, terminal }),
)

const action: Arb<RouteAction> = fc.oneof(
  record<Extract<RouteAction, { kind: 'forward' }>>(
    {
      kind: fc.constant('forward'),
      targets,
      timeoutMs: ms,
      idleTimeoutMs: ms,
      maxStreamDurationMs: ms,
      grpcTimeoutMaxMs: ms,
      hedge: record<HedgePolicy>(
        { afterMs: ms, afterPercentile: percent, maxAttempts: fc.integer({ min: 2, max: 5 }) },
        ['afterMs', 'afterPercentile'],
      ),
      retry,
      hostRewrite,
      pathRewrite,
      mirrors: fc.array(fc.record({ cluster: word, percent }), { maxLength: 2 }),
      hashPolicies: fc.array(hashPolicy, { maxLength: 2 }),
    },
    [
      ...(['idleTimeoutMs', 'maxStreamDurationMs', 'grpcTimeoutMaxMs', 'hedge', 'retry'] as const),
      ...(['hostRewrite', 'pathRewrite'] as const),
    ],
  ),
  record<Extract<RouteAction, { kind: 'redirect' }>>(
    {
      kind: fc.constant('redirect'),
      status: fc.constantFrom(301, 302, 303, 307, 308),
      scheme: fc.constantFrom('http', 'https'),
      host: word,
      port,
      path: pathRewrite,
      stripQuery: fc.boolean(),
    },
    ['scheme', 'host', 'port', 'path'],
  ),
  fc.record({
    kind: fc.constant('respond' as const),
    status: fc.integer({ min: 200, max: 599 }),
    body: fc.oneof(fc.string({ maxLength: 20 }), fc.constant('x'.repeat(5_000))),
  }),
)

const fault = record(
  {
    delay: fc.record({ percent, delayMs: positiveMs }),
    abort: record(
      {
        percent,
        status: fc.integer({ min: 200, max: 599 }),
        grpcStatus: fc.integer({ min: 0, max: 16 }),
      },
      ['grpcStatus'],
    ),
  },
  ['delay', 'abort'],
)

const cors = record(
  {
    allowOrigins: fc.array(stringMatch, { maxLength: 2 }),
    allowMethods: fc.subarray(['GET', 'POST', 'PUT']),
    allowHeaders: fc.uniqueArray(word, { maxLength: 2 }),
    exposeHeaders: fc.uniqueArray(word, { maxLength: 2 }),
    maxAgeMs: fc.integer({ min: 0, max: 86_400 }).map((seconds) => seconds * 1_000),
    allowCredentials: fc.boolean(),
    forwardUnmatchedPreflights: fc.boolean(),
  },
  ['maxAgeMs'],
)

const route = record(
  {
    name: word,
    match: fc.record(
      {
        path,
        headers: fc.array(headerMatch, { maxLength: 2 }),
        query: fc.array(fc.record({ name: word, value: presentOr }), { maxLength: 2 }),
        claims: fc.array(
          fc.record({
            path: fc.array(word, { minLength: 1, maxLength: 2 }),
            value: presentOr,
            invert: fc.boolean(),
          }),
          { minLength: 1, maxLength: 2 },
        ),
      },
      { requiredKeys: ['path', 'headers', 'query'] },
    ),
    action,
    requestHeaders: headerChanges,
    responseHeaders: headerChanges,
    fault,
    cors,
    filters: filterOverrides(headerMatch),
    origins,
  },
  ['fault', 'cors', 'filters'],
)

const routeTable: Arb<RouteTable> = record(
  {
    name: word,
    virtualHosts: fc.uniqueArray(
      record(
        {
          name: word,
          domains: fc.uniqueArray(word, { minLength: 1, maxLength: 2 }),
          routes: fc.array(route, { maxLength: 3 }),
          requireTls: fc.constantFrom('none' as const, 'all' as const),
          requestHeaders: headerChanges,
          responseHeaders: headerChanges,
          filters: filterOverrides(headerMatch),
          origins,
        },
        ['filters'],
      ),
      {
        maxLength: 3,
        // Domains are unique in a table: two hosts that share one are one host too many.
        comparator: (a, b) => a.name === b.name || a.domains.some((one) => b.domains.includes(one)),
      },
    ),
    ignorePort: fc.constant(true),
    origins,
  },
  ['ignorePort'],
)

const managerBasics: Arb<HttpConnectionManager> = fc.record({
  kind: fc.constant('http' as const),
  statPrefix: word,
  routes: fc.oneof(
    fc.record({ kind: fc.constant('rds' as const), name: word }),
    fc.record({ kind: fc.constant('inline' as const), table: routeTable }),
  ),
  filters: httpFilters(headerMatch),
  useRemoteAddress: fc.boolean(),
  xffTrustedHops: fc.integer({ min: 0, max: 3 }),
  normalizePath: fc.boolean(),
  mergeSlashes: fc.boolean(),
  upgrades: fc.subarray(['websocket']),
  acceptHttp10: fc.boolean(),
  generateRequestId: fc.boolean(),
  maxRequestHeadBytes: fc.integer({ min: 1_024, max: 98_304 }),
  requestHeadTimeoutMs: ms,
  idleTimeoutMs: ms,
  streamIdleTimeoutMs: ms,
  accessLogs,
})

const windowBytes = fc.integer({ min: 65_535, max: 2_147_483_647 })

const managerExtras = record(
  {
    codec: fc.constantFrom('auto' as const, 'http1' as const, 'http2' as const),
    http2: record(
      {
        maxConcurrentStreams: fc.integer({ min: 1, max: 2_147_483_647 }),
        streamWindow: windowBytes,
        connectionWindow: windowBytes,
        keepAlive: fc.record({ intervalMs: positiveMs, timeoutMs: positiveMs }),
      },
      ['maxConcurrentStreams', 'streamWindow', 'connectionWindow', 'keepAlive'],
    ),
    maxConnectionDurationMs: positiveMs,
    refuseMisdirected: fc.boolean(),
    forwardClientCert: fc.record({
      mode: fc.constantFrom('forwardOnly', 'appendForward', 'sanitizeSet', 'alwaysForwardOnly'),
      details: fc.subarray(['cert', 'subject', 'uri', 'dns'] as const),
    }),
    requestTimeoutMs: ms,
    maxStreamDurationMs: positiveMs,
    maxRequestsPerConnection: fc.integer({ min: 1, max: 1_000 }),
    maxRequestFields: fc.integer({ min: 1, max: 100 }),
    underscores: fc.constantFrom('allow' as const, 'reject' as const, 'drop' as const),
    headerCase: fc.constantFrom('lower' as const, 'proper' as const),
    serverHeader: fc.oneof(
      fc.record({ kind: fc.constantFrom('overwrite' as const, 'ifAbsent' as const), value: word }),
      fc.record({ kind: fc.constant('remove' as const) }),
    ),
    via: word,
    proxy100Continue: fc.constant(true as const),
    suppressEnvoyHeaders: fc.constant(true as const),
    accessLogFlush: fc.oneof(
      fc.record({ intervalMs: positiveMs }),
      fc.record({ onNewRequest: fc.constant(true), onTunnel: fc.constant(true) }),
    ),
    escapedSlashes: fc.constantFrom('decode' as const, 'reject' as const),
  },
  [
    ...([
      'codec',
      'http2',
      'maxConnectionDurationMs',
      'refuseMisdirected',
      'forwardClientCert',
    ] as const),
    ...(['requestTimeoutMs', 'maxStreamDurationMs', 'maxRequestsPerConnection'] as const),
    ...(['maxRequestFields', 'underscores', 'headerCase', 'serverHeader', 'via'] as const),
    ...(['proxy100Continue', 'escapedSlashes', 'accessLogFlush', 'suppressEnvoyHeaders'] as const),
  ],
)

const httpConnectionManager: Arb<HttpConnectionManager> = fc
  .tuple(managerBasics, managerExtras)
  .map(([basics, extras]) => ({ ...basics, ...extras }))

const tcpProxy: Arb<TcpProxy> = record<TcpProxy>(
  {
    kind: fc.constant('tcp' as const),
    accessLogFlush: fc.oneof(
      fc.record({ intervalMs: positiveMs }),
      fc.record({ onConnected: fc.constant(true) }),
      fc.record({ intervalMs: positiveMs, onConnected: fc.constant(true) }),
    ),
    statPrefix: word,
    targets: fc
      .array(fc.record({ cluster: word, weight: fc.integer({ min: 1, max: 100 }) }), {
        minLength: 1,
        maxLength: 3,
      })
      .map(([first = { cluster: 'c', weight: 1 }, ...rest]) => [first, ...rest] as const),
    idleTimeoutMs: ms,
    accessLogs,
    maxConnectionDurationMs: positiveMs,
    maxConnectAttempts: fc.integer({ min: 1, max: 9 }),
    hashSourceIp: fc.constant(true),
  },
  ['maxConnectionDurationMs', 'maxConnectAttempts', 'hashSourceIp', 'accessLogFlush'],
)

const cidr = fc.constantFrom('10.0.0.0/8', '192.168.1.7/32', '0.0.0.0/0', 'fd00::/8')

const filterChain: Arb<FilterChain> = record<FilterChain>(
  {
    name: word,
    match: record(
      {
        destinationPort: port,
        destinationPrefixes: fc.uniqueArray(cidr, { maxLength: 2 }),
        sourcePrefixes: fc.uniqueArray(cidr, { maxLength: 2 }),
        serverNames: fc.uniqueArray(word, { maxLength: 2 }),
        transportProtocol: fc.constantFrom('raw_buffer' as const, 'tls' as const),
        applicationProtocols: fc.subarray(['http/1.1', 'h2c', 'h2', 'weft']),
      },
      ['destinationPort', 'transportProtocol'],
    ),
    tls: downstreamTls,
    rbac: networkRbac.map((one) => [one] as const),
    filter: fc.oneof(httpConnectionManager, tcpProxy),
  },
  ['tls', 'rbac'],
)

/** No rules at all are the same as none. */
const proxyHeader = record<ProxyHeaderRules>(
  {
    keeps: tlvChoice,
    metadata: fc.array(fc.record({ type: tlvType, namespace: word, key: word }), {
      minLength: 1,
      maxLength: 2,
    }),
    refuses: fc.constantFrom('v1' as const, 'v2' as const),
  },
  ['keeps', 'metadata', 'refuses'],
).filter((rules) => Object.keys(rules).length > 0)

/** Our own proxies are given none for programs that are their own. */
const listener: Arb<Listener> = record<Omit<Listener, 'proxyless'>>(
  {
    name: word,
    address,
    direction: fc.constantFrom('inbound' as const, 'outbound' as const, 'unspecified' as const),
    bindToPort: fc.boolean(),
    useOriginalDst: fc.boolean(),
    proxyProtocol: fc.constantFrom('required' as const, 'optional' as const),
    proxyHeader,
    filterChains: fc.uniqueArray(filterChain, {
      minLength: 1,
      maxLength: 2,
      // Envoy refuses two chains that take the same connections; different ports are enough here.
      selector: ({ match }) => match.destinationPort ?? 0,
    }),
    defaultFilterChain: filterChain,
    origins,
  },
  ['defaultFilterChain', 'proxyProtocol', 'proxyHeader'],
).map(({ proxyHeader, ...all }) => ({
  ...all,
  ...(all.proxyProtocol === undefined || proxyHeader === undefined ? {} : { proxyHeader }),
}))

const pem = fc.constant('-----BEGIN X-----\nAA==\n-----END X-----\n')
const secret: Arb<Secret> = fc.oneof(
  fc.record({ kind: fc.constant('certificate' as const), name: word, chainPem: pem, keyPem: pem }),
  fc.record({ kind: fc.constant('validation' as const), name: word, caPem: pem }),
  fc
    .uniqueArray(fc.record({ trustDomain: word, caPem: pem }), { minLength: 1, maxLength: 3 })
    .map((trustDomains) => ({
      kind: 'validation' as const,
      name: 'ROOTCA',
      caPem: trustDomains[0]?.caPem ?? '',
      trustDomains,
    })),
)

/** Cloned, because fast-check's records have no prototype now and then, and the decoders' have. */
export const arbitraryResource: { [T in ResourceType]: Arb<Resources[T]> } = {
  listener: listener.map((value) => structuredClone(value)),
  route: routeTable.map((value) => structuredClone(value)),
  cluster: cluster.map((value) => structuredClone(value)),
  endpoints: endpoints.map((value) => structuredClone(value)),
  secret: secret.map((value) => structuredClone(value)),
}
