/**
 * Fault injection: delays or aborts a share of requests, to find out what the
 * callers do then. Delay comes first; the two shares are independent (Envoy's
 * fault filter).
 */
import { rollFault } from '@weft/traffic'
import type { FilterVerdict, HttpFilter } from './http-filter.ts'

export const fault: HttpFilter = {
  name: 'fault',

  onRequest(route, request, random): FilterVerdict {
    if (route.fault === undefined) return undefined
    const decision = rollFault(route.fault, random)
    if (decision === undefined) return undefined
    const { abort, delayMs } = decision
    const then: FilterVerdict =
      abort === undefined
        ? undefined
        : {
            kind: 'reply',
            reply: abortReply(abort, request.header('content-type')),
            failure: 'faultAbort',
          }
    return delayMs > 0 ? { kind: 'delay', delayMs, then } : then
  },
}

function abortReply(
  abort: { readonly status: number; readonly grpcStatus?: number },
  contentType: string | undefined,
) {
  if (abort.grpcStatus === undefined || contentType?.startsWith('application/grpc') !== true) {
    return { status: abort.status, body: 'fault filter abort' }
  }
  const headers = [
    ['content-type', contentType],
    ['grpc-status', String(abort.grpcStatus)],
    ['grpc-message', 'fault filter abort'],
  ] as const
  return { status: 200, headers }
}
