/** The control plane's own metrics, under the names that Istio's dashboards read. */
import { MetricsRegistry, type ScalarMetric } from '@weft/telemetry'
import { type Answer, resourceTypeOf } from '@weft/xds'

/** xDS type as Istio's label has it. */
const SHORT = {
  listener: 'lds',
  route: 'rds',
  cluster: 'cds',
  endpoints: 'eds',
  secret: 'sds',
} as const

/** Seconds; Istio's buckets for push and convergence time. */
const SECONDS = [0.01, 0.1, 0.5, 1, 3, 5, 10, 20, 30]
const MAX_SERIES = 1_000

export interface MetricGauges {
  connections(): number
  services(): number
  virtualServices(): number
  quarantined(): number
  /** Services whose endpoints went at once and are doubted. */
  held(): number
}

export class PilotMetrics {
  readonly registry = new MetricsRegistry()
  readonly #pushes: ScalarMetric
  readonly #rejects: ScalarMetric
  readonly #nacks: ScalarMetric
  readonly #events: ScalarMetric
  readonly #passed: ScalarMetric
  readonly #failed: ScalarMetric
  readonly #recordPush: (seconds: number) => void
  readonly #recordConvergence: (seconds: number) => void

  constructor(gauges: MetricGauges) {
    const { registry } = this
    const table = (...labels: string[]) =>
      registry.table({ labels, maxSeries: MAX_SERIES, expiryMs: 0 })
    const gauge = (name: string, help: string, read: () => number) => {
      const metric = registry.gauge(name, help, table())
      const slot = metric.table.slot([])
      registry.onCollect(() => metric.set(slot, read()))
    }
    gauge('pilot_xds', 'Proxies connected by xDS.', gauges.connections)
    gauge('pilot_services', 'Services known.', gauges.services)
    gauge('pilot_virt_services', 'VirtualServices in force.', gauges.virtualServices)
    gauge(
      'weft_xds_quarantined',
      'Resource versions held back because too many proxies refuse them.',
      gauges.quarantined,
    )
    gauge(
      'weft_services_held',
      'Services of which most endpoints went at once; they stay for 30 s.',
      gauges.held,
    )
    this.#nacks = registry.counter(
      'weft_xds_nack_total',
      'Responses that a proxy refused, by type.',
      table('type'),
    )
    this.#pushes = registry.counter(
      'pilot_xds_pushes',
      'Responses answered, by type.',
      table('type'),
    )
    this.#rejects = registry.counter(
      'pilot_total_xds_rejects',
      'Responses that a proxy refused, by type.',
      table('type'),
    )
    this.#events = registry.counter(
      'pilot_k8s_cfg_events',
      'Changes of configuration objects.',
      table('type', 'event'),
    )
    this.#passed = registry.counter(
      'galley_validation_passed',
      'Objects found valid.',
      table('resource'),
    )
    this.#failed = registry.counter(
      'galley_validation_failed',
      'Objects found invalid.',
      table('resource'),
    )
    const pushTime = registry.histogram(
      'pilot_xds_push_time',
      'Seconds from a change to its publication to every view.',
      table(),
      SECONDS,
    )
    const convergence = registry.histogram(
      'pilot_proxy_convergence_time',
      'Seconds from a publication to the first acceptance of a proxy.',
      table(),
      SECONDS,
    )
    const pushSlot = pushTime.table.slot([])
    const convergenceSlot = convergence.table.slot([])
    this.#recordPush = (seconds) => pushTime.record(pushSlot, seconds)
    this.#recordConvergence = (seconds) => convergence.record(convergenceSlot, seconds)
  }

  pushed(durationMs: number): void {
    this.#recordPush(durationMs / 1_000)
  }

  converged(durationMs: number): void {
    this.#recordConvergence(durationMs / 1_000)
  }

  answered({ typeUrl, error }: Answer): void {
    const type = resourceTypeOf(typeUrl)
    const label = [type === undefined ? 'other' : SHORT[type]]
    this.#pushes.add(this.#pushes.table.slot(label), 1)
    if (error === undefined) return
    for (const metric of [this.#rejects, this.#nacks]) metric.add(metric.table.slot(label), 1)
  }

  changed(kind: string, event: 'add' | 'update' | 'delete'): void {
    this.#events.add(this.#events.table.slot([kind, event]), 1)
  }

  validated(kind: string, isValid: boolean): void {
    const metric = isValid ? this.#passed : this.#failed
    metric.add(metric.table.slot([kind]), 1)
  }
}
