import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseDocuments } from './parse.ts'

const filter = (patch: string) => `
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: patch}
spec:
  configPatches:
  - applyTo: HTTP_FILTER
    patch:
      operation: INSERT_BEFORE
      value: ${patch}
`

test('an EnvoyFilter that has a typed replacement names it', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['{name: envoy.filters.http.local_ratelimit}', 'RateLimit with mode: Local'],
    ['{name: envoy.filters.http.ratelimit}', 'RateLimit with mode: Global'],
    ['{name: envoy.filters.http.buffer}', 'TrafficPolicy buffer.maxRequestBytes'],
    ['{hedge_policy: {hedge_on_per_try_timeout: true}}', 'TrafficPolicy hedging'],
    ['{name: envoy.filters.http.compressor}', 'TrafficPolicy compression'],
    ['{server_header_transformation: PASS_THROUGH}', 'TrafficPolicy serverHeader'],
    ['{stream_idle_timeout: 0s}', 'TrafficPolicy timeouts.streamIdle'],
  ]
  for (const [patch, field] of cases) {
    const [skipped] = parseDocuments(filter(patch), { file: 'in.yaml' }).skipped
    assert.equal(
      skipped?.note,
      `kind EnvoyFilter is not read by the mesh; write ${field} in its place`,
    )
  }
})

test('a patch that nothing replaces is only named', () => {
  const [skipped] = parseDocuments(filter('{name: envoy.filters.http.lua}'), { file: 'a' }).skipped
  assert.equal(skipped?.note, 'kind EnvoyFilter is not read by the mesh')
})

test('a UDPRoute is skipped, and says why', () => {
  const text = `apiVersion: gateway.networking.k8s.io/v1alpha2
kind: UDPRoute
metadata: {name: dns}
spec: {parentRefs: [{name: gw}], rules: [{backendRefs: [{name: dns, port: 53}]}]}
`
  const [skipped] = parseDocuments(text, { file: 'in.yaml' }).skipped
  assert.equal(skipped?.note, 'kind UDPRoute is not read by the mesh: datagrams are not proxied')
})
