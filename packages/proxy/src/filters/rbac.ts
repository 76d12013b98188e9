/**
 * Authorization of requests (Envoy's rbac filter, Istio's AuthorizationPolicy). What it looks at is
 * what earlier filters left and what is forwarded: the canonical path, every line of a field, names
 * in the peer's verified certificate, tokens that were found right.
 */
import type { HttpConnectionManager } from '@weft/model'
import type { Caller, CallerRequest } from '@weft/traffic'
import { clientAddress } from '../exchange/client-address.ts'
import { noteDenial } from './denial-note.ts'
import type { BindFilter, FilterCall, FilterScope } from './http-filter.ts'
import { type RbacOutcome, rbacStep } from './rbac-step.ts'

const FILTER = 'envoy.filters.http.rbac'

export const rbac: BindFilter<'rbac'> = (config, { deps, runtime }) => {
  if (config.rules === undefined && config.shadowRules === undefined) return undefined
  const { manager } = runtime
  const step = rbacStep(config, { kind: 'http', name: manager.statPrefix }, deps)
  const { shadowStatPrefix = '' } = config
  return {
    onRequest(call) {
      const { denial, because, shadow } = step.judge(callerOf(call, manager))
      if (shadow !== undefined) leaveBehind(call, shadowStatPrefix, shadow)
      if (denial === undefined) return undefined
      noteDenial(call.facts, because ?? denial)
      return { kind: 'reply', reply: { status: 403, body: 'RBAC: access denied' }, details: denial }
    },
  }
}

/** For filters that act on what would have been decided, and for the log. */
function leaveBehind(
  call: FilterCall,
  prefix: string,
  { allowed, policy }: NonNullable<RbacOutcome['shadow']>,
): void {
  call.facts.addMetadata(FILTER, {
    [`${prefix}shadow_engine_result`]: allowed ? 'allowed' : 'denied',
    ...(policy === undefined ? {} : { [`${prefix}shadow_effective_policy_id`]: policy }),
  })
}

/** What a policy may look at. */
export function callerOf(call: FilterCall, manager: FilterScope['runtime']['manager']): Caller {
  const { peer } = call
  return {
    sourceIp: (peer.direct ?? peer.remote).host,
    get remoteIp() {
      return clientAddress(manager, peer.remote.host, () => call.fieldLines('x-forwarded-for'))
    },
    destinationIp: peer.local.host,
    destinationPort: peer.local.port,
    serverName: peer.tls?.serverName,
    // A certificate is there only if it was verified; one without a URI names nobody.
    principals: peer.tls?.peer?.uriSans,
    request: requestOf(call, manager),
  }
}

type Edge = Pick<HttpConnectionManager, 'useRemoteAddress' | 'xffTrustedHops'>

/** What nobody outside may say is cut from what is forwarded, so no policy believes it either (R45). */
const MESH_ONLY = /^(x-envoy-|x-weft-|x-forwarded-client-cert$)/
const OF_HOPS = /^(forwarded|x-real-ip|x-request-id|x-forwarded-(for|proto|host|port))$/

function isBelieved({ useRemoteAddress, xffTrustedHops }: Edge, name: string): boolean {
  if (!useRemoteAddress) return true
  return !MESH_ONLY.test(name) && (xffTrustedHops > 0 || !OF_HOPS.test(name))
}

function requestOf({ request, facts, fieldLines }: FilterCall, edge: Edge): CallerRequest {
  return {
    method: request.method,
    scheme: request.scheme,
    authority: request.authority,
    path: request.path,
    header: (name) => request.header(name),
    headerValues: (name) => (isBelieved(edge, name) ? fieldLines(name) : []),
    tokens: facts.tokens,
    metadata: (filter) => facts.metadata(filter),
  }
}
