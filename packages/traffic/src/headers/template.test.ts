import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ConfigError } from '../config-error.ts'
import { request } from '../fixtures.ts'
import { compileTemplate, type HeaderContext, renderTemplate } from './template.ts'

const context: HeaderContext = {
  request: request('/a?b', { method: 'POST', headers: { 'x-id': 'abcdef', 'x-b': 'bee' } }),
  downstreamRemoteHost: '192.0.2.1',
  downstreamRemotePort: 4711,
  downstreamDirectRemoteHost: '2001:db8::1',
  downstreamDirectRemotePort: 9,
  downstreamLocalHost: '10.0.0.1',
  downstreamLocalPort: 15001,
  protocol: 'HTTP/1.1',
  startTimeMs: Date.UTC(2026, 10, 21, 9, 8, 7, 65),
  routeName: 'canary',
  clusterName: 'outbound|80||a.test',
  upstreamRemoteHost: '10.0.0.7',
  upstreamRemotePort: 8080,
  downstreamPeerUriSan: 'spiffe://cluster.local/ns/a/sa/b',
  requestedServerName: undefined,
  responseCode: 204,
  responseHeader: (name) => (name === 'server' ? 'weft' : undefined),
}

describe('header templates', () => {
  const cases: [string, string][] = [
    ['plain', 'plain'],
    ['', ''],
    ['100%%', '100%'],
    ['%%REQ(X-ID)%%', '%REQ(X-ID)%'],
    ['%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%', '192.0.2.1'],
    ['%DOWNSTREAM_REMOTE_ADDRESS%', '192.0.2.1:4711'],
    ['%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%', '[2001:db8::1]:9'],
    ['%DOWNSTREAM_LOCAL_PORT%', '15001'],
    ['%REQ(X-ID)%', 'abcdef'],
    ['%REQ(x-id):3%', 'abc'],
    ['%REQ(X-NONE?X-B)%', 'bee'],
    ['%REQ(X-ID?X-B)%', 'abcdef'],
    ['%REQ(X-NONE)%', ''],
    ['%REQ(:METHOD)% %REQ(:PATH)% %REQ(:AUTHORITY)% %REQ(:SCHEME)%', 'POST /a?b a.test http'],
    ['%RESP(Server)%', 'weft'],
    ['%RESPONSE_CODE%', '204'],
    ['%PROTOCOL%', 'HTTP/1.1'],
    ['%ROUTE_NAME%/%UPSTREAM_CLUSTER%', 'canary/outbound|80||a.test'],
    ['%UPSTREAM_HOST%', '10.0.0.7:8080'],
    ['%REQUESTED_SERVER_NAME%', ''],
    ['%DOWNSTREAM_PEER_URI_SAN%', 'spiffe://cluster.local/ns/a/sa/b'],
    ['%START_TIME%', '2026-11-21T09:08:07.065Z'],
    ['t=%START_TIME(%s.%3f)%', 't=1795252087.065'],
    ['%START_TIME(%Y/%m/%dT%H:%M:%S%z %f)%', 'refused'],
    ['%START_TIME(%Y/%m/%d %H:%M:%E3S %9f)%', '2026/11/21 09:08:07.065 065000000'],
    ['by=%PROTOCOL%;for=%REQ(x-b)%.', 'by=HTTP/1.1;for=bee.'],
  ]
  for (const [source, expected] of cases) {
    test(`${JSON.stringify(source)} gives ${JSON.stringify(expected)}`, () => {
      if (expected === 'refused')
        return assert.throws(() => compileTemplate(source, 'x'), ConfigError)
      assert.equal(renderTemplate(compileTemplate(source, 'x'), context), expected)
      return undefined
    })
  }

  for (const bad of [
    '%',
    '50%',
    '%NOPE%',
    '%REQ%',
    '%REQ()%',
    '%REQ(a?b?c)%',
    '%PROTOCOL(x)%',
    '%req(a)%',
    'a\r\nb: c',
    'a\0',
  ]) {
    test(`${JSON.stringify(bad)} is refused`, () => {
      assert.throws(
        () => compileTemplate(bad, 'route "r"'),
        (error) => error instanceof ConfigError && error.where === 'route "r"',
      )
    })
  }

  test('values without substitutions are literals, also after %%', () => {
    assert.deepEqual(compileTemplate('5%% off', 'x'), { kind: 'literal', value: '5% off' })
  })
})
