/** Each row changes one place of a valid object; the error must name the field at fault. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { accepts, findingsOf, refuses, VALID, withValue } from '../fixtures.ts'

test('the valid objects of every kind have no errors', () => {
  for (const [name, object] of Object.entries(VALID)) {
    assert.deepEqual(findingsOf(object, 'error'), [], name)
  }
})

const http = 'spec.http[0]'

test('a VirtualService with one wrong field is refused, and the field is named', () => {
  refuses(VALID.virtualService, [
    ['spec.hosts[0]', 'bad_host'],
    ['spec.hosts[0]', 'foo.*.com'],
    ['spec.hosts[0]', ''],
    ['spec.hosts[0]', '*'],
    ['spec.hosts[0]', 'x.1'],
    ['spec.hosts[0]', `${'a'.repeat(64)}.com`],
    ['spec.hosts[2]', 'a.example.com'],
    ['spec.hosts', [], 'spec.tcp'],
    ['spec.http', [{}], 'spec.http[0].route'],
    ['spec.gateways', ['a/b/c'], 'spec.gateways[0]'],
    ['spec.gateways', ['ns/'], 'spec.gateways[0]'],
    ['spec.gateways', ['bad_name'], 'spec.gateways[0]'],
    ['spec.exportTo', ['.', 'default'], 'spec.exportTo[1]'],
    ['spec.exportTo', ['*', 'a'], 'spec.exportTo'],
    ['spec.exportTo', ['~'], 'spec.exportTo[0]'],
    ['spec.exportTo', ['a_b'], 'spec.exportTo[0]'],
    [`${http}.route[0].weight`, -1],
    [`${http}.route[0].weight`, '90'],
    [`${http}.route[0].weight`, 0.5],
    [`${http}.route`, [{ destination: { host: 'a' } }, { destination: { host: 'b' } }]],
    [`${http}.route[0].destination`, undefined],
    [`${http}.route[0].destination.host`, undefined],
    [`${http}.route[0].destination.host`, '*'],
    [`${http}.route[0].destination.host`, ''],
    [`${http}.route[0].destination.subset`, 'v.1'],
    [`${http}.route[0].destination.port.number`, 0],
    [`${http}.route[0].destination.port.number`, 70000],
    [`${http}.redirect`, { uri: '/' }, `${http}.route`],
    [`${http}.directResponse`, { status: 200 }, `${http}.route`],
    [`${http}.mirror`, { host: 'a' }, `${http}.mirrors`],
    [`${http}.mirrors[0].percentage.value`, 101],
    [`${http}.mirrorPercentage`, { value: -1 }, `${http}.mirrorPercentage.value`],
    [`${http}.mirror_percent`, 101],
    [`${http}.timeout`, '5'],
    [`${http}.timeout`, '-5s'],
    [`${http}.timeout`, '0s'],
    [`${http}.timeout`, '500us'],
    [`${http}.timeout`, '1.0005s'],
    [`${http}.timeout`, 5],
    [`${http}.retries.attempts`, -1],
    [`${http}.retries.attempts`, 0, `${http}.retries.perTryTimeout`],
    [`${http}.retries.retryOn`, '5xx, reset'],
    [`${http}.retries.retryOn`, 'everything'],
    [`${http}.retries.retryOn`, '999'],
    [`${http}.retries.perTryTimeout`, '1us'],
    [`${http}.fault`, {}],
    [`${http}.fault.delay.percentage.value`, 0.00001],
    [`${http}.fault.delay.percentage.value`, 101],
    [`${http}.fault.delay.fixedDelay`, '0s'],
    [`${http}.fault.delay`, { exponentialDelay: '1s' }, `${http}.fault.delay.exponentialDelay`],
    [`${http}.fault.abort.httpStatus`, 199],
    [`${http}.fault.abort.httpStatus`, 600],
    [`${http}.fault.abort`, { grpcStatus: 'NOPE' }, `${http}.fault.abort.grpcStatus`],
    [`${http}.fault.abort`, { http2Error: 'x' }, `${http}.fault.abort.http2Error`],
    [`${http}.fault.abort.grpcStatus`, 'OK', `${http}.fault.abort.grpcStatus`],
    [`${http}.match[0].uri`, { prefix: '/a', exact: '/b' }, `${http}.match[0].uri.prefix`],
    [`${http}.match[0].uri`, { regex: '(' }, `${http}.match[0].uri.regex`],
    [`${http}.match[0].uri`, { regex: '(?=a)' }, `${http}.match[0].uri.regex`],
    [`${http}.match[0].uri`, { regex: '(a)\\1' }, `${http}.match[0].uri.regex`],
    [`${http}.match[0].uri`, { regex: '' }, `${http}.match[0].uri.regex`],
    [`${http}.match[0].uri`, { regex: 'a'.repeat(1025) }, `${http}.match[0].uri.regex`],
    [`${http}.match[0].uri`, { regex: 'a{1001}' }, `${http}.match[0].uri.regex`],
    [`${http}.match[0].method`, { prefix: '' }, `${http}.match[0].method.prefix`],
    [`${http}.match[0].port`, 65536],
    [`${http}.match[0].headers["bad header"]`, { exact: 'a' }],
    [`${http}.match[0].headers["@request.auth.claims.sub"]`, { exact: 'a' }],
    [`${http}.match[0].headers.x`, { regex: '[' }, `${http}.match[0].headers.x.regex`],
    [`${http}.match[0].queryParams.q`, { prefix: '' }, `${http}.match[0].queryParams.q.prefix`],
    [`${http}.match[0].sourceLabels`, { 'a/b/c': 'x' }, `${http}.match[0].sourceLabels["a/b/c"]`],
    [`${http}.match[0].sourceNamespace`, 'a.b'],
    [`${http}.match[0].gateways`, ['a/b/c'], `${http}.match[0].gateways[0]`],
    [`${http}.rewrite`, {}],
    [`${http}.rewrite.uriRegexRewrite`, { match: 'a', rewrite: 'b' }],
    [
      `${http}.rewrite`,
      { uriRegexRewrite: { match: 'a' } },
      `${http}.rewrite.uriRegexRewrite.rewrite`,
    ],
    [
      `${http}.rewrite`,
      { uriRegexRewrite: { match: '(', rewrite: 'b' } },
      `${http}.rewrite.uriRegexRewrite.match`,
    ],
    [`${http}.headers.request`, { set: { ':path': 'a' } }, `${http}.headers.request.set[":path"]`],
    [`${http}.headers.request`, { set: { host: 'a' } }, `${http}.headers.request.set.host`],
    [`${http}.headers.response`, { set: { Host: 'a' } }, `${http}.headers.response.set.Host`],
    [`${http}.headers.response.add.x-a`, '50%'],
    [`${http}.headers.response.add.x-a`, '%DURATION'],
    [`${http}.headers.response.add.x-a`, 'a\nb'],
    [`${http}.headers.response.remove[0]`, ':status'],
    [`${http}.corsPolicy.allowMethods[0]`, 'get'],
    [`${http}.corsPolicy.allowHeaders[0]`, 'a b'],
    [`${http}.corsPolicy.allowOrigins[0]`, {}],
    [
      `${http}.corsPolicy.allowOrigins[0]`,
      { regex: '(' },
      `${http}.corsPolicy.allowOrigins[0].regex`,
    ],
    [`${http}.corsPolicy.maxAge`, '1500ms'],
    [`${http}.corsPolicy.unmatchedPreflights`, 'DROP'],
    ['spec.http[1].redirect', {}],
    ['spec.http[1].redirect.redirectCode', 200],
    ['spec.http[1].redirect.scheme', 'ftp'],
    ['spec.http[1].redirect.prefixRewrite', '/x'],
    ['spec.http[1].redirect', { prefixRewrite: '/x' }, 'spec.http[1].redirect.prefixRewrite'],
    ['spec.http[1].redirect.port', 70000],
    [
      'spec.http[1].redirect',
      { port: 1, derivePort: 'FROM_REQUEST_PORT' },
      'spec.http[1].redirect.derivePort',
    ],
    ['spec.http[2].directResponse.status', 100],
    ['spec.http[2].directResponse.status', undefined],
    [
      'spec.http[2].directResponse.body.string',
      'x'.repeat((1 << 20) + 1),
      'spec.http[2].directResponse.body',
    ],
    ['spec.http[2].directResponse.body.bytes', 'eA==', 'spec.http[2].directResponse.body.bytes'],
    [
      'spec.http[2].directResponse.body',
      { bytes: '***' },
      'spec.http[2].directResponse.body.bytes',
    ],
    ['spec.tcp[0].route', undefined],
    ['spec.tcp[0].match[0].destinationSubnets[0]', '10.0.0.0/33'],
    ['spec.tcp[0].match[0].destinationSubnets[0]', '10.0.0'],
    ['spec.tls', [{ match: [], route: [] }], 'spec.tls[0].match'],
    [
      'spec.tls',
      [{ match: [{ sniHosts: ['other.com'] }], route: [{ destination: { host: 'a' } }] }],
      'spec.tls[0].match[0].sniHosts[0]',
    ],
    [
      'metadata.annotations',
      { 'istio.io/dry-run': 'true' },
      'metadata.annotations["istio.io/dry-run"]',
    ],
  ])
})

test('a VirtualService may be unusual, as long as it is right', () => {
  accepts(VALID.virtualService, [
    ['spec.hosts[0]', '10.0.0.1'],
    ['spec.hosts[0]', '2001:db8::1'],
    ['spec.hosts[0]', '*-staging.other.com'],
    ['spec.hosts[0]', 'reviews.prod.svc.cluster.local.'],
    ['spec.gateways', ['ns/gateway', 'mesh', 'gw.ns.svc.cluster.local']],
    [`${http}.match[0].uri`, { prefix: '' }],
    [`${http}.match[0].uri`, { regex: '^/a(?P<x>[a-z]+)(?i:b)$' }],
    [`${http}.match[0].withoutHeaders`, { 'x-a': { regex: '*' } }],
    [`${http}.match[0].headers[":method"]`, { exact: 'GET' }],
    [`${http}.timeout`, '1h2m3.5s'],
    [`${http}.retries`, { attempts: 0 }],
    [`${http}.fault.abort`, { grpcStatus: 'UNAVAILABLE', percentage: { value: 0.0001 } }],
    [`${http}.headers.response.add.x-a`, '%REQ(x-b?y:z)% %START_TIME(%s)% %%'],
    [`${http}.rewrite`, { uriRegexRewrite: { match: '^/a/(.*)$', rewrite: '/b/\\1' } }],
    [`${http}.corsPolicy.allowCredentials`, null],
    ['spec.http[1].redirect', { derivePort: 'FROM_PROTOCOL_DEFAULT' }],
  ])
})

const policy = 'spec.trafficPolicy'

test('a DestinationRule with one wrong field is refused, and the field is named', () => {
  refuses(VALID.destinationRule, [
    ['spec.host', undefined],
    ['spec.host', 'a..b'],
    ['spec.subsets[1].name', 'v1'],
    ['spec.subsets[0].name', 'v_1'],
    ['spec.subsets[0].name', undefined],
    ['spec.subsets[0].labels', { version: 'a b' }, 'spec.subsets[0].labels.version'],
    ['spec.subsets[1].trafficPolicy', {}],
    [policy, {}],
    [`${policy}.connectionPool`, {}],
    [`${policy}.connectionPool.tcp.maxConnections`, -1],
    [`${policy}.connectionPool.tcp.connectTimeout`, '1.5ms'],
    [`${policy}.connectionPool.tcp.idleTimeout`, 'soon'],
    [`${policy}.connectionPool.http.maxRetries`, -1],
    [`${policy}.connectionPool.http.h2UpgradePolicy`, 'MAYBE'],
    [
      `${policy}.connectionPool.http.http2KeepAlive`,
      { interval: '1s' },
      `${policy}.connectionPool.http.http2KeepAlive.timeout`,
    ],
    [
      `${policy}.connectionPool.http`,
      { h2UpgradePolicy: 'UPGRADE', useClientProtocol: true },
      `${policy}.connectionPool.http.useClientProtocol`,
    ],
    [`${policy}.outlierDetection.maxEjectionPercent`, 101],
    [`${policy}.outlierDetection.minHealthPercent`, -1],
    [`${policy}.outlierDetection.consecutive5xxErrors`, -1],
    [`${policy}.outlierDetection.interval`, '0s'],
    [`${policy}.outlierDetection.consecutiveLocalOriginFailures`, 3],
    [
      `${policy}.outlierDetection.outlierDetectionHttpErrorCodes`,
      [99],
      `${policy}.outlierDetection.outlierDetectionHttpErrorCodes[0]`,
    ],
    [`${policy}.loadBalancer.simple`, 'FASTEST'],
    [`${policy}.loadBalancer.consistentHash`, { useSourceIp: true }],
    [`${policy}.portLevelSettings[0].port`, undefined],
    [`${policy}.portLevelSettings[0]`, { port: { number: 80 } }],
    [
      `${policy}.portLevelSettings[0].loadBalancer.consistentHash.useSourceIp`,
      true,
      `${policy}.portLevelSettings[0].loadBalancer.consistentHash.useSourceIp`,
    ],
    [
      `${policy}.loadBalancer`,
      { consistentHash: { maglev: { tableSize: 10 } } },
      `${policy}.loadBalancer.consistentHash.maglev.tableSize`,
    ],
    [`${policy}.loadBalancer.warmup`, { aggression: 1 }, `${policy}.loadBalancer.warmup.duration`],
    [
      `${policy}.loadBalancer.localityLbSetting`,
      { distribute: [{ from: 'a', to: { b: 50 } }] },
      `${policy}.loadBalancer.localityLbSetting.distribute[0].to`,
    ],
    [
      `${policy}.loadBalancer.localityLbSetting`,
      { distribute: [{ from: 'a/', to: { b: 100 } }] },
      `${policy}.loadBalancer.localityLbSetting.distribute[0].from`,
    ],
    [
      `${policy}.loadBalancer.localityLbSetting`,
      { failover: [{ from: 'a', to: 'a' }] },
      `${policy}.loadBalancer.localityLbSetting.failover[0].to`,
    ],
    [`${policy}.tls`, { mode: 'MUTUAL' }, `${policy}.tls.clientCertificate`],
    [`${policy}.tls`, { mode: 'TLS' }, `${policy}.tls.mode`],
    [
      `${policy}.tls`,
      { mode: 'SIMPLE', credentialName: 'a', caCertificates: '/b' },
      `${policy}.tls.caCertificates`,
    ],
    [
      `${policy}.tls`,
      { mode: 'SIMPLE', insecureSkipVerify: true, subjectAltNames: ['a'] },
      `${policy}.tls.subjectAltNames`,
    ],
    [
      `${policy}.tunnel`,
      { protocol: 'GET', targetHost: 'a', targetPort: 1 },
      `${policy}.tunnel.protocol`,
    ],
    [`${policy}.tunnel`, { targetHost: 'a', targetPort: 0 }, `${policy}.tunnel.targetPort`],
    ['spec.exportTo', ['.', '*'], 'spec.exportTo'],
    [
      'spec.workloadSelector',
      { matchLabels: { app: '*' } },
      'spec.workloadSelector.matchLabels.app',
    ],
  ])
})

test('a DestinationRule may be unusual, as long as it is right', () => {
  accepts(VALID.destinationRule, [
    ['spec.host', '*.example.com'],
    [`${policy}.loadBalancer`, { consistentHash: { maglev: { tableSize: 65537 } } }],
    [`${policy}.tls`, { mode: 'MUTUAL', credentialName: 'client' }],
    [`${policy}.tls`, { mode: 'ISTIO_MUTUAL' }],
    [`${policy}.outlierDetection.consecutive5xxErrors`, null],
    [
      `${policy}.loadBalancer.localityLbSetting`,
      { distribute: [{ from: 'a/*', to: { 'a/b/*': 80, 'c/*': 20 } }] },
    ],
  ])
})

test('a Gateway with one wrong field is refused, and the field is named', () => {
  refuses(VALID.istioGateway, [
    ['spec.servers', []],
    ['spec.servers[0].hosts', []],
    ['spec.servers[0].hosts[0]', 'short'],
    ['spec.servers[0].hosts[0]', '*foo.com'],
    ['spec.servers[0].hosts[0]', 'a_b/foo.com'],
    ['spec.servers[0].port', undefined],
    ['spec.servers[0].port.number', 0],
    ['spec.servers[0].port.protocol', 'QUIC'],
    ['spec.servers[0].port.name', 'https', 'spec.servers[1].port.name'],
    ['spec.servers[0].port.targetPort', 8080],
    ['spec.servers[0].bind', 'localhost'],
    ['spec.servers[0].bind', 'unix://run'],
    ['spec.servers[0].bind', 'unix:///run/x', 'spec.servers[0].port.number'],
    ['spec.servers[0].tls', { mode: 'SIMPLE', credentialName: 'x' }],
    ['spec.servers[1].tls', undefined],
    ['spec.servers[1].tls', { mode: 'SIMPLE' }, 'spec.servers[1].tls.serverCertificate'],
    [
      'spec.servers[1].tls',
      { mode: 'SIMPLE', serverCertificate: 'a' },
      'spec.servers[1].tls.privateKey',
    ],
    [
      'spec.servers[1].tls',
      { mode: 'MUTUAL', serverCertificate: 'a', privateKey: 'b' },
      'spec.servers[1].tls.caCertificates',
    ],
    [
      'spec.servers[1].tls',
      { mode: 'ISTIO_MUTUAL', credentialName: 'a' },
      'spec.servers[1].tls.credentialName',
    ],
    ['spec.servers[1].tls.credentialNames', ['a'], 'spec.servers[1].tls.credentialNames'],
    ['spec.servers[1].tls.minProtocolVersion', 'TLSV1_4'],
    ['spec.servers[1].port.protocol', 'TCP', 'spec.servers[1].tls'],
    ['metadata.name', 'a.b'],
  ])
})

test('a ServiceEntry with one wrong field is refused, and the field is named', () => {
  refuses(VALID.serviceEntry, [
    ['spec', undefined],
    ['spec.hosts', []],
    ['spec.hosts[0]', '*'],
    ['spec.hosts[0]', 'a_b'],
    ['spec.hosts[1]', 'other.example.com', 'spec.ports[0].protocol'],
    ['spec.addresses[0]', '10.0.0.256'],
    ['spec.addresses[0]', '10.0.0.0/40'],
    ['spec.addresses[0]', '010.0.0.1'],
    ['spec.ports[1]', { number: 3306, name: 'other' }, 'spec.ports'],
    ['spec.ports[1]', { number: 3307, name: 'mysql' }, 'spec.ports[1].name'],
    ['spec.ports[0].number', 0],
    ['spec.ports[0].number', 65536],
    ['spec.ports[0].targetPort', 0],
    ['spec.ports[0].protocol', 'QUIC'],
    ['spec.ports[0].name', 'a b'],
    ['spec.location', 'MOON'],
    ['spec.resolution', 'NONE', 'spec.endpoints'],
    ['spec.resolution', 'DNS', 'spec.addresses'],
    ['spec.resolution', 'DNS_ROUND_ROBIN', 'spec.endpoints'],
    ['spec.endpoints[0].address', 'db.example.com'],
    ['spec.endpoints[0].address', undefined],
    ['spec.endpoints[0].address', 'unix://relative'],
    ['spec.endpoints[0].ports', { other: 1 }, 'spec.endpoints[0].ports.other'],
    ['spec.endpoints[0].ports.mysql', 0],
    ['spec.endpoints[0].labels', { 'a b': 'c' }, 'spec.endpoints[0].labels["a b"]'],
    ['spec.workloadSelector', { labels: { a: 'b' } }, 'spec.endpoints'],
    ['spec.exportTo', ['~', '.'], 'spec.exportTo'],
  ])
})

test('a ServiceEntry may be unusual, as long as it is right', () => {
  accepts(VALID.serviceEntry, [
    ['spec.hosts[0]', '*.example.com'],
    ['spec.exportTo', ['~']],
    ['spec.ports[0].protocol', 'mysql'],
    ['spec.endpoints', [{ address: 'unix:///run/db.sock' }]],
    ['spec.endpoints', [{ address: 'unix://@abstract' }]],
    ['spec.endpoints', [{ network: 'east' }]],
  ])
})

test('a WorkloadEntry with one wrong field is refused, and the field is named', () => {
  refuses(VALID.workloadEntry, [
    ['spec.address', undefined],
    ['spec.address', 'not a host'],
    ['spec.address', 'unix:///run/', 'spec.address'],
    ['spec.address', 'unix:///run/x', 'spec.ports'],
    ['spec.ports.http', 99999],
    ['spec.weight', -1],
  ])
})

test('a retry condition that nothing acts on is accepted with a warning, one that works without', () => {
  const at = `${http}.retries`
  const retrying = (retryOn: string) =>
    withValue(VALID.virtualService, at, { attempts: 2, retryOn })
  const warning = `${at}.retryOn not-acted-on`
  for (const condition of ['retriable-headers', 'envoy-ratelimited']) {
    const object = retrying(`5xx,${condition}`)
    assert.deepEqual(findingsOf(object, 'error'), [])
    assert.ok(findingsOf(object, 'warning').includes(warning), condition)
  }
  assert.ok(!findingsOf(retrying('5xx,reset,503'), 'warning').includes(warning))
})
