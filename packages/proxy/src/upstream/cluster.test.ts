import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Cluster, Endpoints } from '@weft/model'
import { NO_LIMITS, NO_LOCALITY } from '@weft/model'
import { createMemoryTransport, TimerWheel } from '@weft/net'
import { FakeClock, seededRandom } from '@weft/testkit'
import { FIRST_PICK, type Host } from '@weft/traffic'
import type { EngineDeps } from '../exchange/contract.ts'
import { UpstreamCluster } from './cluster.ts'

const CLUSTER: Cluster = {
  name: 'c',
  discovery: { kind: 'eds', name: 'c' },
  loadBalancer: { kind: 'roundRobin' },
  connectTimeoutMs: 1_000,
  limits: NO_LIMITS,
  http: {
    protocol: 'http1',
    idleTimeoutMs: 0,
    maxRequestsPerConnection: 0,
    maxConcurrentStreams: 0,
  },
  origins: [],
}

function endpoints(...hosts: readonly string[]): Endpoints {
  const list = hosts.map((host) => ({
    address: { host, port: 80 },
    weight: 1,
    health: 'healthy' as const,
  }))
  return {
    name: 'c',
    localities: [{ locality: NO_LOCALITY, priority: 0, weight: 1, endpoints: list }],
  }
}

function start(more: Partial<Cluster>, count: number, parts: Partial<EngineDeps> = {}) {
  const clock = new FakeClock()
  const log = { debug() {}, info() {}, warn() {}, error() {} }
  const deps = {
    transport: createMemoryTransport(),
    clock,
    wheel: new TimerWheel(clock),
    random: seededRandom(1),
    log,
    ...parts,
  } as unknown as EngineDeps
  const names = Array.from({ length: count }, (_, i) => `10.0.0.${i}`)
  const cluster = new UpstreamCluster({ ...CLUSTER, ...more }, endpoints(...names), deps)
  const seen = (picks: number) =>
    new Set(Array.from({ length: picks }, () => cluster.pick(FIRST_PICK)))
  return { cluster, clock, seen, hosts: cluster.hosts }
}

const OUTLIER = {
  consecutive5xx: 1,
  consecutiveGatewayErrors: 0,
  consecutiveLocalOriginFailures: 0,
  splitLocalOriginErrors: false,
  intervalMs: 10_000,
  baseEjectionMs: 30_000,
  maxEjectionPercent: 100,
  minHealthPercent: 0,
}

describe('a cluster at run time', () => {
  test('panics at less than half of its hosts, and not at all at 0 % (R19)', () => {
    const eject = ({ cluster, hosts }: ReturnType<typeof start>, count: number) => {
      for (const host of hosts.slice(0, count)) {
        cluster.noteDone(host, { status: 503, latencyMs: 1 }, 0)
      }
    }
    const usual = start({ outlierDetection: OUTLIER }, 10)
    eject(usual, 5)
    assert.equal(usual.seen(100).size, 5)
    eject(usual, 6)
    assert.equal(usual.seen(100).size, 10)
    const never = start({ outlierDetection: OUTLIER, panicPercent: 0 }, 10)
    eject(never, 9)
    assert.equal(never.seen(100).size, 1)
    never.clock.advance(30_000)
    assert.equal(never.seen(100).size, 10)
  })

  test('named statuses eject, others do not, and ejections are counted under Envoy’s names', () => {
    const counted = new Map<string, number>()
    const filterStats = {
      counter:
        ({ name }: { readonly name: string }, leaf: string) =>
        (amount = 1) => {
          counted.set(`${name} ${leaf}`, (counted.get(`${name} ${leaf}`) ?? 0) + amount)
        },
      gauge: () => () => {},
    }
    const outlierDetection = { ...OUTLIER, maxEjectionPercent: 50, errorCodes: [429] }
    const { cluster, hosts, seen } = start({ outlierDetection }, 2, { filterStats })
    const [a, b] = hosts
    assert.ok(a && b)
    cluster.noteDone(a, { status: 500, latencyMs: 1 }, 0)
    assert.equal(seen(50).size, 2)
    cluster.noteDone(a, { status: 429, latencyMs: 1 }, 0)
    cluster.noteDone(b, { status: 429, latencyMs: 1 }, 0)
    assert.deepEqual([...seen(50)], [b])
    const leaf = `${cluster.model.name} outlier_detection.ejections_`
    assert.deepEqual(Object.fromEntries(counted), {
      [`${leaf}enforced_total`]: 1,
      [`${leaf}enforced_consecutive_5xx`]: 1,
      [`${leaf}overflow`]: 1,
    })
  })

  test('a change of its balancer keeps hosts, their counts and who is ejected', () => {
    const { cluster, hosts, seen } = start({ outlierDetection: OUTLIER }, 3)
    const [first] = hosts
    assert.ok(first)
    first.activeRequests = 4
    cluster.noteDone(first, { status: 500, latencyMs: 1 }, 0)
    cluster.configure({
      ...CLUSTER,
      outlierDetection: OUTLIER,
      loadBalancer: { kind: 'leastRequest', choices: 2 },
    })
    assert.equal(cluster.hosts[0], first)
    assert.equal(first.activeRequests, 4)
    assert.equal(seen(100).has(first), false)
  })

  test('latency and failures reach the balancer', () => {
    const { cluster, hosts, seen } = start(
      { loadBalancer: { kind: 'peakEwma', decayMs: 10_000 } },
      2,
    )
    const [a, b] = hosts
    assert.ok(a && b)
    const only = (host: Host) => assert.deepEqual([...seen(50)], [host])
    cluster.noteDone(a, { status: 200, latencyMs: 50 }, 0)
    cluster.noteDone(b, { status: 200, latencyMs: 10 }, 0)
    only(b)
    cluster.noteDone(b, { latencyMs: 0 }, 0)
    only(a)
  })
})
