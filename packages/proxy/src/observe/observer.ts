/**
 * What a proxy remembers of every exchange: Istio's metrics, Envoy's counters
 * and the access log. One observer per direction and set of logs.
 *
 * Hot path: runs once per exchange. In the steady state it allocates nothing:
 * the labels of a (cluster, endpoint, caller) are resolved once into a
 * `CallSeries`, and a status in it is a map lookup away from its slot.
 */
import type { Cluster, Endpoint } from '@weft/model'
import type { TlsFacts } from '@weft/net'
import {
  type AccessLog,
  type CallLabels,
  hostLabel,
  type IstioMetrics,
  LineBuffer,
  type LogFacts,
  type LogWriter,
  PEER_HEADER,
  type Peer,
  parsePeerHeader,
  peerOf,
  type Reporter,
  UNKNOWN_PEER,
  writeAccessLog,
} from '@weft/telemetry'
import type { ConnectionRecord, ExchangeObserver, ExchangeRecord } from '../exchange/contract.ts'
import { grpcStatusOfHttp } from '../exchange/grpc.ts'
import { CallSeries, type GrpcEnding } from './call-series.ts'
import type { ClusterStats } from './cluster-stats.ts'
import { connectionEntryOf, ExchangeEntry } from './log-entries.ts'
import { serviceOf, serviceOfHost, UNKNOWN_SERVICE } from './service-labels.ts'

export interface ObserverOptions {
  /** `destination` for what comes in to the workload, else `source`. */
  readonly reporter: Reporter
  /** The workload this proxy stands beside. */
  readonly self: Peer
  /**
   * Whether hosts that are no service become labels. Only a sidecar's own
   * application is believed: at a gateway anybody can invent hosts.
   */
  readonly labelsHosts: boolean
}

export interface ObserverDeps {
  readonly istio: IstioMetrics
  readonly clusters: ClusterStats
  readonly logs: readonly AccessLog[]
}

/** Callers and hosts are chosen by peers: beyond this many per cluster the memory starts anew. */
const MAX_REMEMBERED = 1_024

/** Both are used within one call: all observers of the thread share them. */
const line = new LineBuffer()
let exchangeEntry: ExchangeEntry | undefined

/** Stands in for the cluster of calls that have none. */
const NO_CLUSTER = {}

export function createObserver(options: ObserverOptions, deps: ObserverDeps): ExchangeObserver {
  return new Observer(options, deps)
}

class Observer implements ExchangeObserver {
  readonly #reporter: Reporter
  readonly #self: Peer
  readonly #labelsHosts: boolean
  readonly #istio: IstioMetrics
  readonly #clusters: ClusterStats
  /** Those that take Weft's own line of everything share it. */
  readonly #plainLogs: readonly LogWriter[]
  readonly #otherLogs: readonly AccessLog[]
  readonly #hasLogs: boolean
  readonly #byEndpoint = new WeakMap<Endpoint, CallSeries>()
  readonly #byCluster = new WeakMap<Cluster, CallSeries>()
  /** Outbound calls to no service by host, inbound ones by caller; both in their cluster. */
  readonly #byText = new WeakMap<object, Map<string, CallSeries>>()

  constructor(options: ObserverOptions, deps: ObserverDeps) {
    this.#reporter = options.reporter
    this.#self = options.self
    this.#labelsHosts = options.labelsHosts
    this.#istio = deps.istio
    this.#clusters = deps.clusters
    const isPlain = ({ write, filter }: AccessLog) => write === undefined && filter === undefined
    this.#plainLogs = deps.logs.filter(isPlain).map(({ writer }) => writer)
    this.#otherLogs = deps.logs.filter((log) => !isPlain(log))
    this.#hasLogs = deps.logs.length > 0
  }

