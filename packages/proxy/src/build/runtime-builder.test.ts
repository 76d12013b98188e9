import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { silentLogger } from '@weft/base'
import { type HttpConnectionManager, type Listener, NO_LIMITS } from '@weft/model'
import { createMemoryTransport, TimerWheel } from '@weft/net'
import { PEER_HEADER } from '@weft/telemetry'
import { FakeClock, seededRandom } from '@weft/testkit'
import { matchRoute } from '@weft/traffic'
import type { EngineDeps, ExchangeObserver, HttpRuntime } from '../exchange/contract.ts'
import { cluster, endpoints, listener, setOf, table } from '../test-resources.ts'
import { ClusterStore } from './cluster-store.ts'
import { NameResolver } from './name-resolver.ts'
import { RuntimeBuilder } from './runtime-builder.ts'
import { resourceProblem } from './validate.ts'

const REVIEWS = 'outbound|9080||reviews.default.svc.cluster.local'
const OUTSIDE = 'outbound|80||example.com'

const observer: ExchangeObserver = { onExchangeEnd() {}, onConnectionEnd() {} }

function fixture(lookup: (name: string) => Promise<readonly string[]> = async () => []) {
  const clock = new FakeClock()
  const engine: EngineDeps = {
    transport: createMemoryTransport(),
    clock,
    wheel: new TimerWheel(clock),
    random: seededRandom(1),
    log: silentLogger,
  } as EngineDeps
  const resolver = new NameResolver(
    { refreshMs: 5_000, maxConcurrent: 2, maxNames: 10 },
    { clock, log: silentLogger, lookup },
  )
  const clusters = new ClusterStore(engine, resolver)
  const builder = new RuntimeBuilder(
    { peer: 'w;d;a;v1;c' },
    { clusters, observerFor: () => observer },
  )
  return { builder, clusters, clock }
}

function httpOf(runtime: ReturnType<RuntimeBuilder['build']>, name: string): HttpRuntime {
  const handler = runtime.get(name)?.chains[0]?.handler
  assert.ok(handler?.kind === 'http')
  return handler
}

/** What the first route's target does to `x-weft-peer`. */
function peerChange(http: HttpRuntime): string {
  const decision =
    http.routes &&
    matchRoute(http.routes, {
      method: 'GET',
      scheme: 'http',
      authority: 'any',
      path: '/',
      header: () => undefined,
    })
  assert.ok(decision?.kind === 'matched')
  const action = decision.route.source.action
  assert.ok(action.kind === 'forward')
  const { requestHeaders } = action.targets[0]
  const set = requestHeaders.set.find(({ name }) => name === PEER_HEADER)
  if (set !== undefined) return set.value
  return requestHeaders.remove.includes(PEER_HEADER) ? 'removed' : 'left'
}

const base = {
  listener: [listener('l')],
  route: [table([REVIEWS])],
  cluster: [cluster(REVIEWS)],
  endpoints: [endpoints(REVIEWS, ['10.0.0.1'], true)],
}

