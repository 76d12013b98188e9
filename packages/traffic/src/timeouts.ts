/** Which time limits hold for a request. */
import type { ForwardAction, RequestView } from '@weft/model'

/** In milliseconds; 0 means no limit. */
export interface RequestTimeouts {
  /** From the end of the request to the end of the response, all attempts together. */
  readonly requestMs: number
  readonly perTryMs: number
  /** Without a byte either way. */
  readonly idleMs: number
}

/**
 * @param listenerIdleMs The listener's stream idle timeout, which the route's replaces.
 * @param believeHeaders Whether `x-envoy-upstream-rq-timeout-ms` and
 * `x-envoy-upstream-rq-per-try-timeout-ms` come from inside the mesh; a client
 * outside must not stretch an operator's limits.
 */
export function timeoutsOf(
  action: ForwardAction,
  request: RequestView,
  listenerIdleMs: number,
  believeHeaders: boolean,
): RequestTimeouts {
  const requestMs =
    (believeHeaders ? readMs(request.header('x-envoy-upstream-rq-timeout-ms')) : undefined) ??
    action.timeoutMs
  const perTryMs =
    (believeHeaders
      ? readMs(request.header('x-envoy-upstream-rq-per-try-timeout-ms'))
      : undefined) ??
    action.retry?.perTryTimeoutMs ??
    0
  return {
    requestMs,
    // A try that may last as long as the whole request needs no limit of its own.
    perTryMs: requestMs !== 0 && perTryMs >= requestMs ? 0 : perTryMs,
    idleMs: action.idleTimeoutMs ?? listenerIdleMs,
  }
}

function readMs(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : undefined
}
