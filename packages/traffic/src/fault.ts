/** Whether a request is delayed or aborted on purpose, to find out what the callers do then. */
import type { Fault } from '@weft/model'

export interface FaultDecision {
  /** 0 means none. */
  readonly delayMs: number
  readonly abort: { readonly status: number; readonly grpcStatus?: number } | undefined
}

/**
 * `undefined` leaves the request alone. The two shares are independent and the
 * delay comes first, so a request can be both delayed and aborted.
 */
export function rollFault(
  fault: Fault | undefined,
  random: () => number,
): FaultDecision | undefined {
  if (fault === undefined) return undefined
  const delay = fault.delay !== undefined && random() * 100 < fault.delay.percent
  const abort = fault.abort !== undefined && random() * 100 < fault.abort.percent
  if (!delay && !abort) return undefined
  return {
    delayMs: delay && fault.delay !== undefined ? fault.delay.delayMs : 0,
    abort: abort ? fault.abort : undefined,
  }
}
