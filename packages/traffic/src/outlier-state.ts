/**
 * What outlier detection remembers of a host, and how a result changes it. Pure;
 * who is ejected in the end, and for how long, is for `outlier.ts` to say.
 */
import type { OutlierDetection } from '@weft/model'

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

export interface OutlierState {
  /** In a row. */
  readonly serverErrors: number
  readonly gatewayErrors: number
  readonly localFailures: number
  /** When the last ejection began; `undefined` while not ejected. */
  readonly ejectedAtMs: number | undefined
  /** How many base ejection times the next ejection lasts, minus one. */
  readonly ejections: number
  /** Added to the time of the present ejection. */
  readonly jitterMs: number
}

export type OutlierReason =
  | 'consecutive5xx'
  | 'consecutiveGatewayErrors'
  | 'consecutiveLocalFailures'
  | 'successRate'
  | 'failurePercentage'

export const FRESH: OutlierState = {
  serverErrors: 0,
  gatewayErrors: 0,
  localFailures: 0,
  ejectedAtMs: undefined,
  ejections: 0,
  jitterMs: 0,
}

/** @param codes What counts as a failure; absent: 500 and up. */
export function outlierEventOf(status: number, codes?: readonly number[]): OutlierEvent {
  const failed = codes === undefined ? status >= 500 : codes.includes(status)
  if (!failed) return 'success'
  return status >= 502 && status <= 504 ? 'gatewayError' : 'serverError'
}

/** Counts `event`. Returns `state` itself where nothing changes, which is nearly always. */
export function countOutcome(
  state: OutlierState,
  event: OutlierEvent,
  policy: OutlierDetection,
): OutlierState {
  if (event === 'success') return hasFailures(state) ? { ...state, ...NO_FAILURES } : state
  if (event === 'localFailure' && policy.splitLocalOriginErrors) {
    return { ...state, localFailures: state.localFailures + 1 }
  }
  // Without the split a missing answer counts as the 503 or 504 that the client gets.
  const isGateway = event === 'gatewayError' || event === 'localFailure'
  return {
    ...state,
    serverErrors: state.serverErrors + 1,
    gatewayErrors: isGateway ? state.gatewayErrors + 1 : 0,
    localFailures: 0,
  }
}

/** Why the host stands out now; `undefined` when it does not. A limit of 0 switches a detector off. */
export function outlierReason(
  state: OutlierState,
  policy: OutlierDetection,
): OutlierReason | undefined {
  if (reaches(state.serverErrors, policy.consecutive5xx)) return 'consecutive5xx'
  if (reaches(state.gatewayErrors, policy.consecutiveGatewayErrors)) {
    return 'consecutiveGatewayErrors'
  }
  if (reaches(state.localFailures, policy.consecutiveLocalOriginFailures)) {
    return 'consecutiveLocalFailures'
  }
  return undefined
}

/** Counts start again; the next ejection lasts longer. */
export function ejected(state: OutlierState, nowMs: number, jitterMs: number): OutlierState {
  const ejections = state.ejections + 1
  return { ...state, ...NO_FAILURES, ejectedAtMs: nowMs, ejections, jitterMs }
}

export function returned(state: OutlierState): OutlierState {
  return { ...state, ...NO_FAILURES, ejectedAtMs: undefined }
}

/** An interval without ejection forgives one former ejection. */
export function forgiven(state: OutlierState): OutlierState {
  return state.ejections === 0 ? state : { ...state, ejections: state.ejections - 1 }
}

const NO_FAILURES = { serverErrors: 0, gatewayErrors: 0, localFailures: 0 }

function hasFailures(state: OutlierState): boolean {
  return state.serverErrors + state.gatewayErrors + state.localFailures > 0
}

function reaches(count: number, limit: number): boolean {
  return limit > 0 && count >= limit
}
