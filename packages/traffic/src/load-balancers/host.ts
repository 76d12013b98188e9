/** One endpoint of a cluster with what balancing must know of its present. */
import type { Endpoint } from '@weft/model'
import { FRESH, type OutlierState } from '../outlier-state.ts'

/** Mutable on purpose: the data plane counts in place, on every request. */
export class Host {
  /** The newest description; replaced when discovery changes weight or health. */
  endpoint: Endpoint
  /** `10.0.0.7:8080`: what makes two descriptions the same host. */
  readonly key: string
  /** Requests under way. The engine counts up and down. */
  activeRequests = 0
  /** Belongs to latency-aware balancing. `ms` is as of `atMs`. */
  readonly latency = { ms: 0, atMs: 0 }
  /** Since when it is part of the cluster or passes its checks; for slow start. Monotonic. */
  startedAtMs = 0
  /** Set by outlier detection. */
  ejected = false
  /** Set by active health checks. */
  failedCheck = false
  /** Belongs to outlier detection. */
  outlier: OutlierState = FRESH

  constructor(key: string, endpoint: Endpoint) {
    this.key = key
    this.endpoint = endpoint
  }

  /** Whether new requests may go there in ordinary times. */
  get available(): boolean {
    return !this.ejected && !this.failedCheck && this.endpoint.health === 'healthy'
  }
}
