/**
 * How much of a cluster may be in use at once (Envoy circuit breakers). Counts
 * live here and survive a change of the limits.
 */
import { type CircuitLimits, NO_LIMITS, type RetryBudget } from '@weft/model'
import { DEFAULT_RETRY_BUDGET, RecentCount, retriesAllowed } from './retry-budget.ts'

export type LimitedResource = 'connections' | 'pending' | 'requests' | 'retries'

export class ClusterLimits {
  #limits: CircuitLimits
  #budget: RetryBudget | undefined
  #connections = 0
  #pending = 0
  #requests = 0
  #retries = 0

  /** With a budget's interval: what began lately. */
  #recent: { readonly requests: RecentCount; readonly retries: RecentCount } | undefined
  readonly #nowMs: () => number

  /** @param nowMs Monotonic; only asked where a budget has an interval. */
  constructor(limits: CircuitLimits, budget?: RetryBudget, nowMs: () => number = () => 0) {
    this.#limits = limits
    this.#nowMs = nowMs
    this.#setBudget(budgetOf(limits, budget))
  }

  /** Applies to what is admitted from now on; what is under way goes on. */
  configure(limits: CircuitLimits, budget?: RetryBudget): void {
    this.#limits = limits
    this.#setBudget(budgetOf(limits, budget))
  }

  #setBudget(budget: RetryBudget | undefined): void {
    const intervalMs = budget?.intervalMs
    if (intervalMs !== this.#budget?.intervalMs || intervalMs === undefined) {
      this.#recent =
        intervalMs === undefined || intervalMs <= 0
          ? undefined
          : { requests: new RecentCount(intervalMs), retries: new RecentCount(intervalMs) }
    }
    this.#budget = budget
  }

  /** Each `true` from an `admit…` is given back by exactly one `release`. */
  admitConnection(): boolean {
    if (this.#connections >= this.#limits.maxConnections) return false
    this.#connections++
    return true
  }

  /** A request waits for a connection. */
  admitPending(): boolean {
    if (this.#pending >= this.#limits.maxPendingRequests) return false
    this.#pending++
    return true
  }

  admitRequest(): boolean {
    if (this.#requests >= this.#limits.maxRequests) return false
    this.#requests++
    this.#recent?.requests.add(this.#nowMs())
    return true
  }

  /** Only of what an upstream may have seen: a repeat of what none has seen adds no load to any. */
  admitRetry(): boolean {
    if (!this.#mayRetry()) return false
    this.#retries++
    return true
  }

  #mayRetry(): boolean {
    const budget = this.#budget
    if (budget === undefined) return this.#retries < this.#limits.maxRetries
    const recent = this.#recent
    if (recent === undefined) {
      return this.#retries < retriesAllowed(budget, this.#requests + this.#pending)
    }
    const nowMs = this.#nowMs()
    if (recent.retries.at(nowMs) >= retriesAllowed(budget, recent.requests.at(nowMs))) return false
    recent.retries.add(nowMs)
    return true
  }

  release(resource: LimitedResource): void {
    switch (resource) {
      case 'connections':
        this.#connections--
        return
      case 'pending':
        this.#pending--
        return
      case 'requests':
        this.#requests--
        return
      case 'retries':
        this.#retries--
        return
    }
  }

  /** For the admin port. */
  inUse(): Readonly<Record<LimitedResource, number>> {
    return {
      connections: this.#connections,
      pending: this.#pending,
      requests: this.#requests,
      retries: this.#retries,
    }
  }
}

/** A budget takes the place of `maxRetries` (as in Envoy); who names neither gets the default one. */
function budgetOf(limits: CircuitLimits, budget: RetryBudget | undefined): RetryBudget | undefined {
  if (budget !== undefined) return budget
  return limits.maxRetries === NO_LIMITS.maxRetries ? DEFAULT_RETRY_BUDGET : undefined
}
