/** Whether the workload that would answer lets a caller in, as its sidecar would decide it. */
import type { RequestView } from '@weft/model'
import type { Caller, CallerRequest } from '@weft/traffic'
import { RSOCKET_ERROR } from '@weft/wire'
import type { Leg } from '../leg.ts'
import type { RequestCall } from '../request-call.ts'
import type { Refusal } from '../router.ts'
import type { WorkloadFeeds } from './workload-feeds.ts'

/** The details are for the log; callers hear as little as HTTP callers do. */
const DENIED: Refusal = { code: RSOCKET_ERROR.denied, message: 'RBAC: access denied' }

/** The responder, or why it must not be asked. */
export function admit(
  caller: Leg,
  responder: Leg,
  request: RequestView,
  feeds: WorkloadFeeds,
): Leg | Refusal {
  const feed = feeds.kindOf(responder)?.opened
  // Who cannot be judged is not let in.
  if (feed?.policy === undefined) return DENIED
  const why = feed.policy.denial(callerOf(caller, feed.endpoint, request))
  return why === undefined ? responder : DENIED
}

function callerOf(
  leg: Leg,
  endpoint: { readonly host: string; readonly port: number },
  request: RequestView,
): Caller {
  const { principal } = leg.facts.identity
  const { host } = leg.socket.remoteAddress
  return {
    sourceIp: host,
    remoteIp: host,
    destinationIp: endpoint.host,
    destinationPort: endpoint.port,
    serverName: undefined,
    principals: principal === undefined ? undefined : [principal],
    request: callerRequest(request),
  }
}

function callerRequest(request: RequestView): CallerRequest {
  return {
    method: request.method,
    scheme: request.scheme,
    authority: request.authority,
    path: request.path,
    header: (name) => request.header(name),
    headerValues(name) {
      const value = request.header(name)
      return value === undefined ? [] : [value]
    },
    tokens: [],
  }
}

/** The call as rules see it, for this host of the mesh. */
export function withAuthority(call: RequestCall, authority: string): RequestView {
  const { method, scheme, path } = call
  return { method, scheme, path, authority, header: (name) => call.header(name) }
}
