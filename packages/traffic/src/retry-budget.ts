/**
 * Retries as a share of requests, so that they cannot become the outage: when
 * everything fails, the load grows by `percent` and not by `attempts`.
 */
import type { RetryBudget } from '@weft/model'

/** Holds where a cluster names none. */
export const DEFAULT_RETRY_BUDGET: RetryBudget = { percent: 20, minRetryConcurrency: 10 }

/** @param active Requests under way or waiting, retries included. */
export function retriesAllowed(budget: RetryBudget, active: number): number {
  return Math.max(budget.minRetryConcurrency, Math.floor((active * budget.percent) / 100))
}
