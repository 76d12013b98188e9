/**
 * One line of the access log: Envoy's fields in the order of Istio's default
 * JSON format, with Envoy's response flags, so that existing parsers read it.
 * What is not known is `null`, as Envoy writes it.
 *
 * Every text that a peer chose goes through `quote`: a line end or a quote in a
 * path cannot start a second entry.
 */

/** What a finished exchange says of itself. Texts are as sent; `undefined` is logged as null. */
export interface AccessLogEntry {
  /** Wall clock, milliseconds since the epoch. */
  readonly startedAtMs: number
  readonly durationMs: number
  /** Until the upstream's first byte; absent when there was none. */
  readonly upstreamServiceMs: number | undefined
  readonly method: string | undefined
  /** With query. */
  readonly path: string | undefined
  /** `HTTP/1.1`. */
  readonly protocol: string | undefined
  /** 0 when there was no response. */
  readonly responseCode: number
  /** Letters, joined with `,`; `-` for none. */
  readonly responseFlags: string
  readonly responseCodeDetails: string | undefined
  readonly connectionTerminationDetails: string | undefined
  /** Of the body, from downstream. */
  readonly bytesReceived: number
  /** Of the body, to downstream. */
  readonly bytesSent: number
  readonly authority: string | undefined
  readonly userAgent: string | undefined
  readonly requestId: string | undefined
  readonly forwardedFor: string | undefined
  readonly traceId: string | undefined
  readonly routeName: string | undefined
  readonly upstreamCluster: string | undefined
  /** `10.0.0.1:80`. */
  readonly upstreamHost: string | undefined
  readonly upstreamLocalAddress: string | undefined
  readonly upstreamTransportFailureReason: string | undefined
  readonly upstreamAttempts: number
  readonly downstreamLocalAddress: string | undefined
  readonly downstreamRemoteAddress: string | undefined
  readonly requestedServerName: string | undefined
}

/** Printable ASCII without quote and backslash. */
const PLAIN = /^[ !#-[\]-~]*$/

/** Longer texts are cut: one request must not fill the log's buffer. */
const MAX_TEXT_LENGTH = 8_192

/** The line with its line end. */
export function renderAccessLog(entry: AccessLogEntry): string {
  return (
    `{"start_time":"${renderTime(entry.startedAtMs)}"` +
    `,"method":${quote(entry.method)}` +
    `,"path":${quote(entry.path)}` +
    `,"protocol":${quote(entry.protocol)}` +
    `,"response_code":${entry.responseCode}` +
    `,"response_flags":${quote(entry.responseFlags)}` +
    `,"response_code_details":${quote(entry.responseCodeDetails)}` +
    `,"connection_termination_details":${quote(entry.connectionTerminationDetails)}` +
    `,"upstream_transport_failure_reason":${quote(entry.upstreamTransportFailureReason)}` +
    `,"bytes_received":${entry.bytesReceived}` +
    `,"bytes_sent":${entry.bytesSent}` +
    `,"duration":${Math.round(entry.durationMs)}` +
    `,"upstream_service_time":${serviceTime(entry.upstreamServiceMs)}` +
    `,"x_forwarded_for":${quote(entry.forwardedFor)}` +
    `,"user_agent":${quote(entry.userAgent)}` +
    `,"request_id":${quote(entry.requestId)}` +
    `,"authority":${quote(entry.authority)}` +
    `,"upstream_host":${quote(entry.upstreamHost)}` +
    `,"upstream_cluster":${quote(entry.upstreamCluster)}` +
    `,"upstream_local_address":${quote(entry.upstreamLocalAddress)}` +
    `,"downstream_local_address":${quote(entry.downstreamLocalAddress)}` +
    `,"downstream_remote_address":${quote(entry.downstreamRemoteAddress)}` +
    `,"requested_server_name":${quote(entry.requestedServerName)}` +
    `,"route_name":${quote(entry.routeName)}` +
    `,"upstream_request_attempt_count":${entry.upstreamAttempts}` +
    `,"trace_id":${quote(entry.traceId)}}\n`
  )
}

let renderedSecond = Number.NaN
let renderedPrefix = ''

/** ISO 8601. Entries come in the order of time, so nearly all share their second with the last. */
function renderTime(epochMs: number): string {
  const ms = Math.floor(epochMs)
  const second = Math.floor(ms / 1_000)
  if (second !== renderedSecond) {
    renderedSecond = second
    renderedPrefix = new Date(second * 1_000).toISOString().slice(0, -4)
  }
  const rest = ms - second * 1_000
  return `${renderedPrefix}${rest < 10 ? '00' : rest < 100 ? '0' : ''}${rest}Z`
}

/** Envoy logs the header's value, which is text. */
function serviceTime(ms: number | undefined): string {
  return ms === undefined ? 'null' : `"${Math.round(ms)}"`
}

function quote(text: string | undefined): string {
  if (text === undefined) return 'null'
  // Nearly every text needs no escape, and finding that out costs half of escaping it.
  if (text.length <= MAX_TEXT_LENGTH && PLAIN.test(text)) return `"${text}"`
  return JSON.stringify(
    text.length > MAX_TEXT_LENGTH ? `${text.slice(0, MAX_TEXT_LENGTH)}...` : text,
  )
}
