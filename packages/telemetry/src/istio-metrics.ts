/**
 * Istio's standard metrics, name by name and label by label, so that Kiali,
 * Flagger, Argo Rollouts and existing dashboards read a Weft proxy as they read
 * Istio's. Labels are in the order of Istio's own exposition.
 *
 * Hot path: `httpSlot` joins 27 strings, so callers keep the slot per
 * (destination, status, flags) and only come back when `epoch` moved.
 */
import type { HistogramMetric, MetricsRegistry, ScalarMetric } from './metrics.ts'
import type { Peer } from './peer.ts'
import type { SeriesTable } from './series-table.ts'

export interface IstioMetricsOptions {
  /** Bound of live label sets, HTTP and TCP each. */
  readonly maxSeries: number
  /** A label set without a request for longer goes, in milliseconds; 0 means never. */
  readonly expiryMs: number
  /** For `istio_build`. */
  readonly version: string
}

/** Which end of the hop reports: the client's proxy or the server's. */
export type Reporter = 'source' | 'destination'

export interface CallLabels {
  readonly reporter: Reporter
  readonly source: Peer
  readonly destination: Peer
  readonly service: ServiceLabels
  /** Letters as in the access log, `-` for none. */
  readonly responseFlags: string
  /** Istio says `unknown` at the source: only the server's end can tell. */
  readonly securityPolicy: 'unknown' | 'none' | 'mutual_tls'
}

/** `destination_service…`. */
export interface ServiceLabels {
  readonly host: string
  readonly name: string
  readonly namespace: string
}

export interface HttpCallLabels extends CallLabels {
  readonly protocol: 'http' | 'grpc' | 'rsocket'
  /** 0 when the client left before there was a status. */
  readonly responseCode: number
  /** Empty when the call was not gRPC. */
  readonly grpcStatus: string
}

const PEER_AND_SERVICE_LABELS = [
  'reporter',
  'source_workload',
  'source_canonical_service',
  'source_canonical_revision',
  'source_workload_namespace',
  'source_principal',
  'source_app',
  'source_version',
  'source_cluster',
  'destination_workload',
  'destination_workload_namespace',
  'destination_principal',
  'destination_app',
  'destination_version',
  'destination_service',
  'destination_canonical_service',
  'destination_canonical_revision',
  'destination_service_name',
  'destination_service_namespace',
  'destination_cluster',
  'request_protocol',
] as const

const HTTP_LABELS = [
  ...PEER_AND_SERVICE_LABELS,
  'response_code',
  'grpc_response_status',
  'response_flags',
  'connection_security_policy',
] as const

const TCP_LABELS = [
  ...PEER_AND_SERVICE_LABELS,
  'response_flags',
  'connection_security_policy',
] as const

export class IstioMetrics {
  readonly #http: SeriesTable
  readonly #tcp: SeriesTable
  readonly #requests: ScalarMetric
  readonly #duration: HistogramMetric
  readonly #requestBytes: HistogramMetric
  readonly #responseBytes: HistogramMetric
  readonly #requestMessages: ScalarMetric
  readonly #responseMessages: ScalarMetric
  readonly #sent: ScalarMetric
  readonly #received: ScalarMetric
  readonly #opened: ScalarMetric
  readonly #closed: ScalarMetric

