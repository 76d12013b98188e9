/**
 * What does one finished exchange cost the observer, with the access log off?
 *
 * Budget: 300 ns. It runs once per request on the data path.
 *
 *     node --conditions=source packages/proxy/src/observe/observer.bench.ts
 */
import { type Cluster, type Endpoint, NO_LIMITS } from '@weft/model'
import { IstioMetrics, LogWriter, MetricsRegistry, PEER_HEADER, peerOf } from '@weft/telemetry'
import { FakeClock } from '@weft/testkit'
import type { ExchangeRecord } from '../exchange/contract.ts'
import { ClusterStats } from './cluster-stats.ts'
import { createObserver } from './observer.ts'

const workload = { name: 'w', namespace: 'd', app: 'a', version: 'v1', cluster: 'weft' }
const cluster: Cluster = {
  name: 'outbound|9080|v1|reviews.default.svc.cluster.local',
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
const endpoints: Endpoint[] = Array.from({ length: 10 }, (_, i) => ({
  address: { host: '10.0.0.1', port: i },
  weight: 1,
  health: 'healthy',
  workload,
}))

/** Reused and mutated, as the engine does. */
const record = {
  direction: 'outbound' as ExchangeRecord['direction'],
  listener: 'l',
  method: 'GET',
  path: '/reviews/1',
  authority: 'reviews:9080',
  protocol: 'HTTP/1.1' as const,
  status: 200,
  responseFlags: '-',
  responseCodeDetails: 'via_upstream',
  failureDetail: '',
  requestBytes: 0,
  responseBytes: 295,
  startedAtMs: 0,
  durationMs: 3,
  upstreamMs: 2,
  attempts: 1,
  virtualHost: undefined,
  route: undefined,
  cluster,
  endpoint: endpoints[0],
  upstreamAddress: endpoints[0]?.address,
  downstreamRemote: { host: '127.0.0.1', port: 40_000 },
  downstreamDirect: { host: '127.0.0.1', port: 40_000 },
  client: { host: '127.0.0.1', port: 40_000 },
  downstreamLocal: { host: '127.0.0.1', port: 15_001 },
  requestId: 'id',
  requestHeader: (name: string) => (name === PEER_HEADER ? 'w;d;a;v1;weft' : undefined),
  responseHeader: () => undefined,
}

const ROUNDS = 7
const CALLS = 1_000_000

for (const name of ['source', 'destination', 'source, log on'] as const) {
  const registry = new MetricsRegistry()
  const istio = new IstioMetrics(registry, { maxSeries: 5_000, expiryMs: 900_000, version: '0' })
  const discard = { write: async () => {}, reopen: async () => {}, close: async () => {} }
  const logs = name === 'source, log on' ? [new LogWriter(discard, new FakeClock())] : []
  const observer = createObserver(
    {
      reporter: name === 'destination' ? 'destination' : 'source',
      self: peerOf(workload),
      labelsHosts: true,
    },
    { istio, clusters: new ClusterStats(registry), logs: logs.map((writer) => ({ writer })) },
  )
  const rounds: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const startedAt = performance.now()
    for (let i = 0; i < CALLS; i++) {
      record.endpoint = endpoints[i % endpoints.length]
      record.status = i % 50 === 0 ? 404 : 200
      record.durationMs = i % 40
      observer.onExchangeEnd(record)
    }
    rounds.push(((performance.now() - startedAt) * 1e6) / CALLS)
    if (logs.length > 0) await logs[0]?.flush()
  }
  rounds.sort((a, b) => a - b)
  console.log(`${name}: ${rounds[ROUNDS >> 1]?.toFixed(0)} ns/exchange (median of ${ROUNDS})`)
}
