import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findingsOf, problemsOf, VALID, withValue } from '../fixtures.ts'

test('GRPCRoute, TLSRoute, TCPRoute, ListenerSet and the policies of backends are understood', () => {
  for (const kind of [
    'grpcRoute',
    'tlsRoute',
    'tcpRoute',
    'listenerSet',
    'backendTlsPolicy',
    'backendTrafficPolicy',
  ] as const) {
    const errors = problemsOf(VALID[kind]).filter(({ severity }) => severity === 'error')
    assert.deepEqual(errors, [], kind)
  }
})

const REFUSED: readonly (readonly [keyof typeof VALID, string, unknown, string])[] = [
  ['grpcRoute', 'spec.rules[0].matches[0].method', {}, 'crd-rule'],
  ['grpcRoute', 'spec.rules[0].matches[0].method.service', 'shop/Orders', 'crd-rule'],
  ['grpcRoute', 'spec.rules[0].matches[0].method.method', 'a.b', 'crd-rule'],
  ['grpcRoute', 'spec.rules[0].matches[1].method.service', '(', 'bad-regex'],
  ['grpcRoute', 'spec.rules[0].filters[0].type', 'RequestMirror', 'crd-rule'],
  ['grpcRoute', 'spec.rules[0].filters[0].type', 'URLRewrite', 'not-allowed'],
  ['grpcRoute', 'spec.rules[0].backendRefs[0].port', undefined, 'crd-rule'],
  ['tlsRoute', 'spec.hostnames', [], 'out-of-range'],
  ['tlsRoute', 'spec.hostnames[0]', '10.0.0.1', 'crd-rule'],
  ['tcpRoute', 'spec.rules[0].backendRefs', [], 'out-of-range'],
  ['listenerSet', 'spec.listeners[0].tls', { certificateRefs: [{ name: 'a' }] }, 'crd-rule'],
  ['backendTlsPolicy', 'spec.validation.wellKnownCACertificates', 'System', 'crd-rule'],
  ['backendTlsPolicy', 'spec.validation.caCertificateRefs', [], 'crd-rule'],
  ['backendTlsPolicy', 'spec.validation.subjectAltNames[0].type', 'URI', 'crd-rule'],
  ['backendTlsPolicy', 'spec.validation.hostname', '*.example.com', 'bad-format'],
  ['backendTrafficPolicy', 'spec.retryConstraint.budget.percent', 101, 'out-of-range'],
  ['backendTrafficPolicy', 'spec.retryConstraint.budget.interval', '2h', 'crd-rule'],
]

for (const [kind, path, value, code] of REFUSED) {
  test(`${kind}: ${path} = ${JSON.stringify(value)} is refused as ${code}`, () => {
    const changed = withValue(VALID[kind], path, value as never)
    const codes = problemsOf(changed)
      .filter(({ severity }) => severity === 'error')
      .map((problem) => problem.code)
    assert.ok(codes.includes(code as never), `got ${JSON.stringify(findingsOf(changed, 'error'))}`)
  })
}
