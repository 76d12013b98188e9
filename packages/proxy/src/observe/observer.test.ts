import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Cluster, type Endpoint, NO_LIMITS } from '@weft/model'
import {
  IstioMetrics,
  type LogSink,
  LogWriter,
  MetricsRegistry,
  PEER_HEADER,
  peerOf,
  type Reporter,
  renderMetrics,
} from '@weft/telemetry'
import { FakeClock } from '@weft/testkit'
import type { ExchangeRecord } from '../exchange/contract.ts'
import { ClusterStats } from './cluster-stats.ts'
import { createObserver } from './observer.ts'

const self = peerOf({
  name: 'productpage-v1',
  namespace: 'default',
  app: 'productpage',
  version: 'v1',
  cluster: 'weft',
})

function clusterNamed(name: string, service?: Cluster['service']): Cluster {
  return {
    name,
    discovery: { kind: 'eds', name },
    loadBalancer: { kind: 'roundRobin' },
    connectTimeoutMs: 1_000,
    limits: NO_LIMITS,
    http: {
      protocol: 'http1',
      idleTimeoutMs: 0,
      maxRequestsPerConnection: 0,
      maxConcurrentStreams: 0,
    },
    ...(service === undefined ? {} : { service }),
    origins: [],
  }
}

const reviews = clusterNamed('outbound|9080|v1|reviews.shop.svc.cluster.local')
const endpoint: Endpoint = {
  address: { host: '10.0.0.1', port: 9080 },
  weight: 1,
  health: 'healthy',
  workload: {
    name: 'reviews-v1',
    namespace: 'shop',
    app: 'reviews',
    version: 'v1',
    cluster: 'weft',
  },
}

const record: ExchangeRecord = {
  direction: 'outbound',
  listener: 'weft:outbound',
  method: 'GET',
  path: '/reviews/1',
  authority: 'reviews:9080',
  protocol: 'HTTP/1.1',
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
  cluster: reviews,
  endpoint,
  upstreamAddress: endpoint.address,
  downstreamRemote: { host: '127.0.0.1', port: 40_000 },
  downstreamDirect: { host: '127.0.0.1', port: 40_000 },
  client: { host: '127.0.0.1', port: 40_000 },
  downstreamLocal: { host: '127.0.0.1', port: 15_001 },
  requestId: 'id',
  requestHeader: () => undefined,
  responseHeader: () => undefined,
}

function fixture(reporter: Reporter, maxSeries = 100, labelsHosts = true) {
  const registry = new MetricsRegistry()
  const istio = new IstioMetrics(registry, { maxSeries, expiryMs: 60_000, version: '0' })
  const lines: string[] = []
  const sink: LogSink = {
    write: async (bytes) => {
      lines.push(Buffer.from(bytes).toString())
    },
    reopen: async () => {},
    close: async () => {},
  }
  const log = new LogWriter(sink, new FakeClock())
  const observer = createObserver(
    { reporter, self, labelsHosts },
    { istio, clusters: new ClusterStats(registry), logs: [{ writer: log }] },
  )
  const text = () => [...renderMetrics(registry, 'prometheus')].join('')
  /** The labels of every `istio_requests_total`, with their counts. */
  const requests = () =>
    text()
      .split('\n')
      .filter((line) => line.startsWith('istio_requests_total{'))
  return { registry, observer, log, lines, text, requests }
}

