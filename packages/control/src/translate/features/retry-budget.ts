/** `retryBudget` of DestinationRules: retries as a share of requests. */
import { parseDurationMs } from '@weft/base'
import type { TrafficPolicy } from '@weft/config'
import type { RetryBudget } from '@weft/model'

/** Envoy's and Istio's defaults, once the block is there. */
const PERCENT = 20
const MIN_CONCURRENCY = 3

export function retryBudget(settings: TrafficPolicy['retryBudget']): RetryBudget | undefined {
  if (settings === undefined) return undefined
  const { percent = PERCENT, minRetryConcurrency = MIN_CONCURRENCY, budgetInterval } = settings
  const intervalMs = budgetInterval === undefined ? undefined : parseDurationMs(budgetInterval)
  return { percent, minRetryConcurrency, ...(intervalMs === undefined ? {} : { intervalMs }) }
}
