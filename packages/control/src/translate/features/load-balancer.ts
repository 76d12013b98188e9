/** `loadBalancer` of DestinationRules: the cluster's balancer and the hash that requests carry for it. */
import { parseDurationMs } from '@weft/base'
import type { LoadBalancerSettings } from '@weft/config'
import type { HashPolicy, LoadBalancer, SlowStart } from '@weft/model'
import type { OwnBalancer } from '../../registries/declared/own-balancer.ts'

const LEAST_REQUEST: LoadBalancer = { kind: 'leastRequest', choices: 2 }
const PEAK_EWMA: LoadBalancer = { kind: 'peakEwma', decayMs: 10_000 }
/** Istio's default for `minimumRingSize`; Envoy's for Maglev's table. */
const MIN_RING_SIZE = 1024
const MAGLEV_TABLE_SIZE = 65_537

/** @param own Asked for by annotation; it goes before `simple`, whose values it is not among. */
export function loadBalancer(
  settings: LoadBalancerSettings | undefined,
  own?: OwnBalancer,
): LoadBalancer {
  const hash = settings?.consistentHash
  if (hash !== undefined) {
    if (hash.maglev !== undefined) {
      return { kind: 'maglev', tableSize: hash.maglev.tableSize ?? MAGLEV_TABLE_SIZE }
    }
    const size = hash.ringHash?.minimumRingSize ?? hash.minimumRingSize ?? MIN_RING_SIZE
    return { kind: 'ringHash', minRingSize: size > 0 ? size : MIN_RING_SIZE }
  }
  if (own !== undefined) return PEAK_EWMA
  switch (settings?.simple) {
    case 'ROUND_ROBIN':
      return { kind: 'roundRobin' }
    case 'RANDOM':
      return { kind: 'random' }
    default:
      return LEAST_REQUEST
  }
}

/** New endpoints warm up; only for round robin and least request, as in Envoy. */
export function slowStart(settings: LoadBalancerSettings | undefined): SlowStart | undefined {
  const { kind } = loadBalancer(settings)
  if (kind !== 'roundRobin' && kind !== 'leastRequest') return undefined
  const warmup = settings?.warmup
  const duration = warmup?.duration ?? settings?.warmupDurationSecs
  const windowMs = duration === undefined ? undefined : parseDurationMs(duration)
  if (windowMs === undefined || windowMs <= 0) return undefined
  // Istio refuses an aggression below 1, which is also its default.
  return {
    windowMs,
    aggression: Math.max(1, warmup?.aggression ?? 1),
    minPercent: warmup?.minimumPercent ?? MIN_WARMUP_PERCENT,
  }
}

/** Envoy's and Istio's default. */
const MIN_WARMUP_PERCENT = 10

/** The request property that decides, for routes to such a cluster. */
export function hashPolicies(settings: LoadBalancerSettings | undefined): readonly HashPolicy[] {
  const hash = settings?.consistentHash
  if (hash === undefined) return []
  if (hash.httpHeaderName !== undefined) {
    return [{ kind: 'header', name: hash.httpHeaderName.toLowerCase(), terminal: false }]
  }
  if (hash.httpCookie !== undefined) {
    const { name, path, ttl } = hash.httpCookie
    const ttlMs = ttl === undefined ? undefined : parseDurationMs(ttl)
    return [
      {
        kind: 'cookie',
        name,
        path: path ?? '',
        terminal: false,
        ...(ttlMs === undefined ? {} : { ttlMs }),
      },
    ]
  }
  if (hash.httpQueryParameterName !== undefined) {
    return [{ kind: 'query', name: hash.httpQueryParameterName, terminal: false }]
  }
  return hash.useSourceIp === true ? [{ kind: 'sourceIp', terminal: false }] : []
}
