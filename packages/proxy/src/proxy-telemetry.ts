/** Everything a proxy measures with, and who watches which listener. */
import type { Clock } from '@weft/base'
import type { HttpConnectionManager, Listener, TcpProxy, WorkloadRef } from '@weft/model'
import {
  type AccessLog,
  AccessLogs,
  IstioMetrics,
  MetricsRegistry,
  type Peer,
  peerOf,
} from '@weft/telemetry'
import { matchText } from '@weft/traffic'
import type { ExchangeObserver } from './exchange/contract.ts'
import { observeGateway } from './gateway.ts'
import { observeInbound } from './inbound.ts'
import { ClusterStats } from './observe/cluster-stats.ts'
import { RegistryFilterStats } from './observe/filter-stats.ts'
import { RegistryHttp2Stats } from './observe/http2-stats.ts'
import type { ObserverDeps } from './observe/observer.ts'
import { observeOutbound } from './outbound.ts'
import type { ProxyOptions } from './proxy-options.ts'

/** Label sets of HTTP and TCP each; 15 minutes after its last request a set goes. */
const DEFAULT_METRICS = { maxSeries: 5_000, expiryMs: 900_000 }

export class ProxyTelemetry {
  readonly registry = new MetricsRegistry()
  readonly filters = new RegistryFilterStats(this.registry)
  readonly http2 = new RegistryHttp2Stats(this.registry)
  readonly logs: AccessLogs
  readonly #istio: IstioMetrics
  readonly #clusters: ClusterStats
  readonly #observe: (self: Peer, deps: ObserverDeps) => ExchangeObserver
  readonly #observeInbound: (self: Peer, deps: ObserverDeps) => ExchangeObserver
  readonly #self: Peer
  /** By direction and logs: listeners that share both share what their observer remembers. */
  readonly #observers = new Map<string, ExchangeObserver>()

  constructor(options: ProxyOptions, clock: Clock) {
    const { role, metrics = DEFAULT_METRICS, version } = options
    this.#self = peerOf(workloadRefOf(options))
    this.#istio = new IstioMetrics(this.registry, { ...metrics, version })
    this.#clusters = new ClusterStats(this.registry)
    this.logs = new AccessLogs(clock, options.accessLog, this.registry, matchText)
    this.#observe = role === 'gateway' ? observeGateway : observeOutbound
    this.#observeInbound = role === 'gateway' ? observeGateway : observeInbound
  }

  observerFor(listener: Listener, filter: HttpConnectionManager | TcpProxy): ExchangeObserver {
    const isInbound = listener.direction === 'inbound'
    const key = JSON.stringify([isInbound, filter.accessLogs])
    const known = this.#observers.get(key)
    if (known !== undefined) return known
    const observer = this.#create(isInbound, this.logs.logsFor(filter))
    this.#observers.set(key, observer)
    return observer
  }

  #create(isInbound: boolean, logs: readonly AccessLog[]): ExchangeObserver {
    const deps = { istio: this.#istio, clusters: this.#clusters, logs }
    return isInbound ? this.#observeInbound(this.#self, deps) : this.#observe(this.#self, deps)
  }
}

/** The workload in the words of metrics: canonical name and revision as Istio derives them. */
export function workloadRefOf({ workload }: ProxyOptions): WorkloadRef {
  const { name, namespace, labels, cluster } = workload
  return {
    name,
    namespace,
    app: labels['service.istio.io/canonical-name'] ?? labels.app ?? name,
    version: labels['service.istio.io/canonical-revision'] ?? labels.version ?? 'latest',
    cluster,
  }
}
