/** A delay grows from `baseMs` by doubling and never exceeds `maxMs`. */
export interface BackoffPolicy {
  /** Upper bound of the first delay, in milliseconds. Must be > 0. */
  readonly baseMs: number
  /** Upper bound of every delay, in milliseconds. Must be >= `baseMs`. */
  readonly maxMs: number
}

/**
 * The delay before attempt `attempt` (0 is the first retry), in whole
 * milliseconds, uniform in `[0, min(maxMs, baseMs * 2^attempt)]`: full jitter,
 * because when a control plane restarts ten thousand proxies must not come back
 * in step.
 *
 * @param random Uniform in [0, 1), e.g. `Math.random`; a test passes a constant.
 * @throws {RangeError} If the policy or the attempt is out of range.
 */
export function backoffMs(policy: BackoffPolicy, attempt: number, random: () => number): number {
  const { baseMs, maxMs } = policy
  if (!(baseMs > 0) || !(maxMs >= baseMs)) {
    throw new RangeError(
      `Cannot back off: need 0 < baseMs <= maxMs, got baseMs=${baseMs} maxMs=${maxMs}`,
    )
  }
  if (!Number.isInteger(attempt) || attempt < 0) {
    throw new RangeError(`Cannot back off: attempt must be an integer >= 0, got ${attempt}`)
  }
  return Math.floor(random() * (Math.min(maxMs, baseMs * 2 ** attempt) + 1))
}
