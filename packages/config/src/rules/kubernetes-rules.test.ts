/** As `istio-rules.test.ts`: one change to a valid object, and the field that the error must name. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findingsOf, refuses, VALID, withValue } from '../fixtures.ts'

const rule = 'spec.rules[0]'
const match = `${rule}.matches[0]`

test('a HTTPRoute with one wrong field is refused, and the field is named', () => {
  refuses(VALID.httpRoute, [
    ['spec', undefined],
    ['spec.parentRefs[0].name', undefined],
    ['spec.parentRefs[1]', { name: 'gateway' }, 'spec.parentRefs'],
    ['spec.parentRefs[1]', { name: 'gateway', sectionName: 'http' }, 'spec.parentRefs'],
    ['spec.hostnames[0]', 'Example.com'],
    ['spec.hostnames[0]', '*.*.com'],
    ['spec.rules', []],
    ['spec.rules[1]', { name: 'first' }, 'spec.rules'],
    [`${match}.path.value`, 'relative'],
    [`${match}.path.value`, '/a//b'],
    [`${match}.path.value`, '/a/../b'],
    [`${match}.path.value`, '/a/..'],
    [`${match}.path.value`, '/a%2Fb'],
    [`${match}.path.value`, '/a#b'],
    [`${match}.path.value`, '/ä'],
    [`${match}.path`, { type: 'RegularExpression', value: '(' }, `${match}.path.value`],
    [`${match}.path.type`, 'Prefix'],
    [`${match}.method`, 'get'],
    [`${match}.headers[0].name`, 'a b'],
    [`${match}.headers[0].value`, ''],
    [`${match}.headers[1]`, { name: 'x-version', value: 'two' }, `${match}.headers[1].name`],
    [`${match}.queryParams[0].value`, '['],
    [`${rule}.filters[0].type`, 'HeaderModifier'],
    [`${rule}.filters[0]`, { type: 'RequestRedirect' }, `${rule}.filters[0].requestRedirect`],
    [`${rule}.filters[0].type`, 'CORS', `${rule}.filters[0].cors`],
    [`${rule}.filters[2]`, { type: 'RequestRedirect', requestRedirect: {} }, `${rule}.filters`],
    [
      `${rule}.filters`,
      [{ type: 'RequestRedirect', requestRedirect: { statusCode: 300 } }],
      `${rule}.filters[0].requestRedirect.statusCode`,
    ],
    [`${rule}.filters`, [{ type: 'RequestRedirect', requestRedirect: {} }], `${rule}.backendRefs`],
    [
      `${rule}.filters[1].urlRewrite.path`,
      { type: 'ReplaceFullPath' },
      `${rule}.filters[1].urlRewrite.path.replaceFullPath`,
    ],
    [`${match}.path.type`, 'Exact', `${rule}.filters`],
    [
      `${rule}.filters[2]`,
      {
        type: 'RequestMirror',
        requestMirror: {
          backendRef: { name: 'a', port: 1 },
          percent: 1,
          fraction: { numerator: 1 },
        },
      },
      `${rule}.filters[2].requestMirror.fraction`,
    ],
    [
      `${rule}.filters[2]`,
      { type: 'RequestMirror', requestMirror: { backendRef: { name: 'a' } } },
      `${rule}.filters[2].requestMirror.backendRef.port`,
    ],
    [
      `${rule}.filters[0].requestHeaderModifier.remove`,
      ['a', 'a'],
      `${rule}.filters[0].requestHeaderModifier.remove[1]`,
    ],
    [`${rule}.backendRefs[0].port`, undefined],
    [`${rule}.backendRefs[0].weight`, -1],
    [`${rule}.backendRefs[0].weight`, 1000001],
    [`${rule}.timeouts.backendRequest`, '11s'],
    [`${rule}.timeouts.request`, '1.5s'],
    [`${rule}.timeouts.request`, '100000s'],
  ])
})

test('a Gateway of Gateway API with one wrong field is refused, and the field is named', () => {
  refuses(VALID.kubernetesGateway, [
    ['spec.gatewayClassName', undefined],
    ['spec.listeners', []],
    ['spec.listeners[1].name', 'http'],
    ['spec.listeners[0].port', 0],
    ['spec.listeners[0].tls', { certificateRefs: [{ name: 'a' }] }],
    ['spec.listeners[1].tls', { mode: 'Passthrough' }],
    ['spec.listeners[1].tls', {}, 'spec.listeners[1].tls.certificateRefs'],
    ['spec.listeners[0].protocol', 'TCP', 'spec.listeners[0].hostname'],
    ['spec.listeners[0].protocol', 'TLS', 'spec.listeners[0].tls'],
    [
      'spec.listeners[2]',
      { name: 'x', port: 80, protocol: 'HTTP', hostname: '*.example.com' },
      'spec.listeners',
    ],
    ['spec.listeners[0].hostname', 'UPPER.com'],
    [
      'spec.listeners[0].allowedRoutes',
      { namespaces: { from: 'Some' } },
      'spec.listeners[0].allowedRoutes.namespaces.from',
    ],
    ['spec.addresses[0].value', '10.0.0.300'],
    ['spec.addresses[1]', { value: '10.0.0.1' }, 'spec.addresses'],
    ['spec.addresses[1]', { type: 'Hostname', value: 'a_b' }, 'spec.addresses[1].value'],
    ['spec.infrastructure', { labels: { 'a b': 'c' } }, 'spec.infrastructure.labels'],
  ])
})

test('a ReferenceGrant with one wrong field is refused, and the field is named', () => {
  refuses(VALID.referenceGrant, [
    ['spec.from', []],
    ['spec.to', undefined],
    ['spec.from[0].namespace', 'A'],
    ['spec.to[0].kind', 'a b'],
  ])
})

test('a GatewayClass with one wrong field is refused, and the field is named', () => {
  refuses(VALID.gatewayClass, [
    ['spec.controllerName', 'weft'],
    ['spec.description', 'x'.repeat(65)],
  ])
})

test('a Service with one wrong field is refused, and the field is named', () => {
  refuses(VALID.service, [
    ['metadata.name', '1reviews'],
    ['metadata.name', 'a.b'],
    ['metadata.namespace', 'A'],
    ['metadata.labels.app', 'a b'],
    ['spec.ports', []],
    ['spec.ports[0].port', 0],
    ['spec.ports[0].port', '9080'],
    ['spec.ports[0].name', undefined],
    ['spec.ports[1].name', 'http'],
    ['spec.ports[1].port', 9080],
    ['spec.ports[0].protocol', 'HTTP'],
    ['spec.ports[0].targetPort', 0],
    ['spec.ports[0].targetPort', 'this-name-is-too-long'],
    ['spec.ports[0].nodePort', 30000],
    ['spec.ports[0].appProtocol', 'a b'],
    ['spec.type', 'Internal'],
    ['spec.type', 'ExternalName', 'spec.externalName'],
    ['spec.clusterIP', 'none'],
    ['spec.selector.app', 1],
    ['spec.externalTrafficPolicy', 'Local'],
  ])
})

test('a EndpointSlice with one wrong field is refused, and the field is named', () => {
  refuses(VALID.endpointSlice, [
    ['addressType', undefined],
    ['addressType', 'IPv6', 'endpoints[0].addresses[0]'],
    ['endpoints[0].addresses', []],
    ['endpoints[0].addresses[0]', 'localhost'],
    ['ports[0].port', 70000],
    ['ports[1]', { port: 1 }, 'ports[1].name'],
    ['ports[0].name', 'HTTP'],
  ])
})

test('a Endpoints with one wrong field is refused, and the field is named', () => {
  refuses(VALID.endpoints, [
    ['subsets[0].addresses[0].ip', 'x'],
    ['subsets[0].addresses', [], 'subsets[0]'],
  ])
})

test('a Secret with one wrong field is refused, and the field is named', () => {
  refuses(VALID.secret, [
    ['data["tls.crt"]', 'not base64!'],
    ['data["a/b"]', 'YWJj'],
  ])
})

test('a Namespace with one wrong field is refused, and the field is named', () => {
  refuses(VALID.namespace, [['metadata.name', 'a.b']])
})

test('kinds of other groups are skipped with a note, misspelt groups of ours are refused', () => {
  const other = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'x' } }
  assert.deepEqual(findingsOf(other, 'error'), [])
  const wrongGroup = withValue(VALID.virtualService, 'apiVersion', 'networking.istio.com/v1')
  assert.deepEqual(findingsOf(wrongGroup, 'error'), ['apiVersion not-an-object'])
  const wrongKind = withValue(VALID.virtualService, 'kind', 'VirtualServise')
  assert.deepEqual(findingsOf(wrongKind, 'error'), ['kind not-an-object'])
  for (const kind of ['WorkloadGroup', 'UDPRoute', 'SomethingElse']) {
    assert.deepEqual(findingsOf(withValue(VALID.httpRoute, 'kind', kind), 'error'), [], kind)
  }
  const wrongVersion = withValue(VALID.virtualService, 'apiVersion', 'networking.istio.io/v2')
  assert.deepEqual(findingsOf(wrongVersion, 'error'), ['apiVersion not-allowed'])
})

test('null means "not set", as the API server prunes it, also where something is required', () => {
  assert.deepEqual(findingsOf(withValue(VALID.service, 'spec.selector', null), 'error'), [])
  assert.deepEqual(findingsOf(withValue(VALID.virtualService, 'spec.exportTo', null), 'error'), [])
  const refused = findingsOf(withValue(VALID.destinationRule, 'spec.host', null), 'error')
  assert.deepEqual(refused, ['spec.host missing-field'])
})
