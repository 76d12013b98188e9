import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseDocuments } from '@weft/config'
import type { HttpConnectionManager, ResourceSet, Route } from '@weft/model'
import { loadCodec } from '@weft/xds'
import { buildSnapshot } from '../snapshot/build.ts'
import { tokenBucket } from './features/rate-limit.ts'
import { DEFAULT_PROXY, type ProxyView } from './proxy-view.ts'
import { translate } from './translate.ts'

const MESH = `
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  selector: {istio: ingress}
  servers:
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop}
spec:
  hosts: [shop.example]
  gateways: [gw]
  http:
  - {name: checkout, match: [{uri: {prefix: /checkout}}], route: [{destination: {host: web}}]}
  - {name: rest, route: [{destination: {host: web}}]}
`

const INGRESS: Partial<ProxyView> = { role: 'gateway', labels: { istio: 'ingress' } }
const OFFER = {
  service: 'web',
  port: 80,
  protocol: 'http',
  address: '127.0.0.1',
  listenPort: 2000,
  appAddress: '127.0.0.1',
  appPort: 8080,
}
const SIDECAR: Partial<ProxyView> = {
  labels: { app: 'web' },
  capture: { kind: 'explicit', outbound: { host: '127.0.0.1', port: 15001 } },
  offers: [OFFER],
}

function resources(policies: string, view: Partial<ProxyView>): ResourceSet {
  const { documents, problems } = parseDocuments(`${MESH}---\n${policies}`, { file: 'in.yaml' })
  assert.deepEqual(
    problems.filter(({ severity }) => severity === 'error'),
    [],
  )
  return translate(buildSnapshot({ documents }), { ...DEFAULT_PROXY, ...view })
}

function managerOf(set: ResourceSet, listener: string): HttpConnectionManager {
  const filter = set.listener.get(listener)?.filterChains[0]?.filter
  assert.equal(filter?.kind, 'http')
  return filter as HttpConnectionManager
}

function routesOf(set: ResourceSet, table: string, host: string): readonly Route[] {
  const found = set.route.get(table)?.virtualHosts.find(({ domains }) => domains.includes(host))
  return found?.routes ?? []
}

const policy = (kind: string, name: string, spec: string) =>
  `apiVersion: weft.io/v1\nkind: ${kind}\nmetadata: {name: ${name}}\nspec: ${spec}\n`

test('a limit for a rule of a route is on that route, and its filter on the listener', () => {
  const set = resources(
    policy(
      'RateLimit',
      'five',
      '{targetRefs: [{kind: VirtualService, name: shop, sectionName: checkout}], limits: [{requests: 5, per: 1m}], status: 503}',
    ),
    INGRESS,
  )
  const [checkout, rest] = routesOf(set, 'http.80', 'shop.example')
  assert.deepEqual(checkout?.filters?.localRateLimit?.bucket, {
    maxTokens: 5,
    tokensPerFill: 5,
    fillIntervalMs: 60_000,
  })
  assert.equal(checkout?.filters?.localRateLimit?.status, 503)
  assert.equal(rest?.filters, undefined)
  assert.deepEqual(
    managerOf(set, '0.0.0.0_80').filters.map(({ kind }) => kind),
    ['cors', 'localRateLimit', 'fault'],
  )
})

test('a limit for a Service holds where it is served, and at the gateway', () => {
  const text = policy(
    'RateLimit',
    'five',
    '{targetRefs: [{kind: Service, name: web}], limits: [{requests: 5, per: 1s}]}',
  )
  const sidecar = resources(text, SIDECAR)
  const [filter] = managerOf(sidecar, 'weft:inbound|80').filters
  assert.equal(filter?.kind === 'localRateLimit' && filter.limit?.bucket.maxTokens, 5)
  const outbound = managerOf(sidecar, 'weft:outbound').filters
  assert.ok(!outbound.some(({ kind }) => kind === 'localRateLimit'))
  const [checkout] = routesOf(resources(text, INGRESS), 'http.80', 'shop.example')
  assert.equal(checkout?.filters?.localRateLimit?.bucket.maxTokens, 5)
})

