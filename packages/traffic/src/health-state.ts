/**
 * What active checks say of a host, debounced (Envoy, "Health checking").
 *
 *                 unhealthyThreshold failures, or one refusal
 *     +---------+ ------------------------------------------> +-----------+
 *     | healthy |                                             | unhealthy |
 *     +---------+ <------------------------------------------ +-----------+
 *                 healthyThreshold successes; one on the first check
 */
import type { HealthCheck } from '@weft/model'

/** `refused`: the host answered, and said that it must not be used. */
export type CheckOutcome = 'passed' | 'failed' | 'refused'

export class HealthState {
  healthy: boolean
  #checked = false
  /** Outcomes in a row that speak against `healthy`. */
  #against = 0

  /** @param healthy What is believed until the first check. */
  constructor(healthy: boolean) {
    this.healthy = healthy
  }

  /** @returns Whether `healthy` changed. */
  note(
    outcome: CheckOutcome,
    {
      healthyThreshold,
      unhealthyThreshold,
    }: Pick<HealthCheck, 'healthyThreshold' | 'unhealthyThreshold'>,
  ): boolean {
    const isFirst = !this.#checked
    this.#checked = true
    if ((outcome === 'passed') === this.healthy) {
      this.#against = 0
      return false
    }
    this.#against++
    const needed = this.healthy ? unhealthyThreshold : isFirst ? 1 : healthyThreshold
    if (outcome !== 'refused' && this.#against < needed) return false
    this.healthy = !this.healthy
    this.#against = 0
    return true
  }
}