  constructor(registry: MetricsRegistry, options: IstioMetricsOptions) {
    const { maxSeries, expiryMs } = options
    const bounded = { maxSeries, expiryMs, keptOnOverflow: ['reporter'] }
    const http = registry.table({ labels: HTTP_LABELS, ...bounded })
    const tcp = registry.table({ labels: TCP_LABELS, ...bounded })
    this.#http = http
    this.#tcp = tcp
    this.#requests = registry.counter('istio_requests_total', '', http)
    this.#duration = registry.histogram('istio_request_duration_milliseconds', '', http)
    this.#requestBytes = registry.histogram('istio_request_bytes', '', http)
    this.#responseBytes = registry.histogram('istio_response_bytes', '', http)
    this.#requestMessages = registry.partialCounter('istio_request_messages_total', '', http)
    this.#responseMessages = registry.partialCounter('istio_response_messages_total', '', http)
    this.#sent = registry.counter('istio_tcp_sent_bytes_total', '', tcp)
    this.#received = registry.counter('istio_tcp_received_bytes_total', '', tcp)
    this.#opened = registry.counter('istio_tcp_connections_opened_total', '', tcp)
    this.#closed = registry.counter('istio_tcp_connections_closed_total', '', tcp)
    const build = registry.table({ labels: ['component', 'tag'], maxSeries: 1, expiryMs: 0 })
    registry.gauge('istio_build', '', build).set(build.slot(['proxy', options.version]), 1)
    reportOverflow(registry, { http, tcp })
  }

  /** Moves whenever an HTTP slot may have become another's. */
  get httpEpoch(): number {
    return this.#http.epoch
  }

  /** The slot of a label set, for `recordHttp`; good until `httpEpoch` moves. */
  httpSlot(call: HttpCallLabels): number {
    return this.#http.slot([
      ...commonValues(call, call.protocol),
      String(call.responseCode),
      call.grpcStatus,
      call.responseFlags,
      call.securityPolicy,
    ])
  }

  recordHttp(slot: number, durationMs: number, requestBytes: number, responseBytes: number): void {
    this.#http.touch(slot)
    this.#requests.add(slot, 1)
    this.#duration.record(slot, durationMs)
    this.#requestBytes.record(slot, requestBytes)
    this.#responseBytes.record(slot, responseBytes)
  }

  /** What a gRPC call adds to `recordHttp`. */
  recordMessages(slot: number, requestMessages: number, responseMessages: number): void {
    this.#requestMessages.add(slot, requestMessages)
    this.#responseMessages.add(slot, responseMessages)
  }

  /** A TCP connection or tunnel began. Resolve at each end: flags differ then. */
  recordTcpOpened(call: CallLabels): void {
    this.#opened.add(this.#tcpSlot(call), 1)
  }

  /**
   * A TCP connection or tunnel ended.
   *
   * @param receivedBytes From the client.
   * @param sentBytes To the client.
   */
  recordTcpClosed(call: CallLabels, receivedBytes: number, sentBytes: number): void {
    const slot = this.#tcpSlot(call)
    this.#closed.add(slot, 1)
    this.#received.add(slot, receivedBytes)
    this.#sent.add(slot, sentBytes)
  }

  #tcpSlot(call: CallLabels): number {
    return this.#tcp.slot([...commonValues(call, 'tcp'), call.responseFlags, call.securityPolicy])
  }
}

/** In the order of `PEER_AND_SERVICE_LABELS`. */
function commonValues(call: CallLabels, protocol: string): string[] {
  const { source, destination, service } = call
  return [
    call.reporter,
    source.workload,
    source.canonicalService,
    source.canonicalRevision,
    source.namespace,
    source.principal,
    source.app,
    source.version,
    source.cluster,
    destination.workload,
    destination.namespace,
    destination.principal,
    destination.app,
    destination.version,
    service.host,
    destination.canonicalService,
    destination.canonicalRevision,
    service.name,
    service.namespace,
    destination.cluster,
    protocol,
  ]
}

/** A bound that bites silently is a lie in the dashboard: it says so itself. */
function reportOverflow(
  registry: MetricsRegistry,
  tables: Readonly<Record<string, SeriesTable>>,
): void {
  const own = registry.table({ labels: ['table'], maxSeries: 8, expiryMs: 0 })
  const overflowed = registry.counter(
    'weft_metric_overflow_total',
    'Label sets that found no room and were counted as overflow.',
    own,
  )
  registry.onCollect(() => {
    for (const [name, table] of Object.entries(tables)) {
      overflowed.set(own.slot([name]), table.overflowed)
    }
  })
}
