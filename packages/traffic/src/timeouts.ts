/** Which time limits hold for a request. */
import type { ForwardAction, RequestView } from '@weft/model'

/** In milliseconds; 0 means no limit. */
export interface RequestTimeouts {
  /** From the end of the request to the end of the response, all attempts together. */
  readonly requestMs: number
  readonly perTryMs: number
  /** Without a byte either way. */
  readonly idleMs: number
  /** Of the whole stream, if the request says so itself; absent: the route's holds. */
  readonly streamMs?: number
}

/**
 * @param listenerIdleMs The listener's stream idle timeout, which the route's replaces.
 * @param believeHeaders Whether `x-envoy-upstream-rq-timeout-ms` and its kin come from inside
 * the mesh; a client outside must not stretch an operator's limits.
 */
export function timeoutsOf(
  action: ForwardAction,
  request: RequestView,
  listenerIdleMs: number,
  believeHeaders: boolean,
): RequestTimeouts {
  const asked = believeHeaders
    ? readMs(request.header('x-envoy-upstream-rq-timeout-ms'))
    : undefined
  // The hop before us waits no longer than this: a deadline shrinks from hop to hop.
  const left = believeHeaders ? readMs(request.header('x-envoy-expected-rq-timeout-ms')) : undefined
  const requestMs = shorter(asked ?? action.timeoutMs, left ?? 0)
  const perTryMs =
    (believeHeaders
      ? readMs(request.header('x-envoy-upstream-rq-per-try-timeout-ms'))
      : undefined) ??
    action.retry?.perTryTimeoutMs ??
    0
  const streamMs = believeHeaders
    ? readMs(request.header('x-envoy-upstream-stream-duration-ms'))
    : undefined
  return {
    requestMs,
    // A try that may last as long as the whole request needs no limit of its own.
    perTryMs: requestMs !== 0 && perTryMs >= requestMs ? 0 : perTryMs,
    idleMs: action.idleTimeoutMs ?? listenerIdleMs,
    ...(streamMs === undefined ? {} : { streamMs }),
  }
}

/** 0 means no limit. */
function shorter(a: number, b: number): number {
  if (a === 0 || b === 0) return a + b
  return Math.min(a, b)
}

function readMs(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : undefined
}
