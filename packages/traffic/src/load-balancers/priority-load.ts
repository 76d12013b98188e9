/**
 * How much of the traffic each priority gets, by the health of its hosts
 * (Envoy, "Priority levels", "Panic threshold").
 *
 * A priority counts as whole until fewer than 1/1.4 (71 %) of its hosts are
 * available; what is missing spills over to the next. When all priorities
 * together cannot carry everything and one is below the panic threshold, its
 * health is ignored there: some answers are better than none, and the hosts that
 * are left are not crushed.
 */

/** Envoy's default overprovisioning factor, in percent. */
const OVERPROVISIONING_PERCENT = 140

export interface PriorityHealth {
  readonly hosts: number
  readonly available: number
}

export interface PriorityLoad {
  /** Of all requests, 0 to 100; all priorities together 100, or 0 when there is no host to use. */
  readonly percent: number
  /** All hosts are used, available or not. */
  readonly panic: boolean
}

/**
 * @param priorities From the highest on.
 * @param panicPercent 0 to 100; 0 means that there is no panic.
 */
export function priorityLoads(
  priorities: readonly PriorityHealth[],
  panicPercent: number,
): readonly PriorityLoad[] {
  const health = priorities.map(healthPercent)
  const total = Math.min(
    100,
    health.reduce((sum, percent) => sum + percent, 0),
  )
  const panic = priorities.map(
    ({ hosts, available }) =>
      total < 100 && (hosts === 0 ? 0 : (100 * available) / hosts) < panicPercent,
  )
  const inTotalPanic = panic.every((value) => value)
  const percents = inTotalPanic ? shareByHosts(priorities) : shareByHealth(health, total)
  return percents.map((percent, i) => ({ percent, panic: panic[i] ?? false }))
}

/** 0 to 100, of a priority or a locality. */
export function healthPercent({ hosts, available }: PriorityHealth): number {
  if (hosts === 0) return 0
  return Math.min(100, Math.floor((OVERPROVISIONING_PERCENT * available) / hosts))
}

function shareByHealth(health: readonly number[], total: number): number[] {
  if (total === 0) return health.map(() => 0)
  let left = 100
  const shares = health.map((percent) => {
    const share = Math.min(left, Math.floor((percent * 100) / total))
    left -= share
    return share
  })
  return addRounding(shares, left, (i) => (health[i] ?? 0) > 0)
}

function shareByHosts(priorities: readonly PriorityHealth[]): number[] {
  const total = priorities.reduce((sum, { hosts }) => sum + hosts, 0)
  if (total === 0) return priorities.map(() => 0)
  const shares = priorities.map(({ hosts }) => Math.floor((100 * hosts) / total))
  const left = 100 - shares.reduce((sum, share) => sum + share, 0)
  return addRounding(shares, left, (i) => (priorities[i]?.hosts ?? 0) > 0)
}

/** What rounding left over goes to the first that can take it, as in Envoy. */
function addRounding(shares: number[], left: number, canTake: (i: number) => boolean): number[] {
  const taker = shares.findIndex((_, i) => canTake(i))
  return shares.map((share, i) => (i === taker ? share + left : share))
}
