/**
 * Clusters whose endpoints are reached by several ways: directly, and by a broker that they have
 * dialled out to. Priorities say which way is tried first; what is here lets calls leave a way that
 * is cut without a DestinationRule, which goes before all of it.
 */
import type { Cluster, Endpoints, OutlierDetection } from '@weft/model'

/** Not one way for all: whoever fails on it may be called on the other. */
export function hasSeveralPaths({ localities }: Endpoints): boolean {
  let direct = false
  let brokered = false
  for (const { endpoints } of localities) {
    for (const { path } of endpoints) {
      if (path === undefined) direct = true
      else brokered = true
    }
  }
  return direct && brokered
}

/** Only what never reached the endpoint counts: an application that fails does so by each way. */
const AWAY_FROM_CUT_PATHS: OutlierDetection = {
  consecutive5xx: 0,
  consecutiveGatewayErrors: 0,
  consecutiveLocalOriginFailures: 3,
  splitLocalOriginErrors: true,
  intervalMs: 1_000,
  baseEjectionMs: 5_000,
  maxEjectionMs: 30_000,
  maxEjectionPercent: 100,
  minHealthPercent: 0,
}

export function outliersOfPaths(hasPaths: boolean): OutlierDetection | undefined {
  return hasPaths ? AWAY_FROM_CUT_PATHS : undefined
}

/** A way that does not answer is given up after so long: there is another. */
const CUT_PATH_MS = 1_000

export function forPaths<C extends Pick<Cluster, 'connectTimeoutMs'>>(
  settings: C,
  isHasty: boolean,
): C {
  const { connectTimeoutMs } = settings
  return isHasty
    ? { ...settings, connectTimeoutMs: Math.min(connectTimeoutMs, CUT_PATH_MS) }
    : settings
}