describe('runtime builder', () => {
  test('an equal configuration gives the same trees', () => {
    const { builder } = fixture()
    const before = builder.build(setOf(base)).get('l')
    assert.equal(builder.build(setOf(base)).get('l'), before)
  })

  test('new endpoints rebuild no tree and keep the cluster with its hosts', () => {
    const { builder, clusters } = fixture()
    const before = builder.build(setOf(base)).get('l')
    const upstream = clusters.clusters.get(REVIEWS)
    const [host] = upstream?.hosts ?? []
    if (host !== undefined) host.activeRequests = 3
    const more = endpoints(REVIEWS, ['10.0.0.1', '10.0.0.2'], true)
    assert.equal(builder.build(setOf({ ...base, endpoints: [more] })).get('l'), before)
    assert.equal(clusters.clusters.get(REVIEWS), upstream)
    assert.deepEqual(
      upstream?.hosts.map(({ key, activeRequests }) => [key, activeRequests]),
      [
        ['10.0.0.1:80', 3],
        ['10.0.0.2:80', 0],
      ],
    )
  })

  test('a changed cluster keeps its run-time state under the new settings', () => {
    const { builder, clusters } = fixture()
    builder.build(setOf(base))
    const upstream = clusters.clusters.get(REVIEWS)
    assert.equal(upstream?.limits.admitRequest(), true)
    const limits = { ...NO_LIMITS, maxRequests: 1 }
    builder.build(setOf({ ...base, cluster: [{ ...cluster(REVIEWS), limits }] }))
    assert.equal(clusters.clusters.get(REVIEWS), upstream)
    assert.equal(upstream?.limits.admitRequest(), false)
  })

  test('a changed route table is a new tree; its neighbour stays', () => {
    const { builder } = fixture()
    const inbound = listener('in', 'inbound')
    const own: Listener = {
      ...inbound,
      filterChains: inbound.filterChains.map((chain) => ({
        ...chain,
        filter: {
          ...chain.filter,
          routes: { kind: 'inline', table: table(['x']) },
        } as HttpConnectionManager,
      })),
    }
    const before = builder.build(setOf({ ...base, listener: [listener('l'), own] }))
    const listeners = [before.get('l') && base.listener[0], own].filter((l) => l !== undefined)
    const after = builder.build(
      setOf({ ...base, listener: listeners, route: [table([REVIEWS, OUTSIDE])] }),
    )
    assert.notEqual(after.get('l'), before.get('l'))
    assert.equal(
      builder.build(setOf({ ...base, listener: listeners, route: base.route })).get('in'),
      after.get('in'),
    )
  })

  test('a route configuration that does not exist answers 404, a cluster that does not is unresolved', () => {
    const { builder } = fixture()
    const http = httpOf(builder.build(setOf({ ...base, route: [], cluster: [] })), 'l')
    assert.equal(http.routes?.virtualHosts.length, 0)
    assert.equal(http.clusters.size, 0)
  })

  test('only workloads of the mesh are told who calls, and nobody else what was made up', () => {
    const { builder } = fixture()
    assert.equal(peerChange(httpOf(builder.build(setOf(base)), 'l')), 'w;d;a;v1;c')
    const outside = endpoints(REVIEWS, ['10.0.0.1'], false)
    const moved = builder.build(setOf({ ...base, endpoints: [outside] }))
    assert.equal(peerChange(httpOf(moved, 'l')), 'removed')
    const inbound = httpOf(
      builder.build(setOf({ ...base, listener: [listener('in', 'inbound')] })),
      'in',
    )
    assert.deepEqual(inbound.requestStrips, [PEER_HEADER])
  })

  test('clusters that are gone are let go once nothing refers to them, and start anew when they return', () => {
    const { builder, clusters } = fixture()
    builder.build(setOf(base))
    const upstream = clusters.clusters.get(REVIEWS)
    builder.build(setOf({ ...base, cluster: [] }))
    assert.equal(clusters.clusters.size, 0)
    clusters.releaseGone()
    builder.build(setOf(base))
    assert.notEqual(clusters.clusters.get(REVIEWS), upstream)
  })

  test('a cluster that vanished and returned before it was let go goes on', () => {
    const { builder, clusters } = fixture()
    builder.build(setOf(base))
    const upstream = clusters.clusters.get(REVIEWS)
    builder.build(setOf({ ...base, cluster: [] }))
    builder.build(setOf(base))
    assert.equal(clusters.clusters.get(REVIEWS), upstream)
  })

  test('endpoints that are not there any more are kept until the control plane says that they are gone', () => {
    const { builder, clusters } = fixture()
    builder.build(setOf(base))
    builder.build(setOf({ ...base, endpoints: [] }))
    assert.equal(clusters.clusters.get(REVIEWS)?.hosts.length, 1)
    builder.build(setOf({ ...base, endpoints: [endpoints(REVIEWS, [], true)] }))
    assert.equal(clusters.clusters.get(REVIEWS)?.hosts.length, 0)
  })

  test('a cluster of names gets the addresses of its names', async () => {
    const { builder, clusters, clock } = fixture(async () => ['10.9.9.9'])
    const named = cluster(OUTSIDE, {
      kind: 'strictDns',
      endpoints: endpoints(OUTSIDE, ['example.com'], false),
    })
    builder.build(setOf({ ...base, cluster: [named] }))
    await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual(
      clusters.clusters.get(OUTSIDE)?.hosts.map(({ key }) => key),
      ['10.9.9.9:80'],
    )
    clusters.close()
    assert.equal(clock.pending, 0)
  })
})

describe('validation', () => {
  test('what can run has no problem', () => {
    assert.equal(resourceProblem('listener', listener('l')), undefined)
    assert.equal(resourceProblem('route', table([REVIEWS])), undefined)
    assert.equal(resourceProblem('cluster', cluster(REVIEWS)), undefined)
    const http = { ...cluster(REVIEWS).http, protocol: 'http2' as const }
    assert.equal(resourceProblem('cluster', { ...cluster(REVIEWS), http }), undefined)
    assert.equal(resourceProblem('endpoints', endpoints('c', ['10.0.0.1', '::1'], true)), undefined)
  })

  test('what cannot is named with its part', () => {
    const tls = { certificates: [], requireClientCertificate: false, alpn: [] }
    const twice = table([REVIEWS])
    const chains = listener('l').filterChains
    const problems = [
      resourceProblem('listener', {
        ...listener('l'),
        filterChains: chains.map((chain) => ({ ...chain, tls })),
      }),
      resourceProblem('listener', { ...listener('l'), filterChains: [...chains, ...chains] }),
      resourceProblem('listener', { ...listener('l'), filterChains: [] }),
      resourceProblem('listener', { ...listener('l'), address: { host: 'name', port: 1 } }),
      resourceProblem('route', {
        ...twice,
        virtualHosts: [...twice.virtualHosts, ...twice.virtualHosts],
      }),
      resourceProblem('endpoints', endpoints('c', ['a name'], true)),
    ]
    for (const [i, part] of [
      /chain "http": transport_socket/,
      /"http": the name must be unique/,
      /at least one/,
      /must be an IP address or the path of a Unix socket, got "name"/,
      /domain/,
      /"a name"/,
    ].entries()) {
      assert.match(problems[i] ?? 'none', part)
    }
  })
})
