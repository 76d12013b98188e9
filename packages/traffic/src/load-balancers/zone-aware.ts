/**
 * How much of the traffic stays in the caller's zone (Envoy, "Zone aware routing"): all of it
 * when the zone has its share of the endpoints, else as much as keeps every endpoint equally
 * loaded. The rest goes where there is room.
 *
 * Envoy asks where the calling cluster's own members are. A Weft proxy is not told, and takes
 * callers to be spread evenly over the zones that have endpoints.
 */

export interface ZoneShares {
  /** In [0, 1]. */
  readonly local: number
  /** What each of the other zones takes of the rest; in the order given, any scale. */
  readonly others: readonly number[]
}

/**
 * @param localHosts Available endpoints in the caller's zone, > 0.
 * @param otherHosts The same of each other zone that has any.
 */
export function zoneShares(localHosts: number, otherHosts: readonly number[]): ZoneShares {
  const total = otherHosts.reduce((sum, hosts) => sum + hosts, localHosts)
  const callers = 1 / (otherHosts.length + 1)
  const own = localHosts / total
  if (own >= callers) return { local: 1, others: otherHosts.map(() => 0) }
  return {
    local: own / callers,
    others: otherHosts.map((hosts) => Math.max(0, hosts / total - callers)),
  }
}
