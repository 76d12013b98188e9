/**
 * Random meshes out of a small vocabulary, so that objects meet: the same hosts, ports,
 * namespaces and labels come again and again, in every kind that shapes what proxies get.
 */
import fc from 'fast-check'
import {
  backendTls,
  backendTraffic,
  grpcRoute,
  httpRoute,
  kubernetesGateway,
  tcpRoute,
  tlsRoute,
} from './random-gateway-api.ts'
import {
  address,
  all,
  anyHost,
  duration,
  exportTo,
  type Fields,
  host,
  istio,
  type Json,
  labels,
  list,
  maybe,
  name,
  namespace,
  object,
  outside,
  pick,
  portNumber,
  some,
} from './random-words.ts'

const service = object(
  'v1',
  'Service',
  all({
    selector: maybe(labels),
    clusterIP: pick('10.0.0.1', '10.0.0.2', 'None'),
    ports: fc
      .uniqueArray(fc.tuple(portNumber, pick('http', 'tcp', 'tls', 'grpc', 'https', 'x', 'udp')), {
        minLength: 1,
        maxLength: 3,
        selector: ([port]) => port,
      })
      .map((ports) =>
        ports.map(([port, protocol]) => ({
          port,
          name: `${protocol}-${port}`,
          ...(protocol === 'udp' ? { protocol: 'UDP' } : {}),
        })),
      ),
  }),
)

const pod = all({
  apiVersion: pick('v1'),
  kind: pick('Pod'),
  metadata: all({ name, namespace, labels }),
  spec: pick<Json>({ containers: [{ name: 'app' }] }),
  status: pick<Json>(
    { podIP: '10.9.0.1', conditions: [{ type: 'Ready', status: 'True' }] },
    { podIP: '10.9.0.2', conditions: [{ type: 'Ready', status: 'True' }] },
  ),
})

const serviceEntry = istio(
  'ServiceEntry',
  all({
    hosts: list(fc.oneof(outside, host), 1, 2),
    addresses: maybe(list(address, 1)),
    ports: fc
      .tuple(portNumber, pick('HTTP', 'TCP', 'TLS', 'HTTPS', 'GRPC', 'HTTP2'))
      .map(([number, protocol]): Json => [{ number, name: `p${number}`, protocol }]),
    location: pick('MESH_EXTERNAL', 'MESH_INTERNAL'),
    resolution: pick('NONE', 'STATIC', 'DNS', 'DNS_ROUND_ROBIN', 'DYNAMIC_DNS'),
    endpoints: maybe(
      list(all({ address: pick('10.2.0.1', 'vm.example.com'), labels: maybe(labels) }), 1, 2),
    ),
    exportTo: maybe(exportTo),
    subjectAltNames: maybe(pick<Json>(['spiffe://x/y'])),
  }),
)

const stringMatch = fc.oneof(
  pick<Json>({ exact: '/x' }, { prefix: '/p' }, { regex: '/r[0-9]+' }, { prefix: '/' }),
)
const destination = all({
  host: fc.oneof(host, pick('gone')),
  subset: maybe(pick('v1', 'v2')),
  port: maybe(portNumber.map((number) => ({ number }))),
})
const routes = fc.tuple(destination, destination, pick(0, 30, 100)).map(
  ([first, second, weight]): Json =>
    weight === 100
      ? [{ destination: first }]
      : [
          { destination: first, weight },
          { destination: second, weight: 100 - weight },
        ],
)
const httpRule = fc.oneof(
  some({
    name: pick('r1', 'r2'),
    match: list(
      some({
        uri: stringMatch,
        method: pick<Json>({ exact: 'GET' }),
        headers: pick<Json>({ 'x-a': { exact: '1' } }, { cookie: { regex: '.*b.*' } }),
        queryParams: pick<Json>({ q: { exact: '1' } }),
        port: portNumber,
        ignoreUriCase: fc.boolean(),
        sourceLabels: labels,
        sourceNamespace: namespace,
        withoutHeaders: pick<Json>({ 'x-b': { prefix: 'c' } }),
      }),
      1,
    ),
    route: routes,
    timeout: duration,
    retries: some({
      attempts: pick(1, 3),
      perTryTimeout: duration,
      retryOn: pick('5xx,reset,503'),
    }),
    rewrite: pick<Json>(
      { uri: '/new' },
      { authority: 'other.example.com' },
      { uriRegexRewrite: { match: '/a/(.*)', rewrite: '/b/\\1' } },
    ),
    fault: pick<Json>(
      { delay: { fixedDelay: '1s', percentage: { value: 10 } } },
      { abort: { httpStatus: 418, percentage: { value: 0.5 } } },
    ),
    mirrors: list(all({ destination, percentage: pick<Json>({ value: 12.5 }) }), 1),
    corsPolicy: pick<Json>({
      allowOrigins: [{ exact: 'https://x.com' }, { regex: '.*' }],
      allowMethods: ['GET'],
      maxAge: '1h',
    }),
    headers: pick<Json>({ request: { set: { 'x-a': 'b' }, remove: ['x-c'] } }),
  }),
  pick<Json>(
    { redirect: { uri: '/there', redirectCode: 308 } },
    { match: [{ uri: { prefix: '/old' } }], redirect: { prefixRewrite: '/new', scheme: 'https' } },
    { directResponse: { status: 503, body: { string: 'closed' } } },
  ),
)
const gateways = pick<Json>(['mesh'], ['a'], ['one/b', 'mesh'], ['two/c'])
const virtualService = istio(
  'VirtualService',
  some({
    hosts: list(anyHost, 1),
    gateways,
    exportTo,
    http: list(httpRule, 1, 3),
    tcp: list(
      all({
        match: maybe(list(some({ port: portNumber, destinationSubnets: list(address, 1) }), 1)),
        route: routes,
      }),
      1,
    ),
    tls: list(
      all({
        match: list(all({ sniHosts: list(outside, 1), port: maybe(portNumber) }), 1),
        route: routes,
      }),
      1,
    ),
  }),
)

