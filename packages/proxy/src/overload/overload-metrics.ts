/** What the overload manager sees and does, under Envoy's names. */
import type { MetricsRegistry, ScalarMetric } from '@weft/telemetry'
import type { OverloadManager } from './overload-manager.ts'

/** Beginning of the names; the rest is Envoy's dotted name, flat. */
const OVERLOAD_PREFIX = 'envoy_overload_'

/** `envoy.overload_actions.x` is `envoy_overload_actions_x`. */
function flat(name: string): string {
  return name.replaceAll('.', '_')
}

export function registerOverloadMetrics(registry: MetricsRegistry, manager: OverloadManager): void {
  const table = registry.table({ labels: [], maxSeries: 1, expiryMs: 0 })
  const slot = table.slot([])
  const gauges = new Map<string, ScalarMetric>()
  const set = (name: string, value: number): void => {
    const gauge = gauges.get(name) ?? registry.gauge(`${OVERLOAD_PREFIX}${name}`, '', table)
    gauges.set(name, gauge)
    gauge.set(slot, value)
  }
  const counters = [
    counterOf('envoy_server_watchdog_miss', () => manager.loop?.misses ?? 0),
    counterOf('envoy_server_watchdog_mega_miss', () => manager.loop?.megaMisses ?? 0),
    counterOf('weft_overload_requests_refused', () => manager.state.counts.requests),
    counterOf('weft_overload_connections_refused', () => manager.state.counts.connections),
    counterOf('weft_overload_streams_reset', () => manager.state.counts.streams),
  ]
  const delay = registry.gauge(
    'weft_event_loop_delay_max_ms',
    'The longest that the event loop was late since the last scrape.',
    table,
  )

  function counterOf(name: string, read: () => number) {
    const counter = registry.counter(name, '', table)
    let told = 0
    return () => {
      const now = read()
      counter.add(slot, now - told)
      told = now
    }
  }

  registry.onCollect(() => {
    for (const [name, pressure] of manager.pressures) {
      set(`${flat(name)}_pressure`, Math.round(pressure * 100))
    }
    for (const [name, count] of manager.failed) set(`${flat(name)}_failed_updates`, count)
    for (const [name, strength] of manager.strengths) {
      set(`${flat(name)}_active`, strength === 1 ? 1 : 0)
      set(`${flat(name)}_scale_percent`, Math.round(strength * 100))
    }
    for (const tell of counters) tell()
    delay.set(slot, Math.round(manager.loop?.takeMaxMs() ?? 0))
  })
}
