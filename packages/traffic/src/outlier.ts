/** Ejects hosts that stand out by failing, never too many. */
import type { OutlierDetection } from '@weft/model'
import type { Host } from './load-balancers/host.ts'

/** What a request to a host came to, as outlier detection sees it. */
export type OutlierEvent =
  /** A response below 500. */
  | 'success'
  /** 500, 501 and 505 to 599. */
  | 'serverError'
  /** 502, 503 or 504. */
  | 'gatewayError'
  /** Connect failure, reset or timeout: no response. */
  | 'localFailure'

export interface OutlierDetector {
  configure(policy: OutlierDetection): void
  /** Returns whether the host was ejected by this result; then call the balancer's `healthChanged`. */
  onResult(host: Host, event: OutlierEvent, nowMs: number): boolean
  /** To be called every `intervalMs`. Returns whether a host came back. */
  sweep(nowMs: number): boolean
}

/** @param hosts The cluster's hosts at the moment. */
export function createOutlierDetector(
  _policy: OutlierDetection,
  _hosts: () => readonly Host[],
): OutlierDetector {
  return { configure: () => {}, onResult: () => false, sweep: () => false }
}

export function outlierEventOf(status: number): OutlierEvent {
  if (status < 500) return 'success'
  return status >= 502 && status <= 504 ? 'gatewayError' : 'serverError'
}