test('a global limit is asked of the control plane, with descriptors on the route', () => {
  const set = resources(
    `
apiVersion: weft.io/v1
kind: RateLimit
metadata: {name: all}
spec:
  targetRefs: [{kind: VirtualService, name: shop, sectionName: checkout}]
  mode: Global
  failureMode: Closed
  limits:
  - {requests: 5, per: 1s, by: [{type: Header, name: X-User}]}
  - {requests: 9, per: 1m}
`,
    INGRESS,
  )
  assert.deepEqual(
    managerOf(set, '0.0.0.0_80').filters.filter(({ kind }) => kind === 'rateLimit'),
    [
      {
        kind: 'rateLimit',
        service: {
          domain: 'weft.io/default/all',
          cluster: 'weft-control',
          timeoutMs: 500,
          failureModeDeny: true,
          stage: 0,
          headers: false,
          status: 429,
        },
      },
    ],
  )
  const asked = routesOf(set, 'http.80', 'shop.example').map(({ filters }) => filters?.rateLimits)
  assert.deepEqual(asked, [
    [
      {
        stage: 0,
        actions: [
          { kind: 'genericKey', key: 'limit', value: 'default/all/0' },
          { kind: 'header', header: 'x-user', key: 'x-user', skipIfAbsent: false },
        ],
      },
      { stage: 0, actions: [{ kind: 'genericKey', key: 'limit', value: 'default/all/rest' }] },
    ],
    undefined,
  ])
})

test('a global limit of a Service is asked where it is served', () => {
  const set = resources(
    `
apiVersion: weft.io/v1
kind: RateLimit
metadata: {name: all}
spec:
  targetRefs: [{kind: Service, name: web}]
  mode: Global
  limits: [{requests: 9, per: 1m}]
`,
    SIDECAR,
  )
  const found = managerOf(set, 'weft:inbound|80').filters.flatMap((filter) =>
    filter.kind === 'rateLimit' ? [filter.service.actions] : [],
  )
  const actions = [{ kind: 'genericKey', key: 'limit', value: 'default/all/rest' }]
  assert.deepEqual(found, [[{ stage: 0, actions }]])
})

test('a gateway translates gRPC-Web when a policy says so', () => {
  const spec = '{targetRefs: [{kind: Gateway, name: gw}], grpcWeb: true}'
  const set = resources(policy('TrafficPolicy', 'browsers', spec), INGRESS)
  assert.deepEqual(
    managerOf(set, '0.0.0.0_80').filters.map(({ kind }) => kind),
    ['cors', 'grpcWeb', 'fault'],
  )
})

test('a rule wins over its object, and the object over the Service', () => {
  const limit = (name: string, target: string, requests: number) =>
    policy(
      'RateLimit',
      name,
      `{targetRefs: [${target}], limits: [{requests: ${requests}, per: 1s}]}`,
    )
  const set = resources(
    [
      limit('a', '{kind: Service, name: web}', 1),
      limit('b', '{kind: VirtualService, name: shop}', 2),
      limit('c', '{kind: VirtualService, name: shop, sectionName: checkout}', 3),
    ].join('---\n'),
    INGRESS,
  )
  const tokens = routesOf(set, 'http.80', 'shop.example').map(
    ({ filters }) => filters?.localRateLimit?.bucket.maxTokens,
  )
  assert.deepEqual(tokens, [3, 2])
})

test('limits by a property, and for some requests, are descriptors in their order', () => {
  const set = resources(
    policy(
      'RateLimit',
      'many',
      '{targetRefs: [{kind: Gateway, name: gw}], limits: [{requests: 1, per: 1s, by: [{type: Header, name: X-User}, {type: SourceIp}]}, {requests: 2, per: 1s, match: {path: {exact: /a.b}, methods: [GET, PUT]}}, {requests: 9, per: 1h}]}',
    ),
    INGRESS,
  )
  const filter = managerOf(set, '0.0.0.0_80').filters.find(({ kind }) => kind === 'localRateLimit')
  const limit = filter?.kind === 'localRateLimit' ? filter.limit : undefined
  assert.equal(limit?.bucket.maxTokens, 9)
  assert.deepEqual(
    limit?.descriptors.map(({ entries }) => entries.map(({ key, value }) => `${key}=${value}`)),
    [['limit=default/many/0', 'x-user=', 'remote_address='], ['limit=default/many/1']],
  )
  const [, second] = limit?.actions ?? []
  assert.deepEqual(second?.actions, [
    {
      kind: 'headerValueMatch',
      key: 'limit',
      value: 'default/many/1',
      expectMatch: true,
      headers: [
        { name: ':path', value: { kind: 'regex', value: '/a\\.b(\\?.*)?' }, invert: false },
        { name: ':method', value: { kind: 'regex', value: 'GET|PUT' }, invert: false },
      ],
    },
  ])
})

test('requests without a header that need not be there are counted together', () => {
  const set = resources(
    policy(
      'RateLimit',
      'some',
      '{targetRefs: [{kind: Gateway, name: gw}], limits: [{requests: 1, per: 1s, by: [{type: Header, name: a, countAbsent: true}, {type: Path}]}]}',
    ),
    INGRESS,
  )
  const filter = managerOf(set, '0.0.0.0_80').filters.find(({ kind }) => kind === 'localRateLimit')
  const limit = filter?.kind === 'localRateLimit' ? filter.limit : undefined
  assert.deepEqual(
    limit?.descriptors.map(({ entries }) => entries.map(({ key }) => key)),
    [
      ['limit', 'a', 'path'],
      ['limit', 'path'],
    ],
  )
})

