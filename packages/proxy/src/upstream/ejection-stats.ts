/** What outlier detection did, as counters under Envoy's names. */
import type { OutlierReason, OutlierTotals } from '@weft/traffic'
import type { FilterStats } from '../exchange/contract.ts'

const REASONS = {
  consecutive5xx: 'consecutive_5xx',
  consecutiveGatewayErrors: 'consecutive_gateway_failure',
  consecutiveLocalFailures: 'consecutive_local_origin_failure',
  successRate: 'success_rate',
  failurePercentage: 'failure_percentage',
} as const satisfies Record<OutlierReason, string>

export class EjectionStats {
  readonly #stats: FilterStats | undefined
  readonly #cluster: string
  /** What was counted already, by leaf. */
  readonly #counted = new Map<string, number>()

  constructor(stats: FilterStats | undefined, cluster: string) {
    this.#stats = stats
    this.#cluster = cluster
  }

  /** The totals of a detector, which may be a new one that begins at nothing. */
  told({ enforced, overflow, byReason }: OutlierTotals): void {
    this.#count('ejections_enforced_total', enforced)
    this.#count('ejections_overflow', overflow)
    for (const [reason, total] of byReason) {
      this.#count(`ejections_enforced_${REASONS[reason]}`, total)
    }
  }

  #count(leaf: string, total: number): void {
    const before = this.#counted.get(leaf) ?? 0
    if (total === before) return
    this.#counted.set(leaf, total)
    const owner = { kind: 'cluster', name: this.#cluster } as const
    const more = total > before ? total - before : total
    this.#stats?.counter(owner, `outlier_detection.${leaf}`)(more)
  }
}
