import assert from 'node:assert/strict'
import { request } from 'node:http'
import { describe, test } from 'node:test'
import { LogScopes, silentLogger } from '@weft/base'
import { type Cluster, type Listener, NO_LIMITS, NO_LOCALITY, type RouteTable } from '@weft/model'
import { MetricsRegistry } from '@weft/telemetry'
import { FakeClock } from '@weft/testkit'
import { RESOURCE_TYPES, TYPE_URLS } from '@weft/xds'
import { type AdminCall, answerFor, openAdminServer } from './admin-server.ts'
import { adminEndpoints } from './catalog.ts'
import type { AdminAnswer, DrainRequest, ProxyView } from './endpoint.ts'

const cluster: Cluster = {
  name: 'outbound|9080||reviews.default.svc.cluster.local',
  discovery: { kind: 'eds', name: 'outbound|9080||reviews.default.svc.cluster.local' },
  loadBalancer: { kind: 'roundRobin' },
  connectTimeoutMs: 1_000,
  limits: { ...NO_LIMITS, maxRetries: 3 },
  http: {
    protocol: 'http1',
    idleTimeoutMs: 0,
    maxRequestsPerConnection: 0,
    maxConcurrentStreams: 0,
  },
  origins: [],
}
const table: RouteTable = { name: '9080', virtualHosts: [], origins: [] }
const listener: Listener = {
  name: 'weft:outbound',
  address: { host: '127.0.0.1', port: 15_001 },
  direction: 'outbound',
  bindToPort: true,
  useOriginalDst: false,
  filterChains: [],
  origins: [],
}

function fixture() {
  const clock = new FakeClock()
  const logs = new LogScopes(() => {}, clock.nowMs)
  logs.logger('build')
  logs.logger('admin')
  const registry = new MetricsRegistry()
  const byCluster = registry.table({
    labels: ['envoy_response_code_class', 'envoy_cluster_name'],
    maxSeries: 9,
    expiryMs: 0,
  })
  const responses = registry.counter('envoy_cluster_upstream_rq_xx', '', byCluster)
  responses.add(byCluster.slot(['2', 'a|b']), 7)
  responses.add(byCluster.slot(['5', 'a|b']), 0)
  const server = registry.table({ labels: [], maxSeries: 1, expiryMs: 0 })
  registry.gauge('envoy_cluster_manager_active_clusters', '', server).set(server.slot([]), 0)
  const done: (DrainRequest | 'quit')[] = []
  let isReady = true
  const versions = Object.fromEntries(RESOURCE_TYPES.map((type) => [type, new Map()])) as never
  const proxy: ProxyView = {
    options: {
      role: 'sidecar',
      workload: {
        name: 'w',
        namespace: 'default',
        serviceAccount: 'default',
        labels: {},
        locality: NO_LOCALITY,
        cluster: 'weft',
      },
      address: '127.0.0.1',
      source: { kind: 'files', path: '/etc/weft' },
      version: '0.1.0',
    },
    node: {
      id: 'sidecar~127.0.0.1~w.default~default.svc.cluster.local',
      cluster: 'w.default',
      locality: NO_LOCALITY,
      metadata: { WEFT_KIND: 'weft' },
      userAgentName: 'weft',
      features: [],
    },
    clock,
    logs,
    registry,
    codec: {
      encode: () => new Uint8Array(),
      decode: () => ({ ok: false, problems: [] }),
      renderJson: (type, resource) => ({ '@type': TYPE_URLS[type], name: resource.name }),
    },
    startedAtMs: 0,
    transport: { name: 'memory', fallbackReason: '' },
    state: () => (isReady ? 'LIVE' : 'PRE_INITIALIZING'),
    configuration: () => ({
      update: {
        set: {
          listener: new Map([[listener.name, listener]]),
          route: new Map([[table.name, table]]),
          cluster: new Map([[cluster.name, cluster]]),
          endpoints: new Map([[cluster.name, { name: cluster.name, localities: [] }]]),
          secret: new Map([
            ['s', { kind: 'certificate', name: 's', chainPem: 'C', keyPem: 'PRIVATE' } as const],
          ]),
        },
        versions: { ...(versions as object), cluster: new Map([[cluster.name, 'v7']]) } as never,
        source: 'file',
      },
      changedAtMs: new Map([[`cluster/${cluster.name}`, Date.UTC(2026, 0, 1)]]),
    }),
    rejections: () => [
      { type: 'listener', name: 'bad', version: 'v1', problem: 'no filter', atMs: 0 },
    ],
    identity: () => undefined,
    control: () => undefined,
    listeners: () => [{ name: listener.name, address: listener.address, connections: 2 }],
    clusters: () => [
      {
        cluster,
        inUse: { connections: 1, pending: 0, requests: 1, retries: 0 },
        hosts: [
          {
            address: { host: '10.0.0.1', port: 9080 },
            workload: '',
            weight: 1,
            health: 'healthy',
            ejected: true,
            activeRequests: 1,
            activeConnections: 1,
          },
        ],
      },
    ],
    drainListeners: (options) => done.push(options),
    upgrade: () => true,
    quit: () => done.push('quit'),
  }
  const call = (method: string, target: string, headers: Record<string, string> = {}) => {
    const admin: AdminCall = {
      method,
      target,
      header: (name) => ({ host: '127.0.0.1:15000', ...headers })[name],
    }
    return answerFor(admin, proxy)
  }
  return { proxy, call, done, setReady: (value: boolean) => (isReady = value), logs }
}