test('what policies make is the same on the other end of the wire', async () => {
  const text = [
    policy(
      'RateLimit',
      'five',
      '{targetRefs: [{kind: VirtualService, name: shop}], limits: [{requests: 5, per: 1s, by: [{type: Header, name: x}]}, {requests: 50, per: 1m}]}',
    ),
    policy(
      'TrafficPolicy',
      'web',
      '{targetRefs: [{kind: Service, name: web}], healthChecks: [{tcp: {send: PING, receive: [PONG]}}], outlierDetection: {failurePercentage: {}}, slowStart: {window: 30s}, loadBalancer: {type: PEAK_EWMA}, hedging: {afterPercentile: 95}, buffer: {maxRequestBytes: 10}, timeouts: {streamIdle: 3s}, proxyProtocol: {passThroughTlvs: {}, addedTlvs: [{type: 224, value: edge}]}}',
    ),
    `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web, namespace: default}
spec: {host: web, trafficPolicy: {proxyProtocol: {version: V2}}}
`,
    policy(
      'TrafficPolicy',
      'gw',
      '{targetRefs: [{kind: Gateway, name: gw}], compression: {}, csrf: {}, adaptiveConcurrency: {}, maxRequestHeaderBytes: 4096, proxyProtocol: {mode: Optional, passThroughTlvs: {match: Listed, types: [234]}}, expectContinue: PassThrough}',
    ),
  ].join('---\n')
  const set = resources(text, INGRESS)
  const codec = await loadCodec()
  const same = (type: 'cluster' | 'listener' | 'route', name: string) => {
    const resource = set[type].get(name)
    assert.ok(resource !== undefined)
    const decoded = codec.decode(type, codec.encode(type, resource as never))
    assert.ok(decoded.ok, JSON.stringify(decoded))
    assert.deepEqual(decoded.resource, resource)
  }
  same('cluster', 'outbound|80||web.default.svc.cluster.local')
  same('listener', '0.0.0.0_80')
  const listener = set.listener.get('0.0.0.0_80')
  assert.equal(listener?.proxyProtocol, 'optional')
  assert.deepEqual(listener?.proxyHeader, { keeps: [234] })
  assert.deepEqual(set.cluster.get('outbound|80||web.default.svc.cluster.local')?.proxyTlvs, {
    passes: 'all',
    adds: [{ type: 224, value: new TextEncoder().encode('edge') }],
  })
  const filter = listener?.filterChains[0]?.filter
  assert.equal(filter?.kind === 'http' && filter.proxy100Continue, true)
  same('route', 'http.80')
})

test('a bucket keeps its rate whatever its burst', () => {
  const bucket = (requests: number, per: '1d' | '1h' | '1m' | '1s', burst?: number) =>
    tokenBucket({ requests, per, ...(burst === undefined ? {} : { burst }) })
  assert.deepEqual(bucket(10, '1s'), { maxTokens: 10, tokensPerFill: 10, fillIntervalMs: 1000 })
  assert.equal(bucket(10, '1s', 100).maxTokens, 100)
  for (const [requests, per, ms] of [
    [10, '1s', 1000],
    [1000, '1s', 1000],
    [7, '1m', 60_000],
    [3, '1d', 86_400_000],
  ] as const) {
    const { tokensPerFill, fillIntervalMs, maxTokens } = bucket(requests, per, 1)
    assert.ok(Math.abs((tokensPerFill / fillIntervalMs) * ms - requests) < requests * 0.02)
    assert.ok(fillIntervalMs >= 50)
    assert.equal(maxTokens, tokensPerFill)
  }
})

test('a TrafficPolicy for a Service changes its clusters and the routes to it', () => {
  const set = resources(
    policy(
      'TrafficPolicy',
      'web',
      '{targetRefs: [{kind: Service, name: web}], loadBalancer: {type: PEAK_EWMA, decay: 5s}, healthChecks: [{http: {path: /healthz}}], outlierDetection: {successRate: {}}, slowStart: {window: 30s}, hedging: {after: 50ms}, headerCase: Proper, timeouts: {connectionDuration: 1h, streamIdle: 30s}, sessionPersistence: {cookie: {name: sid}}}',
    ),
    SIDECAR,
  )
  const cluster = set.cluster.get('outbound|80||web.default.svc.cluster.local')
  assert.deepEqual(cluster?.loadBalancer, { kind: 'peakEwma', decayMs: 5000 })
  assert.equal(cluster?.healthChecks?.[0]?.probe.kind, 'http')
  assert.equal(cluster?.outlierDetection?.successRate?.stdevFactor, 1900)
  assert.equal(cluster?.outlierDetection?.consecutive5xx, 0)
  assert.equal(cluster?.slowStart?.windowMs, 30_000)
  assert.equal(cluster?.http.maxConnectionDurationMs, 3_600_000)
  assert.equal(cluster?.http.headerCase, 'proper')
  const [route] = routesOf(set, 'http_proxy', 'web:80').filter(
    ({ match }) => match.path.kind === 'prefix',
  )
  assert.equal(route?.action.kind, 'forward')
  if (route?.action.kind !== 'forward') return
  assert.deepEqual(route.action.hedge, { maxAttempts: 2, afterMs: 50 })
  assert.equal(route.action.idleTimeoutMs, 30_000)
  assert.deepEqual(route.filters?.session, { kind: 'cookie', name: 'sid', path: '/', ttlMs: 0 })
})

