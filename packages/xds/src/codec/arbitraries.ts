/**
 * Random resources for property tests: every field and every variant of the model, within what
 * the model's comments allow and Envoy accepts.
 */
import type {
  Cluster,
  Endpoints,
  FilterChain,
  HeaderChanges,
  HeaderMatch,
  HttpConnectionManager,
  Listener,
  PathMatch,
  Resources,
  ResourceType,
  RouteAction,
  RouteTable,
  Secret,
  StringMatch,
  TcpProxy,
} from '@weft/model'
import { RETRY_CONDITIONS } from '@weft/model'
import fc from 'fast-check'

type Arb<T> = fc.Arbitrary<T>

const word = fc.stringMatching(/^[a-z][a-z0-9-]{0,8}$/)
const text = fc.oneof(word, fc.string({ minLength: 1, maxLength: 12, unit: 'grapheme-ascii' }))
const regex = fc.constantFrom('.*', '[a-z]+', '/v[0-9]+/.*', '(a|b)c?', '\\d{1,3}')
const ms = fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 3_600_000 }))
const positiveMs = fc.integer({ min: 1, max: 3_600_000 })
const percent = fc.oneof(
  fc.integer({ min: 0, max: 100 }),
  fc.integer({ min: 0, max: 1_000_000 }).map((n) => n / 10_000),
)
const port = fc.integer({ min: 1, max: 65_535 })
const ip = fc.oneof(fc.ipV4(), fc.constantFrom('::1', 'fd00::1', '2001:db8::7'))
const address = fc.record({ host: ip, port })

/** Leaves optional fields out instead of setting them to `undefined`, as the model's types demand. */
function record<T, K extends keyof T = keyof T>(
  fields: { [P in keyof T]-?: Arb<Exclude<T[P], undefined>> },
  optional: readonly K[] = [],
): Arb<T> {
  const requiredKeys = (Object.keys(fields) as (keyof T)[]).filter(
    (key) => !(optional as readonly (keyof T)[]).includes(key),
  )
  return fc.record(fields, { requiredKeys, noNullPrototype: true }) as unknown as Arb<T>
}

const origins = fc.array(
  record(
    {
      kind: fc.constantFrom('VirtualService', 'Service'),
      namespace: word,
      name: word,
      path: word,
      file: text,
      line: fc.integer({ min: 1, max: 9_999 }),
    },
    ['path', 'file', 'line'],
  ),
  { maxLength: 2 },
)

const stringMatch: Arb<StringMatch> = fc.oneof(
  ...(['exact', 'prefix', 'suffix', 'contains'] as const).map((kind) =>
    fc.record({ kind: fc.constant(kind), value: text, ignoreCase: fc.boolean() }),
  ),
  fc.record({ kind: fc.constant('regex' as const), value: regex }),
)
const presentOr = fc.oneof(stringMatch, fc.constant({ kind: 'present' as const }))

const headerMatch: Arb<HeaderMatch> = fc.record({
  name: fc.oneof(word, fc.constantFrom(':method', ':authority', ':scheme')),
  value: presentOr,
  invert: fc.boolean(),
})

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

const retry = fc
  .record({
    on: fc.subarray([...RETRY_CONDITIONS]),
    statusCodes: fc.array(fc.integer({ min: 400, max: 599 }), { maxLength: 2 }),
    attempts: fc.integer({ min: 0, max: 5 }),
    perTryTimeoutMs: ms,
    backoffBaseMs: fc.integer({ min: 1, max: 1_000 }),
    backoffMaxMs: fc.integer({ min: 1_000, max: 60_000 }),
    avoidPreviousHosts: fc.boolean(),
    onlyWhen: fc.array(headerMatch, { maxLength: 2 }),
  })
  .map((policy) => policy)

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
      retry,
      hostRewrite,
      pathRewrite,
      mirrors: fc.array(fc.record({ cluster: word, percent }), { maxLength: 2 }),
      hashPolicies: fc.array(hashPolicy, { maxLength: 2 }),
    },
    ['idleTimeoutMs', 'retry', 'hostRewrite', 'pathRewrite'],
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
    match: fc.record({
      path,
      headers: fc.array(headerMatch, { maxLength: 2 }),
      query: fc.array(fc.record({ name: word, value: presentOr }), { maxLength: 2 }),
    }),
    action,
    requestHeaders: headerChanges,
    responseHeaders: headerChanges,
    fault,
    cors,
    origins,
  },
  ['fault', 'cors'],
)

