/** `loadBalancer` of DestinationRules: the cluster's balancer and the hash that requests carry for it. */
import { parseDurationMs } from '@weft/base'
import type { LoadBalancerSettings } from '@weft/config'
import type { HashPolicy, LoadBalancer } from '@weft/model'

const LEAST_REQUEST: LoadBalancer = { kind: 'leastRequest', choices: 2 }
/** Istio's default for `minimumRingSize`; Envoy's for Maglev's table. */
const MIN_RING_SIZE = 1024
const MAGLEV_TABLE_SIZE = 65_537

export function loadBalancer(settings: LoadBalancerSettings | undefined): LoadBalancer {
  const hash = settings?.consistentHash
  if (hash !== undefined) {
    if (hash.maglev !== undefined) {
      return { kind: 'maglev', tableSize: hash.maglev.tableSize ?? MAGLEV_TABLE_SIZE }
    }
    const size = hash.ringHash?.minimumRingSize ?? hash.minimumRingSize ?? MIN_RING_SIZE
    return { kind: 'ringHash', minRingSize: size > 0 ? size : MIN_RING_SIZE }
  }
  switch (settings?.simple) {
    case 'ROUND_ROBIN':
      return { kind: 'roundRobin' }
    case 'RANDOM':
      return { kind: 'random' }
    default:
      return LEAST_REQUEST
  }
}

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