  onExchangeEnd(record: ExchangeRecord): void {
    const series =
      this.#reporter === 'destination' ? this.#inboundSeries(record) : this.#outboundSeries(record)
    series.record(
      record.status,
      record.responseFlags,
      record.attempts,
      record.durationMs,
      record.requestBytes,
      record.responseBytes,
      grpcEndingOf(record),
    )
    if (record.attempts > 1 || record.retryEnd !== undefined) this.#clusters.recordRepeats(record)
    if (this.#hasLogs) this.#log(entryOf(record))
  }

  onExchangeLog(record: ExchangeRecord): void {
    if (this.#hasLogs) this.#log(entryOf(record))
  }

  onConnectionStart(record: ConnectionRecord): void {
    this.#istio.recordTcpOpened(this.#callOf(record))
  }

  onConnectionEnd(record: ConnectionRecord): void {
    const call = this.#callOf(record)
    if (!record.opened) this.#istio.recordTcpOpened(call)
    this.#istio.recordTcpClosed(call, record.receivedBytes, record.sentBytes)
    if (this.#hasLogs) this.#log(connectionEntryOf(record))
  }

  onConnectionLog(record: ConnectionRecord): void {
    if (this.#hasLogs) this.#log(connectionEntryOf(record))
  }

  onConnectionRefused(record: ConnectionRecord): void {
    if (this.#hasLogs) this.#log(connectionEntryOf(record))
  }

  #callOf({ cluster, endpoint, responseFlags, downstreamTls }: ConnectionRecord): CallLabels {
    const inbound = this.#reporter === 'destination'
    const remote =
      !inbound && endpoint?.workload !== undefined ? peerOf(endpoint.workload) : UNKNOWN_PEER
    const service = cluster === undefined ? UNKNOWN_SERVICE : serviceOf(cluster)
    return {
      ...(inbound ? this.#secured(this.#ends(remote), downstreamTls) : this.#ends(remote)),
      service: service ?? serviceOfHost('unknown', cluster),
      responseFlags,
    }
  }

  #outboundSeries(record: ExchangeRecord): CallSeries {
    const { endpoint, cluster } = record
    if (endpoint !== undefined) {
      const known = this.#byEndpoint.get(endpoint)
      const isKnown = known?.cluster === cluster && known?.isSecured === isSecured(record)
      if (known !== undefined && isKnown) return known
    } else if (cluster !== undefined) {
      const known = this.#byCluster.get(cluster)
      if (known !== undefined) return known
    }
    const service = cluster === undefined ? undefined : serviceOf(cluster)
    if (cluster === undefined || service === undefined) return this.#hostSeries(record)
    const peer = endpoint?.workload === undefined ? UNKNOWN_PEER : peerOf(endpoint.workload)
    const ends = this.#named(this.#ends(peer), record.upstreamTls)
    const series = this.#series({ ...ends, service }, cluster, isSecured(record))
    if (endpoint === undefined) this.#byCluster.set(cluster, series)
    else this.#byEndpoint.set(endpoint, series)
    return series
  }

  /** Calls to hosts that are no service: told apart by what they named, folded and bounded. */
  #hostSeries(record: ExchangeRecord): CallSeries {
    const { cluster } = record
    const authority = this.#labelsHosts ? record.authority : ''
    const known = this.#textsOf(cluster)
    const series = known.get(authority)
    if (series !== undefined) return series
    const service = serviceOfHost(hostLabel(authority), cluster)
    return remember(
      known,
      authority,
      this.#series({ ...this.#ends(UNKNOWN_PEER), service }, cluster),
    )
  }

  #inboundSeries(record: ExchangeRecord): CallSeries {
    const { cluster } = record
    const text = record.requestHeader(PEER_HEADER) ?? ''
    const known = this.#textsOf(cluster)
    const { downstreamTls } = record
    const from = downstreamTls?.peer?.uriSans[0]
    // Names of certificates have no blanks.
    const key = from === undefined ? text : `${from} ${text}`
    const series = known.get(key)
    if (series !== undefined) return series
    const caller = parsePeerHeader(text)
    const service = (cluster && serviceOf(cluster)) ?? UNKNOWN_SERVICE
    const ends = this.#secured(
      this.#ends(caller === undefined ? UNKNOWN_PEER : peerOf(caller)),
      downstreamTls,
    )
    return remember(known, key, this.#series({ ...ends, service }, cluster))
  }

  #textsOf(cluster: Cluster | undefined): Map<string, CallSeries> {
    const key = cluster ?? NO_CLUSTER
    const known = this.#byText.get(key)
    if (known !== undefined) return known
    const texts = new Map<string, CallSeries>()
    this.#byText.set(key, texts)
    return texts
  }

  /** Who called whom: `remote` is whichever end is not ours. */
  #ends(remote: Peer): Ends {
    return this.#reporter === 'destination'
      ? { reporter: 'destination', source: remote, destination: this.#self, securityPolicy: 'none' }
      : { reporter: 'source', source: this.#self, destination: remote, securityPolicy: 'unknown' }
  }

  /** The caller's end: only the other one can tell what the policy is (as in Istio). */
  #named(ends: Ends, tls: TlsFacts | undefined): Ends {
    const to = tls?.peer?.uriSans[0]
    const from = tls?.localUriSans[0]
    if (to === undefined || from === undefined) return ends
    const { source, destination } = ends
    return {
      ...ends,
      source: { ...source, principal: from },
      destination: { ...destination, principal: to },
    }
  }

  /** Who the two are by their certificates, where both showed one. */
  #secured(ends: Ends, tls: TlsFacts | undefined): Ends {
    const from = tls?.peer?.uriSans[0]
    if (tls === undefined || from === undefined) return ends
    const { source, destination } = ends
    return {
      ...ends,
      source: { ...source, principal: from },
      destination: { ...destination, principal: tls.localUriSans[0] ?? destination.principal },
      securityPolicy: 'mutual_tls',
    }
  }

