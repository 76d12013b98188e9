/** What people patch by EnvoyFilter, and the typed fields that do the same. */

/** A name in the patch → the field. Names are those of Envoy's filters, types and fields. */
const RECIPES: readonly (readonly [RegExp, string])[] = [
  [/local_?ratelimit/i, 'RateLimit with mode: Local'],
  [
    /filters\.http\.ratelimit\b|extensions\.filters\.http\.ratelimit\./,
    'RateLimit with mode: Global',
  ],
  [/filters\.http\.buffer\b/, 'TrafficPolicy buffer.maxRequestBytes'],
  [/hedge_?policy|hedge_on_per_try_timeout/i, 'TrafficPolicy hedging'],
  [/success_rate|successRate/, 'TrafficPolicy outlierDetection.successRate'],
  [/failure_percentage|failurePercentage/, 'TrafficPolicy outlierDetection.failurePercentage'],
  [/header_key_format|headerKeyFormat|proper_case_words|preserve_case/, 'TrafficPolicy headerCase'],
  [/filters\.http\.compressor\b|compression\.(gzip|brotli|zstd)/, 'TrafficPolicy compression'],
  [/access_?loggers|access_log\b|accessLog\b/, 'TrafficPolicy accessLog'],
  [/max_request_headers_kb|maxRequestHeadersKb/, 'TrafficPolicy maxRequestHeaderBytes'],
  [/stream_idle_timeout|streamIdleTimeout/, 'TrafficPolicy timeouts.streamIdle'],
  [/max_stream_duration|maxStreamDuration/, 'TrafficPolicy timeouts.maxStreamDuration'],
  [/max_connection_duration|maxConnectionDuration/, 'TrafficPolicy timeouts.connectionDuration'],
  [/server_header_transformation|serverHeaderTransformation/, 'TrafficPolicy serverHeader'],
  [/adaptive_concurrency/, 'TrafficPolicy adaptiveConcurrency'],
  [/filters\.http\.grpc_web\b/, 'TrafficPolicy grpcWeb'],
  [/filters\.listener\.proxy_protocol\b/, 'TrafficPolicy proxyProtocol'],
  [/proxy_100_continue|proxy100Continue/, 'TrafficPolicy expectContinue'],
  [/filters\.http\.csrf\b/, 'TrafficPolicy csrf'],
  [/stateful_session/, 'TrafficPolicy sessionPersistence'],
  [/"health_?checks"/i, 'TrafficPolicy healthChecks'],
  [/slow_start_config|slowStartConfig/, 'TrafficPolicy slowStart'],
]

/** In the order of the table, each once; empty when nothing is recognised. */
export function replacementsFor(spec: unknown): readonly string[] {
  const text = JSON.stringify(spec) ?? ''
  return RECIPES.filter(([pattern]) => pattern.test(text)).map(([, field]) => field)
}
