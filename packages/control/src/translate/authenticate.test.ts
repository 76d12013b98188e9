/** Whose tokens count where, and who is asked. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseDocuments } from '@weft/config'
import type { HttpFilterConfig, ResourceSet } from '@weft/model'
import { buildSnapshot } from '../snapshot/build.ts'
import { DEFAULT_PROXY } from './proxy-view.ts'
import { translate } from './translate.ts'
import { GATEWAY, SIDECAR, WEB_SERVICE } from './web-fixture.ts'

const MESH = `${WEB_SERVICE}---
apiVersion: v1
kind: Service
metadata: {name: opa, namespace: auth}
spec: {ports: [{name: grpc, port: 9191}, {name: http, port: 8181}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  selector: {app: edge}
  servers: [{hosts: ['*'], port: {name: http, number: 80, protocol: HTTP}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web}
spec:
  hosts: [shop.example]
  gateways: [edge]
  http:
  - match: [{headers: {"@request.auth.claims.org.Role": {exact: admin}}}]
    route: [{destination: {host: web}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    extensionProviders:
    - name: opa
      envoyExtAuthzGrpc: {service: opa.auth.svc.cluster.local, port: 9191, timeout: 2s}
    - name: web
      envoyExtAuthzHttp:
        service: auth/opa.auth.svc.cluster.local
        port: 8181
        failOpen: true
        statusOnError: "503"
        includeRequestHeadersInCheck: [x-a, 'x-b*']
        headersToUpstreamOnAllow: [x-user]
        includeRequestBodyInCheck: {maxRequestBytes: 10}
    - name: bad
      envoyExtAuthzGrpc: {service: nobody.example, port: 1}
`
interface Written {
  readonly kind: string
  readonly name?: string
  readonly namespace?: string
  readonly spec: object
}

function resourcesOf(policies: readonly Written[], view = SIDECAR): ResourceSet {
  const objects = policies.map(({ kind, name = 'p', namespace = 'default', spec }) =>
    JSON.stringify({
      apiVersion: 'security.istio.io/v1',
      kind,
      metadata: { name, namespace },
      spec,
    }),
  )
  const text = [MESH, ...objects].join('\n---\n')
  const { documents, problems } = parseDocuments(text, { file: 'in.yaml' })
  assert.deepEqual(
    problems.filter(({ severity }) => severity === 'error'),
    [],
  )
  return translate(buildSnapshot({ documents }), { ...DEFAULT_PROXY, ...view })
}

function filtersOf(resources: ResourceSet, listener: string): readonly HttpFilterConfig[] {
  const chains = resources.listener.get(listener)?.filterChains ?? []
  return chains.flatMap(({ filter }) => (filter.kind === 'http' ? filter.filters : []))
}

function tokensOf(policies: readonly Written[], view = SIDECAR, listener = 'weft:inbound|80') {
  const found = filtersOf(resourcesOf(policies, view), listener)
  return found.flatMap((one) => (one.kind === 'jwtAuthn' ? [one.authentication] : []))[0]
}

const rules = (...jwtRules: readonly object[]): Written => ({
  kind: 'RequestAuthentication',
  spec: { jwtRules },
})
const KEYS = '{"keys":[]}'

test('a policy holds for its selector and namespace, for what is served and not what is called', () => {
  const rule = { issuer: 'a', audiences: ['x'], jwks: KEYS }
  const policy = (namespace: string, app: string) => ({
    ...rules(),
    namespace,
    spec: { selector: { matchLabels: { app } }, jwtRules: [rule] },
  })
  assert.ok(tokensOf([policy('default', 'web')]))
  assert.ok(tokensOf([policy('istio-system', 'web')]))
  assert.equal(tokensOf([policy('default', 'other')]), undefined)
  assert.equal(tokensOf([policy('elsewhere', 'web')]), undefined)
  const resources = resourcesOf([policy('default', 'web')])
  for (const name of resources.listener.keys()) {
    const has = filtersOf(resources, name).some(({ kind }) => kind === 'jwtAuthn')
    assert.equal(has, name === 'weft:inbound|80', name)
  }
})

test('a rule with nothing but an issuer looks where Istio looks', () => {
  const tokens = tokensOf([rules({ issuer: 'https://a.example/' })])
  const [provider] = tokens?.providers ?? []
  assert.deepEqual(provider?.from, [
    { kind: 'header', name: 'authorization', prefix: 'Bearer ' },
    { kind: 'query', name: 'access_token' },
  ])
  assert.deepEqual(provider?.keys, {
    kind: 'remote',
    uri: 'https://a.example/.well-known/openid-configuration',
    cluster: 'jwks|443|a.example',
    timeoutMs: 5_000,
    cacheMs: 300_000,
  })
  assert.deepEqual(provider?.spaceDelimitedClaims, ['permission', 'scope'])
  assert.equal(provider?.forward, false)
  assert.deepEqual(tokens?.requirement, {
    kind: 'any',
    of: [{ kind: 'provider', name: 'origins-0', audiences: [] }, { kind: 'allowMissing' }],
  })
  assert.equal(tokens?.bypassCorsPreflight, true)
})

test('R62: a rule whose keys nobody knows verifies nothing', () => {
  const [provider] = tokensOf([rules({ issuer: 'nobody' })])?.providers ?? []
  assert.deepEqual(provider?.keys, { kind: 'inline', jwks: '{"keys":[]}' })
})

test('rules of several policies hold together; a required token is required', () => {
  const a = { ...rules({ issuer: 'b', jwks: KEYS }), name: 'a' }
  const b = { ...rules({ issuer: 'a', jwks: KEYS, presence: 'REQUIRED' }), name: 'b' }
  const tokens = tokensOf([a, b])
  assert.deepEqual(
    tokens?.providers.map(({ issuer }) => issuer),
    ['a', 'b'],
  )
  assert.deepEqual(tokens?.requirement, {
    kind: 'all',
    of: [{ kind: 'provider', name: 'origins-0', audiences: [] }, { kind: 'allowMissing' }],
  })
})

test('keys of a service of the mesh come through its cluster, others through one of their own', () => {
  const inMesh = rules({ issuer: 'a', jwksUri: 'http://opa.auth.svc.cluster.local:8181/keys' })
  const keysOf = (policy: Written) => tokensOf([policy])?.providers[0]?.keys
  const keys = keysOf(inMesh)
  assert.equal(keys?.kind === 'remote' && keys.cluster, 'outbound|8181||opa.auth.svc.cluster.local')
  const outside = rules({ issuer: 'a', jwksUri: 'https://idp.example:8443/keys' })
  const cluster = resourcesOf([outside]).cluster.get('jwks|8443|idp.example')
  assert.equal(cluster?.tls?.sni, 'idp.example')
  assert.notEqual(cluster?.tls?.validation, undefined)
})

test('a gateway routes by claims, with their case, and looks for the route again', () => {
  const resources = resourcesOf([rules({ issuer: 'a', jwks: KEYS })], GATEWAY)
  const routes = [...resources.route.values()].flatMap(({ virtualHosts }) =>
    virtualHosts.flatMap((host) => host.routes),
  )
  assert.deepEqual(
    routes.flatMap(({ match }) => match.claims ?? []),
    [
      {
        path: ['org', 'Role'],
        value: { kind: 'exact', value: 'admin', ignoreCase: false },
        invert: false,
      },
    ],
  )
  const [name = ''] = resources.listener.keys()
  const [first] = filtersOf(resources, name)
  assert.equal(
    first?.kind === 'jwtAuthn' && first.authentication.providers[0]?.clearRouteCache,
    true,
  )
})

function askedBy(provider: string): readonly HttpFilterConfig[] {
  const spec = { action: 'CUSTOM', provider: { name: provider }, rules: [{}] }
  const policies = [
    rules({ issuer: 'a', jwks: KEYS }),
    { kind: 'AuthorizationPolicy', name: 'no', spec: { action: 'DENY', rules: [{}] } },
    { kind: 'AuthorizationPolicy', name: 'ask', spec },
  ]
  return filtersOf(resourcesOf(policies), 'weft:inbound|80')
}

test('CUSTOM asks its provider after tokens and before DENY, where a shadow rule matched', () => {
  const [tokens, shadow, asks, denies] = askedBy('opa')
  assert.deepEqual(
    [tokens, shadow, asks, denies].map((one) => one?.kind),
    ['jwtAuthn', 'rbac', 'extAuthz', 'rbac'],
  )
  assert.ok(shadow?.kind === 'rbac' && asks?.kind === 'extAuthz')
  assert.equal(shadow.rules, undefined)
  const name = 'istio-ext-authz-opa-ns[default]-policy[ask]-rule[0]'
  assert.deepEqual(
    shadow.shadowRules?.policies.map((one) => one.name),
    [name],
  )
  const { service, timeoutMs, failureModeAllow, condition } = asks.authorization
  const host = 'opa.auth.svc.cluster.local'
  assert.deepEqual(service, { kind: 'grpc', cluster: `outbound|9191||${host}`, authority: host })
  assert.deepEqual([timeoutMs, failureModeAllow], [2_000, false])
  assert.equal(condition?.value.value, 'istio-ext-authz-opa-ns[')
})

test('what an HTTP provider may see and say is what MeshConfig lists', () => {
  const asks = askedBy('web').find(({ kind }) => kind === 'extAuthz')
  assert.ok(asks?.kind === 'extAuthz')
  const { authorization: is } = asks
  assert.deepEqual([is.failureModeAllow, is.statusOnError], [true, 503])
  assert.deepEqual(is.requestHeaders, [
    { kind: 'exact', value: 'x-a', ignoreCase: true },
    { kind: 'prefix', value: 'x-b', ignoreCase: true },
  ])
  assert.deepEqual(is.requestBody, { maxBytes: 10, allowPartial: false, asBytes: false })
  assert.ok(is.service.kind === 'http')
  assert.deepEqual(
    is.service.upstreamHeaders.map(({ value }) => value),
    ['x-user'],
  )
})

test('R57: a provider that is not there lets nobody pass who would be asked about', () => {
  for (const name of ['bad', 'unknown']) {
    const [, denies] = askedBy(name)
    assert.ok(denies?.kind === 'rbac')
    assert.equal(denies.rules?.action, 'deny')
    assert.equal(denies.rules.policies.length, 1)
  }
})

test('nobody can be asked about a TCP connection, so it is refused', () => {
  const spec = { action: 'CUSTOM', provider: { name: 'opa' }, rules: [{}] }
  const resources = resourcesOf([{ kind: 'AuthorizationPolicy', spec }])
  const chains = resources.listener.get('weft:inbound|5432')?.filterChains ?? []
  assert.ok(chains.length > 0)
  for (const { rbac } of chains) assert.equal(rbac?.[0].rules?.action, 'deny')
})