const bodyOf = ({ body }: AdminAnswer) => (typeof body === 'string' ? body : [...body].join(''))
const jsonOf = (answer: AdminAnswer): unknown => JSON.parse(bodyOf(answer))

// Whatever it answers, every endpoint promises these.
for (const [path, endpoint] of Object.entries(adminEndpoints)) {
  describe(path, () => {
    test('is listed under its own path, and in /help', () => {
      assert.equal(endpoint.path, path)
      assert.ok(bodyOf(fixture().call('GET', '/help')).includes(`  ${path}`))
    })

    test('refuses the other method, says which is allowed and does nothing', () => {
      const { call, done, logs } = fixture()
      const before = [...logs.levels()]
      const wrong = endpoint.method === 'GET' ? ['POST', 'DELETE'] : ['GET', 'HEAD', 'PUT']
      for (const method of wrong) {
        const answer = call(method, `${path}?level=debug`)
        assert.equal(answer.status, 405)
        assert.equal(answer.allow, endpoint.method === 'GET' ? 'GET, HEAD' : 'POST')
      }
      assert.deepEqual([done, [...logs.levels()]], [[], before])
    })

    test('answers its own method with text', () => {
      const answer = fixture().call(endpoint.method, path)
      assert.equal(answer.status, 200)
      assert.ok(bodyOf(answer).endsWith('\n'))
    })

    test('takes any query without throwing', () => {
      for (const query of [
        'format=json',
        'format=%00',
        'filter=(',
        'name_regex=(',
        'resource=x',
        '=',
      ]) {
        bodyOf(fixture().call(endpoint.method, `${path}?${query}`))
      }
    })
  })
}

