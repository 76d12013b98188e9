/** Envoy's long names of response flags. */
const LONG: Readonly<Record<string, string>> = {
  UH: 'NoHealthyUpstream',
  UF: 'UpstreamConnectionFailure',
  UO: 'UpstreamOverflow',
  NR: 'NoRouteFound',
  URX: 'UpstreamRetryLimitExceeded',
  NC: 'NoClusterFound',
  UC: 'UpstreamConnectionTermination',
  UR: 'UpstreamRemoteReset',
  UT: 'UpstreamRequestTimeout',
  LR: 'LocalReset',
  LH: 'FailedLocalHealthCheck',
  DC: 'DownstreamConnectionTermination',
  DT: 'DurationTimeout',
  DPE: 'DownstreamProtocolError',
  UPE: 'UpstreamProtocolError',
  DI: 'DelayInjected',
  FI: 'FaultInjected',
  RL: 'RateLimited',
  RLSE: 'RateLimitServiceError',
  UAEX: 'UnauthorizedExternalService',
  IH: 'InvalidEnvoyRequestHeaders',
  SI: 'StreamIdleTimeout',
  UMSDR: 'UpstreamMaxStreamDurationReached',
  OM: 'OverloadManagerTerminated',
  DF: 'DnsResolutionFailed',
  DO: 'DropOverload',
  DR: 'DownstreamRemoteReset',
}

/** @param flags Letters, joined with `,`; `-` for none. */
export function longFlags(flags: string): string {
  return flags
    .split(',')
    .map((flag) => LONG[flag] ?? flag)
    .join(',')
}
