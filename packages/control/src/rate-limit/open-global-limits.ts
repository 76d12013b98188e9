/** Global limits with the counts that the options ask for, and what is measured of them. */
import type { Clock, Logger } from '@weft/base'
import type { MetricsRegistry } from '@weft/telemetry'
import { GlobalLimits } from './global-limits.ts'
import { RedisCounts, type RedisOptions } from './redis-counts.ts'

export interface OpenedGlobalLimits {
  readonly limits: GlobalLimits
  close(): void
}

export interface GlobalLimitsDeps {
  readonly clock: Clock
  readonly log: Logger
  readonly metrics: MetricsRegistry
}

/** @throws {TypeError} When the URL of the Redis is none. */
export async function openGlobalLimits(
  redis: RedisOptions | undefined,
  { clock, log, metrics }: GlobalLimitsDeps,
): Promise<OpenedGlobalLimits> {
  if (redis === undefined) return { limits: new GlobalLimits(), close() {} }
  const table = () => metrics.table({ labels: [], maxSeries: 1, expiryMs: 0 })
  const failures = metrics.counter(
    'weft_rate_limit_redis_failures_total',
    'Questions about global rate limits that Redis did not answer; this control plane counted alone.',
    table(),
  )
  const failureSlot = failures.table.slot([])
  const up = metrics.gauge(
    'weft_rate_limit_redis_up',
    'Whether Redis counts global rate limits: 1, or 0.',
    table(),
  )
  const upSlot = up.table.slot([])
  const counts = await RedisCounts.open(redis, {
    clock,
    log,
    onFailure: () => failures.add(failureSlot, 1),
  })
  metrics.onCollect(() => up.set(upSlot, counts.isUp ? 1 : 0))
  return { limits: new GlobalLimits(counts), close: () => counts.close() }
}