describe('admin port', () => {
  test('a name in the Host header is refused: it could be a page’s own, pointed here', () => {
    const { call, done } = fixture()
    for (const host of [
      'evil.example',
      'localhost.evil.example:15000',
      '127.0.0.1.nip.io',
      '[x]',
    ]) {
      assert.equal(call('POST', '/quitquitquit', { host }).status, 421, host)
    }
    for (const host of ['localhost', 'LOCALHOST:15000', '10.0.0.1:15000', '[::1]:15000', '']) {
      assert.equal(call('GET', '/ready', { host }).status, 200, host)
    }
    assert.deepEqual(done, [])
  })

  test('a page of another origin is refused', () => {
    const { call, done } = fixture()
    assert.equal(call('POST', '/quitquitquit', { origin: 'http://evil.example' }).status, 403)
    assert.equal(call('POST', '/quitquitquit', { origin: 'null' }).status, 403)
    assert.equal(call('POST', '/quitquitquit', { 'sec-fetch-site': 'cross-site' }).status, 403)
    assert.deepEqual(done, [])
    assert.equal(call('POST', '/quitquitquit', { origin: 'http://127.0.0.1:15000' }).status, 200)
    assert.deepEqual(done, ['quit'])
  })

  test('/ready is 503 until the first configuration', () => {
    const { call, setReady } = fixture()
    setReady(false)
    assert.deepEqual(
      [call('GET', '/ready').status, bodyOf(call('GET', '/ready'))],
      [503, 'PRE_INITIALIZING\n'],
    )
  })

  test('/config_dump has Envoy’s shape, with versions, times, rejections and no private key', () => {
    const { call } = fixture()
    const dump = jsonOf(call('GET', '/config_dump')) as { configs: Record<string, unknown>[] }
    assert.deepEqual(
      dump.configs.map((config) => String(config['@type']).split('.').pop()),
      [
        'BootstrapConfigDump',
        'ClustersConfigDump',
        'ListenersConfigDump',
        'RoutesConfigDump',
        'SecretsConfigDump',
      ],
    )
    assert.partialDeepStrictEqual(dump.configs[1], {
      version_info: 'v7',
      dynamic_active_clusters: [
        {
          version_info: 'v7',
          cluster: { '@type': TYPE_URLS.cluster, name: cluster.name },
          last_updated: '2026-01-01T00:00:00.000Z',
          client_status: 'ACKED',
        },
      ],
    })
    assert.partialDeepStrictEqual(dump.configs[2], {
      dynamic_listeners: [
        { name: 'weft:outbound', active_state: { listener: { name: 'weft:outbound' } } },
        { name: 'bad', error_state: { details: 'no filter' }, client_status: 'NACKED' },
      ],
    })
    const all = bodyOf(call('GET', '/config_dump?include_eds'))
    assert.ok(all.includes('EndpointsConfigDump'))
    assert.ok(!all.includes('PRIVATE'))
  })

  test('/config_dump?resource= answers one field, /config_dump?name_regex= some names', () => {
    const { call } = fixture()
    assert.partialDeepStrictEqual(jsonOf(call('GET', '/config_dump?resource=dynamic_listeners')), {
      configs: [
        { '@type': 'type.googleapis.com/envoy.admin.v3.ListenersConfigDump.DynamicListener' },
        {},
      ],
    })
    assert.equal(call('GET', '/config_dump?resource=nope').status, 404)
    const none = bodyOf(call('GET', '/config_dump?name_regex=^nothing$'))
    assert.ok(!none.includes(cluster.name))
    assert.equal(call('GET', '/config_dump?name_regex=(').status, 400)
  })

  test('/clusters prints limits and hosts in Envoy’s lines and in JSON', () => {
    const { call } = fixture()
    const text = bodyOf(call('GET', '/clusters'))
    for (const line of [
      `${cluster.name}::default_priority::max_retries::3\n`,
      `${cluster.name}::10.0.0.1:9080::health_flags::/failed_outlier_check\n`,
      `${cluster.name}::10.0.0.1:9080::rq_active::1\n`,
    ]) {
      assert.ok(text.includes(line), text)
    }
    assert.partialDeepStrictEqual(jsonOf(call('GET', '/clusters?format=json')), {
      cluster_statuses: [
        {
          name: cluster.name,
          host_statuses: [
            { address: { socket_address: { address: '10.0.0.1', port_value: 9080 } } },
          ],
        },
      ],
    })
  })

  test('/listeners prints bound addresses', () => {
    const { call } = fixture()
    assert.equal(bodyOf(call('GET', '/listeners')), 'weft:outbound::127.0.0.1:15001\n')
    assert.deepEqual(jsonOf(call('GET', '/listeners?format=json')), {
      listener_statuses: [
        {
          name: 'weft:outbound',
          local_address: { socket_address: { address: '127.0.0.1', port_value: 15001 } },
        },
      ],
    })
  })

  test('/stats has Envoy’s names, filters, and formats', () => {
    const { call } = fixture()
    assert.equal(
      bodyOf(call('GET', '/stats')),
      'cluster.a|b.upstream_rq_2xx: 7\ncluster.a|b.upstream_rq_5xx: 0\ncluster_manager.active_clusters: 0\n',
    )
    assert.equal(bodyOf(call('GET', '/stats?usedonly')), 'cluster.a|b.upstream_rq_2xx: 7\n')
    assert.equal(bodyOf(call('GET', '/stats?filter=5xx$')), 'cluster.a|b.upstream_rq_5xx: 0\n')
    assert.partialDeepStrictEqual(jsonOf(call('GET', '/stats?format=json&usedonly')), {
      stats: [{ name: 'cluster.a|b.upstream_rq_2xx', value: 7 }],
    })
    const prometheus = bodyOf(call('GET', '/stats/prometheus'))
    assert.match(prometheus, /^envoy_cluster_upstream_rq_xx\{.*\} 7$/m)
    assert.equal(bodyOf(call('GET', '/stats?format=prometheus')), prometheus)
    const open = call('GET', '/stats/prometheus', { accept: 'application/openmetrics-text' })
    assert.match(open.contentType, /openmetrics/)
    assert.ok(bodyOf(open).endsWith('# EOF\n'))
  })

  test('/logging changes one component, several, or all; or nothing when one is wrong', () => {
    const { call, logs } = fixture()
    const levels = () => Object.fromEntries(logs.levels())
    call('POST', '/logging?build=debug')
    assert.deepEqual(levels(), { build: 'debug', admin: 'info' })
    call('POST', '/logging?paths=build:warn,admin:trace')
    assert.deepEqual(levels(), { build: 'warn', admin: 'trace' })
    assert.equal(call('POST', '/logging?level=error&nope=debug').status, 400)
    assert.equal(call('POST', '/logging?level=error&build=loud').status, 400)
    assert.deepEqual(levels(), { build: 'warn', admin: 'trace' })
    assert.match(bodyOf(call('POST', '/logging?level=warning')), / {2}admin: warn\n {2}build: warn/)
  })

  test('/drain_listeners passes on how', () => {
    const { call, done } = fixture()
    call('POST', '/drain_listeners?graceful&skip_exit')
    call('POST', '/drain_listeners?inboundonly')
    assert.deepEqual(done, [
      { graceful: true, inboundOnly: false },
      { graceful: false, inboundOnly: true },
    ])
  })

  test('over a socket: HEAD has no body, pieces arrive whole, unknown paths are 404', async () => {
    const { proxy } = fixture()
    const server = await openAdminServer({ host: '127.0.0.1', port: 0 }, proxy, silentLogger)
    const fetchText = (method: string, path: string) =>
      new Promise<{ status: number | undefined; body: string; type: string | undefined }>(
        (resolve, reject) => {
          request({ host: '127.0.0.1', port: server.address.port, method, path }, (response) => {
            let body = ''
            response.setEncoding('utf8').on('data', (piece: string) => {
              body += piece
            })
            response.on('end', () =>
              resolve({
                status: response.statusCode,
                body,
                type: response.headers['content-type'],
              }),
            )
          })
            .on('error', reject)
            .end()
        },
      )
    try {
      assert.deepEqual(await fetchText('HEAD', '/ready'), {
        status: 200,
        body: '',
        type: 'text/plain; charset=UTF-8',
      })
      assert.equal((await fetchText('GET', '/nope')).status, 404)
      const dump = await fetchText('GET', '/config_dump')
      assert.equal(dump.type, 'application/json')
      assert.ok(JSON.parse(dump.body))
    } finally {
      await server.close()
    }
  })
})
