import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type HttpCallLabels, IstioMetrics } from './istio-metrics.ts'
import { MetricsRegistry } from './metrics.ts'
import { peerOf, UNKNOWN_PEER } from './peer.ts'
import { renderMetrics } from './prometheus.ts'

const call: HttpCallLabels = {
  reporter: 'source',
  source: peerOf({
    name: 'productpage-v1',
    namespace: 'default',
    app: 'productpage',
    version: 'v1',
    cluster: 'Kubernetes',
  }),
  destination: peerOf({
    name: 'reviews',
    namespace: 'shop',
    app: 'reviews',
    version: 'latest',
    cluster: 'weft',
  }),
  service: { host: 'reviews.shop.svc.cluster.local', name: 'reviews', namespace: 'shop' },
  protocol: 'http',
  responseCode: 200,
  grpcStatus: '',
  responseFlags: '-',
  securityPolicy: 'unknown',
}

const options = { maxSeries: 10, expiryMs: 0, version: '0.1.0' }

test('istio_requests_total has the labels of Istio, byte for byte', () => {
  const registry = new MetricsRegistry()
  const metrics = new IstioMetrics(registry, options)
  metrics.recordHttp(metrics.httpSlot(call), 12, 100, 2_000)
  const text = [...renderMetrics(registry, 'prometheus')].join('')
  const labels =
    'reporter="source",source_workload="productpage-v1",source_canonical_service="productpage",' +
    'source_canonical_revision="v1",source_workload_namespace="default",source_principal="unknown",' +
    'source_app="productpage",source_version="v1",source_cluster="Kubernetes",' +
    'destination_workload="reviews",destination_workload_namespace="shop",' +
    'destination_principal="unknown",destination_app="reviews",destination_version="unknown",' +
    'destination_service="reviews.shop.svc.cluster.local",' +
    'destination_canonical_service="reviews",destination_canonical_revision="latest",' +
    'destination_service_name="reviews",destination_service_namespace="shop",' +
    'destination_cluster="weft",request_protocol="http",response_code="200",' +
    'grpc_response_status="",response_flags="-",connection_security_policy="unknown"'
  assert.ok(text.includes(`istio_requests_total{${labels}} 1\n`), text)
  assert.ok(
    text.includes(`istio_request_duration_milliseconds_bucket{${labels},le="10"} 0\n`),
    text,
  )
  assert.ok(text.includes(`istio_request_duration_milliseconds_bucket{${labels},le="25"} 1\n`))
  assert.ok(text.includes(`istio_request_bytes_sum{${labels}} 100\n`))
  assert.ok(text.includes(`istio_response_bytes_sum{${labels}} 2000\n`))
  assert.ok(text.includes('istio_build{component="proxy",tag="0.1.0"} 1\n'))
})

test('TCP metrics have no HTTP label and count both ends of a connection', () => {
  const registry = new MetricsRegistry()
  const metrics = new IstioMetrics(registry, options)
  metrics.recordTcpOpened(call)
  metrics.recordTcpClosed({ ...call, source: UNKNOWN_PEER }, 10, 20)
  const text = [...renderMetrics(registry, 'prometheus')].join('')
  assert.match(
    text,
    /^istio_tcp_connections_opened_total\{reporter="source".*,request_protocol="tcp",response_flags="-",connection_security_policy="unknown"\} 1$/m,
  )
  assert.match(text, /^istio_tcp_received_bytes_total\{.*source_workload="unknown".*\} 10$/m)
  assert.match(text, /^istio_tcp_sent_bytes_total\{.*source_workload="unknown".*\} 20$/m)
  assert.doesNotMatch(text, /istio_tcp[^\n]*response_code/)
})

test('what found no room is counted, and the count is exported', () => {
  const registry = new MetricsRegistry()
  const metrics = new IstioMetrics(registry, { ...options, maxSeries: 1 })
  for (const responseCode of [200, 404, 500]) {
    metrics.recordHttp(metrics.httpSlot({ ...call, responseCode }), 1, 0, 0)
  }
  const text = [...renderMetrics(registry, 'prometheus')].join('')
  assert.match(text, /^weft_metric_overflow_total\{table="http"\} 2$/m)
  assert.match(text, /^istio_requests_total\{reporter="source",source_workload="overflow".*\} 2$/m)
})

test('messages are counted for gRPC calls, and plain HTTP calls show no such series', () => {
  const registry = new MetricsRegistry()
  const metrics = new IstioMetrics(registry, options)
  metrics.recordHttp(metrics.httpSlot(call), 1, 0, 0)
  const slot = metrics.httpSlot({ ...call, protocol: 'grpc', grpcStatus: '0' })
  metrics.recordHttp(slot, 1, 0, 0)
  metrics.recordMessages(slot, 1, 3)
  metrics.recordMessages(slot, 1, 4)
  const lines = [...renderMetrics(registry, 'prometheus')].join('').split('\n')
  const samplesOf = (name: string) => lines.filter((line) => line.startsWith(`${name}{`))
  assert.equal(samplesOf('istio_requests_total').length, 2)
  const [requests = '', ...more] = samplesOf('istio_request_messages_total')
  assert.match(requests, /request_protocol="grpc".*grpc_response_status="0".* 2$/)
  assert.equal(more.length, 0)
  assert.match(samplesOf('istio_response_messages_total').join('|'), /^[^|]+ 7$/)
})
