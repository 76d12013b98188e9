/**
 * What of Gateway API is beside HTTPRoutes of Gateways, with traffic: ListenerSets, GRPCRoutes
 * with weights, mirrors and filters, and routes of the mesh, whose parent is a Service.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { eventually } from '@weft/testkit'
import { ask } from './ask.ts'
import { type App, startApp } from './echo.ts'
import {
  assertRow,
  type CaseMesh,
  fill,
  GATEWAY,
  httpRoute,
  type OpenCase,
  startCases,
  to,
} from './gateway-api-cases.ts'
import { serviceYaml } from './mesh.ts'

const MESH_PARENT = '[{group: "", kind: Service, name: v1}]'

describe('Gateway API beside HTTPRoutes of Gateways', () => {
  let shared: CaseMesh
  const grpcApps = new Map<string, App>()
  before(async () => {
    shared = await startCases()
    for (const name of ['g1', 'g2', 'g3']) grpcApps.set(name, await startApp(name, 'h2c'))
  })
  after(async () => {
    await shared[Symbol.asyncDispose]()
    for (const app of grpcApps.values()) await app[Symbol.asyncDispose]()
  })

  test('listeners of ListenerSets take requests beside those of their Gateway', async () => {
    const gateway = GATEWAY.replace(
      'gatewayClassName: weft\n',
      'gatewayClassName: weft\n  allowedListeners: {namespaces: {from: Same}}\n',
    )
    const open = await shared.open(`${gateway}---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: team, namespace: $NS}
spec:
  parentRef: {name: gw, kind: Gateway, group: gateway.networking.k8s.io}
  listeners:
  - {name: own, port: $P2, protocol: HTTP, hostname: team.example}
  - {name: shared, port: $P1, protocol: HTTP, hostname: team.example}
${httpRoute('gateway', `  rules: [{${to('v1')}}]`)}
${httpRoute('team', `  rules: [{${to('v2')}}]`, '[{kind: ListenerSet, name: team}]')}
${httpRoute(
  'one',
  `  rules: [{matches: [{path: {value: /one}}], ${to('v3')}}]`,
  '[{kind: ListenerSet, name: team, sectionName: own}]',
)}`)
    const rows = [
      [{ host: 'other.example' }, { backend: 'v1' }],
      [{ host: 'team.example' }, { backend: 'v2' }],
      [{ host: 'team.example', path: '/one' }, { backend: 'v2' }],
      [{ host: 'team.example', port: '$P2' }, { backend: 'v2' }],
      [{ host: 'team.example', path: '/one', port: '$P2' }, { backend: 'v3' }],
      [{ host: 'other.example', port: '$P2' }, { status: 404 }],
    ] as const
    for (const row of rows) await assertRow(row, open)
  })

  const grpcServices = () =>
    [...grpcApps]
      .map(([name, { port }]) =>
        serviceYaml(name, '$NS', [{ name: 'grpc', port: 9000, to: [port] }]),
      )
      .join('')
  const grpcRoute = (rules: string) => `${GATEWAY}${grpcServices()}---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: rpc, namespace: $NS}
spec:
  parentRefs: [{name: gw}]
  rules:
${rules}`
  const call = (
    { ports }: OpenCase,
    path: string,
    headers: Readonly<Record<string, string>> = {},
  ) =>
    ask({
      ...{ port: ports.$P1, method: 'POST', path, isHttp2: true },
      headers: { 'content-type': 'application/grpc', te: 'trailers', ...headers },
    })

  test('GRPCRoutes: methods, headers, weights', async () => {
    const open = await shared.open(
      grpcRoute(`  - matches: [{method: {service: shop.Cart, method: Add}}]
    backendRefs: [{name: g1, port: 9000}]
  - matches: [{method: {service: shop.Cart}, headers: [{name: color, value: blue}]}]
    backendRefs: [{name: g2, port: 9000}]
  - matches: [{method: {service: shop.Split}}]
    backendRefs: [{name: g1, port: 9000, weight: 3}, {name: g2, port: 9000, weight: 1}, {name: g3, port: 9000, weight: 0}]`),
    )
    assert.equal((await call(open, '/shop.Cart/Add')).echo?.backend, 'g1')
    assert.equal((await call(open, '/shop.Cart/Get', { color: 'blue' })).echo?.backend, 'g2')
    const nowhere = await call(open, '/shop.Cart/Get')
    // UNIMPLEMENTED, as gRPC has it.
    assert.deepEqual([nowhere.status, nowhere.headers['grpc-status']], [200, '12'])
    const counts: Record<string, number> = {}
    for (let i = 0; i < 200; i++) {
      const name = (await call(open, '/shop.Split/Any')).echo?.backend ?? 'none'
      counts[name] = (counts[name] ?? 0) + 1
    }
    const { g1 = 0, g2 = 0, ...others } = counts
    assert.deepEqual(others, {})
    // Five standard deviations of 200 draws.
    assert.ok(Math.abs(g1 - 150) < 31 && Math.abs(g2 - 50) < 31, JSON.stringify(counts))
  })

  test('GRPCRoutes: header filters and mirrors', async () => {
    const open = await shared.open(
      grpcRoute(`  - filters:
    - {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-set, value: new}], remove: [x-gone]}}
    - {type: ResponseHeaderModifier, responseHeaderModifier: {add: [{name: x-added, value: here}]}}
    - {type: RequestMirror, requestMirror: {backendRef: {name: g3, port: 9000}}}
    backendRefs: [{name: g1, port: 9000}]`),
    )
    for (let i = 0; i < 10; i++) {
      const answer = await call(open, '/shop.Mirrored/Do', { 'x-gone': '1', 'x-set': 'old' })
      assert.equal(answer.echo?.backend, 'g1')
      assert.equal(answer.echo.headers['x-set'], 'new')
      assert.equal(answer.echo.headers['x-gone'], undefined)
      assert.equal(answer.headers['x-added'], 'here')
    }
    const copies = () =>
      grpcApps.get('g3')?.seen.filter((path) => path === '/shop.Mirrored/Do').length
    await eventually(() => assert.equal(copies(), 10))
  })

  test('routes of the mesh: the producer’s holds for every caller, a consumer’s for its own namespace', async () => {
    const open = await shared.open(
      GATEWAY + httpRoute('producer', `  rules: [{${to('v2')}}]`, MESH_PARENT),
    )
    const { namespace } = open
    const consumer = `---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: consumer, namespace: ${namespace}-client}
spec:
  parentRefs: [{group: "", kind: Service, name: v1, namespace: ${namespace}}]
  rules:
  - matches: [{path: {value: /own}}]
    filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-consumer, value: here}]}}]
    backendRefs: [{name: v3, namespace: ${namespace}, port: 8080}]
`
    const grant = `---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: clients, namespace: ${namespace}}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: ${namespace}-client}]
  to: [{group: "", kind: Service}]
`
    shared.mesh.write('consumer.yaml', consumer + grant)
    const near = await shared.mesh.startSidecar('near', ['--namespace', namespace])
    const client = await shared.mesh.startSidecar('client', ['--namespace', `${namespace}-client`])
    const other = await shared.mesh.startSidecar('other', ['--namespace', 'elsewhere'])
    const host = `v1.${namespace}.svc.cluster.local:8080`
    const from = ({ port }: { port: number }, path: string) =>
      ask({ port, host, path: `http://${host}${path}` })
    for (const caller of [near, other]) {
      await eventually(async () => assert.equal((await from(caller, '/own')).echo?.backend, 'v2'))
    }
    await eventually(async () => assert.equal((await from(client, '/own')).echo?.backend, 'v3'))
    const own = await from(client, '/own')
    assert.equal(own.echo?.headers['x-consumer'], 'here')
    assert.equal((await from(near, '/own')).echo?.headers['x-consumer'], undefined)
    // A consumer's route stands in the producer's place: what it does not match is nobody's.
    assert.equal((await from(client, '/other')).status, 404)
    assert.equal((await from(other, '/other')).echo?.backend, 'v2')
  })

  test('conditions say for which generation of their object they hold', async () => {
    const at = (generation: number) =>
      GATEWAY.replace('name: gw,', `name: gw, generation: ${generation},`)
    const open = await shared.open(at(4))
    const generations = async () => {
      const { objects } = await shared.mesh.status()
      const own = objects.find(
        ({ kind, namespace }) => kind === 'Gateway' && namespace === open.namespace,
      )
      const all = own?.status?.conditions?.map((one) => one.observedGeneration) ?? []
      return [...new Set(all)]
    }
    assert.deepEqual(await generations(), [4])
    shared.mesh.write(`${open.namespace}.yaml`, fill(at(5), open))
    await eventually(async () => assert.deepEqual(await generations(), [5]))
  })
})