  #series(
    labels: Omit<CallLabels, 'responseFlags'>,
    cluster: Cluster | undefined,
    secured = false,
  ): CallSeries {
    return new CallSeries(labels, cluster, this.#istio, this.#clusters, secured)
  }

  #log(facts: LogFacts): void {
    if (this.#plainLogs.length > 0) {
      line.clear()
      writeAccessLog(facts, line)
      for (const log of this.#plainLogs) log.write(line.bytes, line.length)
    }
    for (const { writer, write = writeAccessLog, filter } of this.#otherLogs) {
      if (filter?.(facts) === false) continue
      line.clear()
      write(facts, line)
      writer.write(line.bytes, line.length)
    }
  }
}

function isSecured({ upstreamTls }: ExchangeRecord): boolean {
  return upstreamTls !== undefined
}

type Ends = Pick<CallLabels, 'reporter' | 'source' | 'destination' | 'securityPolicy'>

function remember(known: Map<string, CallSeries>, key: string, series: CallSeries): CallSeries {
  if (known.size >= MAX_REMEMBERED) known.clear()
  known.set(key, series)
  return series
}

/** As Envoy: what the answer says, else what its HTTP status stands for. `undefined`: not gRPC. */
function grpcEndingOf(record: ExchangeRecord): GrpcEnding | undefined {
  const { requestMessages } = record
  if (requestMessages === undefined) return undefined
  const { grpcStatus, status, responseMessages = 0 } = record
  const said = grpcStatus === undefined ? undefined : knownGrpcStatus(grpcStatus)
  const implied = status === 0 ? '' : String(grpcStatusOfHttp(status))
  return { status: said ?? implied, requestMessages, responseMessages }
}

const LAST_GRPC_STATUS = 16
/** As Envoy counts what is no status of gRPC: an upstream must not invent labels. */
const INVALID_GRPC_STATUS = '-1'
/** As they may be said, in one or two digits, and as they are counted. */
const GRPC_STATUSES = new Map<string, string>()
for (let status = 0; status <= LAST_GRPC_STATUS; status++) {
  GRPC_STATUSES.set(String(status).padStart(2, '0'), String(status))
  GRPC_STATUSES.set(String(status), String(status))
}

function knownGrpcStatus(text: string): string {
  return GRPC_STATUSES.get(text) ?? INVALID_GRPC_STATUS
}

function entryOf(record: ExchangeRecord): LogFacts {
  exchangeEntry ??= new ExchangeEntry(record)
  return exchangeEntry.of(record)
}
