/**
 * How much of a cluster may be in use at once (Envoy circuit breakers). Counts
 * live here and survive a change of the limits.
 */
import { type CircuitLimits, NO_LIMITS, type RetryBudget } from '@weft/model'
import { DEFAULT_RETRY_BUDGET, retriesAllowed } from './retry-budget.ts'

export type LimitedResource = 'connections' | 'pending' | 'requests' | 'retries'

export class ClusterLimits {
  #limits: CircuitLimits
  #budget: RetryBudget | undefined
  #connections = 0
  #pending = 0
  #requests = 0
  #retries = 0

  constructor(limits: CircuitLimits, budget?: RetryBudget) {
    this.#limits = limits
    this.#budget = budgetOf(limits, budget)
  }

  /** Applies to what is admitted from now on; what is under way goes on. */
  configure(limits: CircuitLimits, budget?: RetryBudget): void {
    this.#limits = limits
    this.#budget = budgetOf(limits, budget)
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
    return true
  }

  /** Only of what an upstream may have seen: a repeat of what none has seen adds no load to any. */
  admitRetry(): boolean {
    const budget = this.#budget
    const allowed =
      budget === undefined
        ? this.#limits.maxRetries
        : retriesAllowed(budget, this.#requests + this.#pending)
    if (this.#retries >= allowed) return false
    this.#retries++
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