describe('observer', () => {
  test('an outbound call names both workloads and the service', () => {
    const { observer, requests, text } = fixture('source')
    observer.onExchangeEnd(record)
    observer.onExchangeEnd(record)
    const [line = '', ...others] = requests()
    assert.equal(others.length, 0)
    for (const part of [
      'reporter="source"',
      'source_workload="productpage-v1"',
      'destination_workload="reviews-v1"',
      'destination_workload_namespace="shop"',
      'destination_version="v1"',
      'destination_service="reviews.shop.svc.cluster.local"',
      'destination_service_name="reviews"',
      'destination_service_namespace="shop"',
      'response_code="200"',
      'connection_security_policy="unknown"',
    ]) {
      assert.ok(line.includes(part), `${part} in ${line}`)
    }
    assert.match(line, / 2$/)
    const cluster = `envoy_cluster_name="${reviews.name}"`
    assert.ok(text().includes(`envoy_cluster_upstream_rq_total{${cluster}} 2\n`))
    assert.ok(
      text().includes(`envoy_cluster_upstream_rq_xx{envoy_response_code_class="2",${cluster}} 2\n`),
    )
  })

  test('endings are told apart by status and flags', () => {
    const { observer, requests } = fixture('source')
    observer.onExchangeEnd({ ...record, status: 503, responseFlags: 'UH', endpoint: undefined })
    observer.onExchangeEnd({ ...record, status: 503 })
    observer.onExchangeEnd({ ...record, status: 0, responseFlags: 'DC' })
    assert.deepEqual(
      requests().map((line) =>
        /response_code="(\d+)".*response_flags="([^"]+)"/.exec(line)?.slice(1),
      ),
      [
        ['503', 'UH'],
        ['503', '-'],
        ['0', 'DC'],
      ],
    )
  })

  test('a gRPC call says so, with its status and its messages; plain HTTP has neither', () => {
    const { observer, requests, text } = fixture('source')
    const call = { ...record, requestMessages: 1, responseMessages: 2 }
    observer.onExchangeEnd(record)
    observer.onExchangeEnd({ ...call, grpcStatus: '0' })
    observer.onExchangeEnd({ ...call, grpcStatus: '5', responseMessages: 0 })
    observer.onExchangeEnd({ ...call, grpcStatus: '0' })
    // No status of its own: that of HTTP stands in. Not a status at all: no label of its own.
    observer.onExchangeEnd({ ...call, status: 503, responseFlags: 'UF' })
    observer.onExchangeEnd({ ...call, grpcStatus: 'x"y' })
    observer.onExchangeEnd({ ...call, grpcStatus: '99' })
    observer.onExchangeEnd({ ...call, status: 0, responseFlags: 'DC' })
    const labels =
      /request_protocol="(\w+)",response_code="(\d+)",grpc_response_status="([^"]*)".* (\d+)$/
    const told = (lines: readonly string[]) => lines.map((line) => labels.exec(line)?.slice(1))
    assert.deepEqual(told(requests()), [
      ['http', '200', '', '1'],
      ['grpc', '200', '0', '2'],
      ['grpc', '200', '5', '1'],
      ['grpc', '503', '14', '1'],
      ['grpc', '200', '-1', '2'],
      ['grpc', '0', '', '1'],
    ])
    const samples = (name: string) =>
      told(
        text()
          .split('\n')
          .filter((line) => line.startsWith(`${name}{`)),
      )
    assert.deepEqual(samples('istio_request_messages_total'), [
      ['grpc', '200', '0', '2'],
      ['grpc', '200', '5', '1'],
      ['grpc', '503', '14', '1'],
      ['grpc', '200', '-1', '2'],
      ['grpc', '0', '', '1'],
    ])
    assert.deepEqual(samples('istio_response_messages_total')[0], ['grpc', '200', '0', '4'])
  })

  test('retries count as requests of the cluster and as retries, but as one call', () => {
    const { observer, requests, text } = fixture('source')
    observer.onExchangeEnd({ ...record, attempts: 3 })
    assert.match(requests()[0] ?? '', / 1$/)
    assert.match(text(), /^envoy_cluster_upstream_rq_total\{.*\} 3$/m)
    assert.match(text(), /^envoy_cluster_upstream_rq_retry\{.*\} 2$/m)
  })

  test('an inbound call names its caller when a Weft proxy told', () => {
    const { observer, requests } = fixture('destination')
    const cluster = clusterNamed('inbound|9080||', {
      host: 'productpage.default.svc.cluster.local',
      name: 'productpage',
      namespace: 'default',
    })
    const caller = 'gateway;edge;gateway;latest;weft'
    observer.onExchangeEnd({
      ...record,
      direction: 'inbound',
      cluster,
      requestHeader: (name) => (name === PEER_HEADER ? caller : undefined),
    })
    observer.onExchangeEnd({ ...record, direction: 'inbound', cluster })
    const [told = '', untold = ''] = requests()
    assert.match(told, /reporter="destination",source_workload="gateway"/)
    assert.match(told, /source_workload_namespace="edge"/)
    assert.match(told, /destination_workload="productpage-v1"/)
    assert.match(told, /destination_service_name="productpage"/)
    assert.match(told, /connection_security_policy="none"/)
    assert.match(untold, /source_workload="unknown"/)
  })

  test('a hundred thousand hosts, callers and statuses leave a bounded number of series', () => {
    const { observer, requests, registry } = fixture('source', 200)
    const passthrough = clusterNamed('PassthroughCluster')
    for (let i = 0; i < 100_000; i++) {
      if (i % 1_000 === 0) registry.sweep(i)
      observer.onExchangeEnd({
        ...record,
        cluster: passthrough,
        endpoint: undefined,
        authority: `h${i}.example`,
        status: 100 + (i % 900),
      })
    }
    assert.equal(requests().length, 201)
    const total = requests().reduce((sum, line) => sum + Number(/\d+$/.exec(line)?.[0]), 0)
    assert.ok(total > 0)
  })

  test('calls to addresses are one service', () => {
    const { observer, requests } = fixture('source')
    for (let i = 0; i < 50; i++) {
      observer.onExchangeEnd({
        ...record,
        cluster: clusterNamed('PassthroughCluster'),
        endpoint: undefined,
        authority: `10.0.0.${i}:80`,
      })
    }
    assert.equal(requests().length, 1)
    assert.match(requests()[0] ?? '', /destination_service_name="PassthroughCluster"/)
  })

  test('at a gateway nobody outside can invent hosts', () => {
    const { observer, requests } = fixture('source', 100, false)
    observer.onExchangeEnd({
      ...record,
      cluster: undefined,
      endpoint: undefined,
      status: 404,
      responseFlags: 'NR',
    })
    assert.match(requests()[0] ?? '', /destination_service="unknown"/)
  })

  test('series that expired are counted anew, in their own labels', () => {
    const { observer, requests, registry } = fixture('source')
    observer.onExchangeEnd(record)
    registry.sweep(120_000)
    assert.equal(requests().length, 0)
    observer.onExchangeEnd({ ...record, status: 404 })
    observer.onExchangeEnd(record)
    assert.deepEqual(
      requests().map((line) => /response_code="(\d+)".* (\d+)$/.exec(line)?.slice(1)),
      [
        ['404', '1'],
        ['200', '1'],
      ],
    )
  })

  test('a connection without HTTP counts its bytes under TCP', () => {
    const { observer, text } = fixture('source')
    const connection = {
      direction: 'outbound',
      listener: 'l',
      responseFlags: '-',
      failureDetail: '',
      receivedBytes: 5,
      sentBytes: 7,
      startedAtMs: 0,
      durationMs: 1,
      cluster: reviews,
      endpoint,
      upstreamAddress: endpoint.address,
      downstreamRemote: record.downstreamRemote,
      downstreamDirect: record.downstreamRemote,
      client: record.downstreamRemote,
      downstreamLocal: record.downstreamLocal,
    } as const
    const tcp = { ...connection, upstreamLocal: undefined, attempts: 1, serverName: undefined }
    observer.onConnectionStart?.({ ...tcp, receivedBytes: 0, sentBytes: 0, opened: true })
    const opened = /^istio_tcp_connections_opened_total\{.*\} 1$/m
    const closed = /^istio_tcp_connections_closed_total\{.*\} 1$/m
    assert.match(text(), opened)
    assert.doesNotMatch(text(), closed, 'it is open')
    observer.onConnectionEnd({ ...tcp, opened: true })
    assert.match(text(), opened)
    assert.match(text(), closed)
    assert.match(
      text(),
      /^istio_tcp_received_bytes_total\{.*destination_workload="reviews-v1".*request_protocol="tcp".*\} 5$/m,
    )
    assert.match(text(), /^istio_tcp_sent_bytes_total\{.*\} 7$/m)
  })

  test('the access log has a line per exchange', async () => {
    const { observer, log, lines } = fixture('source')
    observer.onExchangeEnd(record)
    await log.flush()
    const line: unknown = JSON.parse(lines.join(''))
    assert.partialDeepStrictEqual(line, {
      method: 'GET',
      path: '/reviews/1',
      response_code: 200,
      upstream_cluster: reviews.name,
      upstream_host: '10.0.0.1:9080',
      downstream_remote_address: '127.0.0.1:40000',
      upstream_service_time: '2',
    })
  })
})