const policyFields: Fields = {
  loadBalancer: fc.oneof(
    pick<Json>(
      { simple: 'RANDOM' },
      { simple: 'ROUND_ROBIN', warmup: { duration: '10s', aggression: 1.5 } },
      { simple: 'PASSTHROUGH' },
      { consistentHash: { httpHeaderName: 'x-user' } },
      { consistentHash: { httpCookie: { name: 'c', ttl: '1h' }, maglev: {} } },
      { consistentHash: { useSourceIp: true, ringHash: { minimumRingSize: 64 } } },
      { simple: 'LEAST_REQUEST', localityLbSetting: { enabled: true } },
      { localityLbSetting: { distribute: [{ from: 'r/*', to: { 'r/*': 80, 'q/*': 20 } }] } },
      { zoneAwareLbSetting: { enabled: true } },
    ),
  ),
  connectionPool: some({
    tcp: some({
      maxConnections: pick(0, 10),
      connectTimeout: duration,
      idleTimeout: duration,
      tcpKeepalive: pick<Json>({ probes: 3, time: '10s' }, {}),
    }),
    http: some({
      http1MaxPendingRequests: pick(1),
      maxRequestsPerConnection: pick(0, 5),
      h2UpgradePolicy: pick('UPGRADE', 'DO_NOT_UPGRADE'),
      useClientProtocol: fc.boolean(),
      maxConcurrentStreams: pick(7),
      http2KeepAlive: pick<Json>({ interval: '10s' }),
    }),
  }),
  outlierDetection: some({
    consecutive5xxErrors: pick(0, 3),
    consecutiveGatewayErrors: pick(2),
    minHealthPercent: pick(0, 50),
    interval: duration,
  }),
  tls: pick<Json>(
    { mode: 'DISABLE' },
    { mode: 'SIMPLE' },
    { mode: 'SIMPLE', sni: 'api.example.com', subjectAltNames: ['api.example.com'] },
    { mode: 'SIMPLE', credentialName: 'cert', insecureSkipVerify: true },
  ),
}
const trafficPolicy = some({
  ...policyFields,
  portLevelSettings: list(
    fc
      .tuple(some(policyFields), portNumber)
      .map(([policy, number]): Json => ({ ...(policy as object), port: { number } })),
    1,
  ),
  retryBudget: pick<Json>({ percent: 25, minRetryConcurrency: 2, budgetInterval: '10s' }),
  proxyProtocol: pick<Json>({ version: 'V2' }),
})
const destinationRule = istio(
  'DestinationRule',
  all({
    host: fc.oneof(host, pick('*.example.com', '*.svc.cluster.local')),
    trafficPolicy: maybe(trafficPolicy),
    subsets: fc.subarray(['v1', 'v2']).chain((names) =>
      fc.tuple(
        ...names.map((version) =>
          all({
            name: pick(version),
            labels: pick<Json>({ version }),
            trafficPolicy: maybe(trafficPolicy),
          }),
        ),
      ),
    ),
    exportTo: maybe(exportTo),
  }),
)

