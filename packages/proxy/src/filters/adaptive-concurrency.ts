/**
 * Refuses what is more than the upstream can do at once, which it finds by latency (Envoy's
 * adaptive_concurrency filter). One controller per listener, and per route with settings of its own.
 */
import { GradientController } from '@weft/traffic'
import { FilterMemory } from './filter-memory.ts'
import type { BindFilter, FilterScope, FilterVerdict } from './http-filter.ts'

const BODY = 'reached concurrency limit'
const DETAILS = 'reached_concurrency_limit'
const SCOPE = 'adaptive_concurrency.gradient_controller'

const controllers = new FilterMemory<GradientController>()

export const adaptiveConcurrency: BindFilter<'adaptiveConcurrency'> = (config, scope) => {
  const own = scope.overrides.adaptiveConcurrency
  const settings = own ?? config.settings
  if (settings?.enabled !== true) return undefined
  const { deps, runtime, route } = scope
  const { clock } = deps
  const key = [runtime.listener, own === undefined ? '' : route.name, settings]
  const controller = controllers.get(
    deps,
    key,
    () => new GradientController(settings, clock.monotonicMs(), deps.random),
  )
  const stats = statsOf(scope)
  return {
    onRequest(): FilterVerdict {
      const startedMs = clock.monotonicMs()
      const admitted = controller.admit(startedMs)
      stats?.read(controller)
      if (!admitted) {
        stats?.blocked()
        return { kind: 'reply', reply: { status: settings.status, body: BODY }, details: DETAILS }
      }
      return {
        kind: 'watch',
        onEnd(complete) {
          if (complete) controller.done(startedMs, clock.monotonicMs())
          else controller.cancel()
        },
      }
    },
  }
}

function statsOf({ deps: { filterStats }, runtime }: FilterScope) {
  if (filterStats === undefined) return undefined
  const owner = { kind: 'http', name: runtime.manager.statPrefix } as const
  const gauge = (leaf: string) => filterStats.gauge(owner, `${SCOPE}.${leaf}`)
  const limit = gauge('concurrency_limit')
  const gradient = gauge('gradient')
  const headroom = gauge('burst_queue_size')
  const minRtt = gauge('min_rtt_msecs')
  const sampleRtt = gauge('sample_rtt_msecs')
  const active = gauge('min_rtt_calculation_active')
  return {
    blocked: filterStats.counter(owner, `${SCOPE}.rq_blocked`),
    read({ reading }: GradientController): void {
      limit(reading.concurrencyLimit)
      // In thousandths, as Envoy's: its gauges are whole numbers.
      gradient(Math.trunc(reading.gradient * 1_000))
      headroom(Math.trunc(reading.burstQueueSize))
      minRtt(Math.trunc(reading.minRttMs))
      sampleRtt(Math.trunc(reading.sampleRttMs))
      active(reading.minRttCalculationActive ? 1 : 0)
    },
  }
}
