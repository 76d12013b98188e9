/**
 * Every way in which an exchange can fail, in one table: the status the client
 * gets, the flag in the access log (the letters Envoy uses, so that existing
 * dashboards read them) and Envoy's response code details.
 */

const FAILURES = {
  // What the client sent, or did.
  badRequest: { status: 400, flag: 'DPE', details: 'http1.codec_error' },
  requestHeadTimeout: { status: 408, flag: 'DPE', details: 'request_header_timeout' },
  http10Refused: { status: 426, flag: 'DPE', details: 'low_version' },
  clientGone: { status: 0, flag: 'DC', details: 'downstream_remote_disconnect' },
  streamIdle: { status: 408, flag: 'SI', details: 'stream_idle_timeout' },
  bodyTimeout: { status: 408, flag: 'DPE', details: 'request_overall_timeout' },
  streamDuration: { status: 504, flag: 'DT', details: 'max_duration_timeout' },
  overload: { status: 503, flag: 'OM', details: 'overload' },
  // What the configuration says.
  misdirected: { status: 421, flag: 'NR', details: 'misdirected_request' },
  noRoute: { status: 404, flag: 'NR', details: 'route_not_found' },
  noCluster: { status: 503, flag: 'NC', details: 'cluster_not_found' },
  noConfiguration: { status: 503, flag: 'NC', details: 'no_configuration_yet' },
  noFilterChain: { status: 0, flag: 'NR', details: 'filter_chain_not_found' },
  faultAbort: { status: 503, flag: 'FI', details: 'fault_filter_abort' },
  authorizationDenied: { status: 403, flag: 'UAEX', details: 'ext_authz_denied' },
  authorizationService: { status: 403, flag: 'UAEX', details: 'ext_authz_error' },
  localRateLimited: { status: 429, flag: 'RL', details: 'local_rate_limited' },
  rateLimited: { status: 429, flag: 'RL', details: 'request_rate_limited' },
  rateLimitService: { status: 500, flag: 'RLSE', details: 'rate_limiter_error' },
  // What the upstream is, or did.
  noHealthyEndpoint: { status: 503, flag: 'UH', details: 'no_healthy_upstream' },
  overflow: {
    status: 503,
    flag: 'UO',
    details: 'upstream_reset_before_response_started{overflow}',
  },
  connectFailure: {
    status: 503,
    flag: 'UF',
    details: 'upstream_reset_before_response_started{remote_connection_failure}',
  },
  connectTimeout: {
    status: 503,
    flag: 'UF',
    details: 'upstream_reset_before_response_started{connection_timeout}',
  },
  noSuchHost: { status: 503, flag: 'DF', details: 'dns_resolution_failure' },
  upstreamReset: {
    status: 503,
    flag: 'UC',
    details: 'upstream_reset_before_response_started{connection_termination}',
  },
  upstreamCut: {
    status: 503,
    flag: 'UC',
    details: 'upstream_reset_after_response_started{connection_termination}',
  },
  upstreamProtocol: {
    status: 502,
    flag: 'UPE',
    details: 'upstream_reset_before_response_started{protocol_error}',
  },
  requestTimeout: { status: 504, flag: 'UT', details: 'response_timeout' },
  perTryTimeout: { status: 504, flag: 'UT', details: 'upstream_per_try_timeout' },
} as const satisfies Record<string, { status: number; flag: string; details: string }>

export type Failure = keyof typeof FAILURES

/** All of them; `docs/errors.md` explains each. */
export const ALL_FAILURES = Object.keys(FAILURES) as readonly Failure[]

/** The status to answer with; 0 when there is nobody left to answer. */
export function failureStatus(failure: Failure): number {
  return FAILURES[failure].status
}

export function failureFlag(failure: Failure): string {
  return FAILURES[failure].flag
}

export function failureDetails(failure: Failure): string {
  return FAILURES[failure].details
}

const OVERLOADED = [
  ['x-envoy-overloaded', 'true'],
  ['x-weft-overloaded', 'true'],
] as const

/** It is this proxy, not what is behind it. */
const OVERLOADED_HERE = [['x-envoy-local-overloaded', 'true']] as const

/** Fields of the answer that stands for it. */
export function failureHeaders(failure: Failure): readonly (readonly [string, string])[] {
  if (failure === 'overload') return OVERLOADED_HERE
  return failure === 'overflow' ? OVERLOADED : []
}

/** What the client reads in the answer's body: what went wrong, nothing about where. */
export function failureText(failure: Failure): string {
  return TEXTS[failure] ?? failureDetails(failure)
}

const TEXTS: Partial<Record<Failure, string>> = {
  misdirected: 'this connection is not for that host',
  noRoute: 'no route matches this request',
  noCluster: 'the route leads to a cluster that does not exist',
  noConfiguration: 'this proxy has no configuration yet',
  noHealthyEndpoint: 'no healthy upstream',
  overload: 'this proxy is overloaded',
  overflow: 'upstream overloaded',
  connectFailure: 'upstream connect error: the connection was refused or failed',
  connectTimeout: 'upstream connect error: timeout',
  noSuchHost: 'upstream connect error: the name does not resolve',
  upstreamReset: 'upstream closed the connection before it answered',
  upstreamProtocol: 'upstream sent a malformed answer',
  requestTimeout: 'upstream request timeout',
  perTryTimeout: 'upstream request timeout',
}