const istioGateway = istio(
  'Gateway',
  all({
    selector: pick<Json>({ app: 'gateway' }, { app: 'a' }),
    servers: fc.uniqueArray(portNumber, { minLength: 1, maxLength: 3 }).chain((ports) =>
      fc.tuple(
        ...ports.map((number) =>
          all({
            port: pick('HTTP', 'TCP').map((protocol) => ({ number, protocol, name: `p${number}` })),
            hosts: list(
              anyHost.map((one) => (one.includes('.') ? one : '*')),
              1,
            ),
          }),
        ),
        all({
          port: pick('HTTPS', 'TLS').map((protocol) => ({ number: 8443, protocol, name: 'tls' })),
          hosts: list(outside, 1),
          tls: pick<Json>(
            { mode: 'SIMPLE', credentialName: 'cert' },
            { mode: 'PASSTHROUGH' },
            { mode: 'MUTUAL', credentialName: 'cert', minProtocolVersion: 'TLSV1_3' },
          ),
        }),
      ),
    ),
  }),
)

const sidecar = istio(
  'Sidecar',
  some({
    workloadSelector: pick<Json>({ labels: { app: 'a' } }),
    egress: fc
      .tuple(
        list(
          all({
            port: portNumber.chain((number) =>
              pick('HTTP', 'TCP', 'TLS', 'HTTP_PROXY').map((protocol) => ({
                number,
                protocol,
                name: 'e',
              })),
            ),
            hosts: pick<Json>(['./*'], ['*/*'], ['*/*.example.com']),
            captureMode: maybe(pick('NONE', 'IPTABLES')),
            bind: maybe(pick('127.1.2.3')),
          }),
          0,
          2,
        ),
        list(all({ hosts: pick<Json>(['./*'], ['~/*'], ['one/*', 'two/*'], ['*/*']) }), 0, 1),
      )
      .map(([ports, rest]): Json => [...(ports as Json[]), ...(rest as Json[])]),
    ingress: list(
      all({
        port: pick<Json>(
          { number: 9999, protocol: 'HTTP', name: 'i' },
          { number: 9998, protocol: 'TCP', name: 'j' },
        ),
        defaultEndpoint: maybe(pick('127.0.0.1:8080', '[::1]:8080')),
        captureMode: maybe(pick('NONE')),
      }),
      0,
      1,
    ),
    outboundTrafficPolicy: pick<Json>({ mode: 'REGISTRY_ONLY' }, { mode: 'ALLOW_ANY' }),
  }),
)

const rateLimit = object(
  'weft.io/v1',
  'RateLimit',
  all({
    targetRefs: name.map((one): Json => [{ kind: 'Service', name: one }]),
    limits: pick<Json>([{ requests: 10, unit: 'Second' }], [{ requests: 100, unit: 'Minute' }]),
  }),
)

const objects = fc.oneof(
  { weight: 4, arbitrary: service },
  { weight: 2, arbitrary: pod },
  { weight: 3, arbitrary: serviceEntry },
  { weight: 4, arbitrary: virtualService },
  { weight: 4, arbitrary: destinationRule },
  { weight: 2, arbitrary: istioGateway },
  { weight: 2, arbitrary: sidecar },
  { weight: 2, arbitrary: kubernetesGateway },
  { weight: 3, arbitrary: httpRoute },
  ...[grpcRoute, tlsRoute, tcpRoute, backendTraffic, backendTls, rateLimit],
)

const MESH_CONFIG: readonly Json[] = [
  { outboundTrafficPolicy: { mode: 'REGISTRY_ONLY' }, accessLogFile: '/dev/stdout' },
  { h2UpgradePolicy: 'UPGRADE', tcpKeepalive: { probes: 3 }, accessLogEncoding: 'JSON' },
  {
    defaultHttpRetryPolicy: { attempts: 3, retryOn: '5xx' },
    pathNormalization: { normalization: 'MERGE_SLASHES' },
    accessLogFile: '/dev/stdout',
    accessLogFormat: '%RESPONSE_CODE%\n',
  },
  {},
]

/** The objects of a mesh; some of them may be refused by validation. */
export const arbitraryMesh: fc.Arbitrary<readonly Json[]> = fc
  .tuple(fc.array(objects, { minLength: 3, maxLength: 18 }), pick(...MESH_CONFIG))
  .map(([found, mesh]) => [
    ...found,
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'istio', namespace: 'istio-system' },
      data: { mesh: JSON.stringify(mesh) },
    },
  ])