const routeTable: Arb<RouteTable> = record(
  {
    name: word,
    virtualHosts: fc.uniqueArray(
      fc.record({
        name: word,
        domains: fc.uniqueArray(word, { minLength: 1, maxLength: 2 }),
        routes: fc.array(route, { maxLength: 3 }),
        requireTls: fc.constantFrom('none' as const, 'all' as const),
        requestHeaders: headerChanges,
        responseHeaders: headerChanges,
        origins,
      }),
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

const endpoint = record(
  {
    address,
    weight: fc.integer({ min: 1, max: 100 }),
    health: fc.constantFrom('healthy' as const, 'unhealthy' as const, 'draining' as const),
    workload: fc.record({ name: word, namespace: word, app: word, version: word, cluster: word }),
  },
  ['workload'],
)

/** Localities are unique and priorities have no gaps. */
const endpoints: Arb<Endpoints> = fc
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

const upstreamTls = record(
  {
    certificate: word,
    validation: word,
    sni: word,
    subjectAltNames: fc.uniqueArray(
      fc.oneof(word, fc.constantFrom('spiffe://d/ns/a/sa/b', '10.0.0.1')),
      { maxLength: 2 },
    ),
    alpn: fc.subarray(['h2', 'http/1.1']),
  },
  ['certificate', 'validation', 'sni'],
)

const limit = fc.oneof(fc.constant(4_294_967_295), fc.integer({ min: 1, max: 10_000 }))
const cluster: Arb<Cluster> = record<Cluster>(
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
    ),
    connectTimeoutMs: positiveMs,
    limits: fc.record({
      maxConnections: limit,
      maxPendingRequests: limit,
      maxRequests: limit,
      maxRetries: limit,
    }),
    http: fc.record({
      protocol: fc.constantFrom('http1' as const, 'http2' as const, 'downstream' as const),
      idleTimeoutMs: ms,
      maxRequestsPerConnection: fc.integer({ min: 0, max: 100 }),
      maxConcurrentStreams: fc.integer({ min: 0, max: 100 }),
    }),
    tcpKeepalive: fc.record({
      probes: fc.integer({ min: 1, max: 9 }),
      timeMs: positiveMs,
      intervalMs: positiveMs,
    }),
    outlierDetection: fc.record({
      consecutive5xx: fc.integer({ min: 0, max: 10 }),
      consecutiveGatewayErrors: fc.integer({ min: 0, max: 10 }),
      consecutiveLocalOriginFailures: fc.integer({ min: 0, max: 10 }),
      splitLocalOriginErrors: fc.boolean(),
      intervalMs: positiveMs,
      baseEjectionMs: fc.integer({ min: 1, max: 300_000 }),
      maxEjectionPercent: fc.integer({ min: 0, max: 100 }),
      minHealthPercent: fc.integer({ min: 0, max: 100 }),
    }),
    retryBudget: fc.record({
      percent: fc.integer({ min: 0, max: 100 }),
      minRetryConcurrency: fc.integer({ min: 0, max: 10 }),
    }),
    tls: upstreamTls,
    service: fc.record({ host: word, name: word, namespace: word }),
    origins,
  },
  ['tcpKeepalive', 'outlierDetection', 'retryBudget', 'tls', 'service'],
)

const accessLogs = fc.array(
  fc.record({ path: fc.constantFrom('/dev/stdout', '/dev/stderr', '/dev/null') }),
  {
    maxLength: 1,
  },
)

const httpConnectionManager: Arb<HttpConnectionManager> = fc.record({
  kind: fc.constant('http' as const),
  statPrefix: word,
  routes: fc.oneof(
    fc.record({ kind: fc.constant('rds' as const), name: word }),
    fc.record({ kind: fc.constant('inline' as const), table: routeTable }),
  ),
  filters: fc.subarray([{ kind: 'cors' as const }, { kind: 'fault' as const }]),
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

const tcpProxy: Arb<TcpProxy> = fc.record({
  kind: fc.constant('tcp' as const),
  statPrefix: word,
  targets: fc
    .array(fc.record({ cluster: word, weight: fc.integer({ min: 1, max: 100 }) }), {
      minLength: 1,
      maxLength: 3,
    })
    .map(([first = { cluster: 'c', weight: 1 }, ...rest]) => [first, ...rest] as const),
  idleTimeoutMs: ms,
  accessLogs,
})

const cidr = fc.constantFrom('10.0.0.0/8', '192.168.1.7/32', '0.0.0.0/0', 'fd00::/8')
const version = fc.constantFrom('1.2' as const, '1.3' as const)
const downstreamTls = record(
  {
    certificates: fc.uniqueArray(word, { minLength: 1, maxLength: 2 }),
    validation: word,
    requireClientCertificate: fc.boolean(),
    alpn: fc.subarray(['h2', 'http/1.1']),
    minVersion: version,
    maxVersion: version,
  },
  ['validation', 'minVersion', 'maxVersion'],
)

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
    filter: fc.oneof(httpConnectionManager, tcpProxy),
  },
  ['tls'],
)

const listener: Arb<Listener> = record<Listener>(
  {
    name: word,
    address,
    direction: fc.constantFrom('inbound' as const, 'outbound' as const, 'unspecified' as const),
    bindToPort: fc.boolean(),
    useOriginalDst: fc.boolean(),
    filterChains: fc.uniqueArray(filterChain, {
      minLength: 1,
      maxLength: 2,
      // Envoy refuses two chains that take the same connections; different ports are enough here.
      selector: ({ match }) => match.destinationPort ?? 0,
    }),
    defaultFilterChain: filterChain,
    origins,
  },
  ['defaultFilterChain'],
)

const pem = fc.constant('-----BEGIN X-----\nAA==\n-----END X-----\n')
const secret: Arb<Secret> = fc.oneof(
  fc.record({ kind: fc.constant('certificate' as const), name: word, chainPem: pem, keyPem: pem }),
  fc.record({ kind: fc.constant('validation' as const), name: word, caPem: pem }),
)

/** Cloned, because fast-check's records have no prototype now and then, and the decoders' have. */
export const arbitraryResource: { [T in ResourceType]: Arb<Resources[T]> } = {
  listener: listener.map((value) => structuredClone(value)),
  route: routeTable.map((value) => structuredClone(value)),
  cluster: cluster.map((value) => structuredClone(value)),
  endpoints: endpoints.map((value) => structuredClone(value)),
  secret: secret.map((value) => structuredClone(value)),
}