test('a selector is for what its workloads serve, and weaker than a target', () => {
  const text = [
    policy(
      'TrafficPolicy',
      'all',
      '{selector: {matchLabels: {app: web}}, serverHeader: {action: Overwrite, value: weft}, maxRequestHeaderBytes: 2048, compression: {}, adaptiveConcurrency: {}, accessLog: {format: {text: "%RESPONSE_CODE%"}}}',
    ),
    policy(
      'TrafficPolicy',
      'one',
      '{targetRefs: [{kind: Service, name: web}], serverHeader: {action: Remove}, buffer: {maxRequestBytes: 10}, csrf: {}, timeouts: {maxStreamDuration: 5s}}',
    ),
  ].join('---\n')
  const set = resources(text, SIDECAR)
  const manager = managerOf(set, 'weft:inbound|80')
  assert.deepEqual(manager.serverHeader, { kind: 'remove' })
  assert.equal(manager.maxRequestHeadBytes, 2048)
  assert.equal(manager.maxStreamDurationMs, 5000)
  assert.deepEqual(manager.accessLogs, [
    { path: '/dev/stdout', format: { kind: 'text', template: '%RESPONSE_CODE%' } },
  ])
  assert.deepEqual(
    manager.filters.map(({ kind }) => kind),
    ['csrf', 'adaptiveConcurrency', 'buffer', 'compressor'],
  )
  assert.equal(managerOf(set, 'weft:outbound').serverHeader, undefined)
  const elsewhere = resources(text, { ...SIDECAR, labels: { app: 'other' }, offers: [] })
  assert.equal(elsewhere.listener.get('weft:inbound|80'), undefined)
})

test('a policy says where lines of TCP connections go, and when', () => {
  const port = `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: db}
spec: {selector: {istio: ingress}, servers: [{port: {number: 5432, name: tcp, protocol: TCP}, hosts: ['*']}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: db}
spec: {hosts: ['*'], gateways: [db], tcp: [{route: [{destination: {host: web, port: {number: 80}}}]}]}
`
  const text = (spec: string) =>
    [
      port,
      policy('TrafficPolicy', 'log', `{targetRefs: [{kind: Gateway, name: db}], ${spec}}`),
    ].join('---\n')
  const proxyOf = (spec: string) => {
    const filter = resources(text(spec), INGRESS).listener.get('0.0.0.0_5432')?.filterChains[0]
      ?.filter
    assert.equal(filter?.kind, 'tcp')
    return filter?.kind === 'tcp' ? filter : undefined
  }
  const logged = proxyOf(
    'accessLog: {path: /dev/stderr, connections: {interval: 30s, onConnected: true}}',
  )
  assert.deepEqual(logged?.accessLogs, [{ path: '/dev/stderr' }])
  assert.deepEqual(logged?.accessLogFlush, { intervalMs: 30_000, onConnected: true })
  assert.equal(proxyOf('accessLog: {}')?.accessLogFlush, undefined)
  assert.equal(proxyOf('buffer: {maxRequestBytes: 1}')?.accessLogFlush, undefined)
})

test('a gateway compresses only the routes that somebody asked it for', () => {
  const set = resources(
    policy(
      'TrafficPolicy',
      'zip',
      '{targetRefs: [{kind: VirtualService, name: shop, sectionName: rest}], compression: {encodings: [br]}}',
    ),
    INGRESS,
  )
  const [checkout, rest] = routesOf(set, 'http.80', 'shop.example')
  assert.equal(checkout?.filters?.compressor, undefined)
  assert.deepEqual(rest?.filters?.compressor?.encodings, ['br'])
  assert.equal(rest?.filters?.compressor?.disabled, false)
  const host = set.route.get('http.80')?.virtualHosts[0]
  assert.deepEqual(host?.filters?.compressor, { disabled: true })
  assert.ok(managerOf(set, '0.0.0.0_80').filters.some(({ kind }) => kind === 'compressor'))
})
