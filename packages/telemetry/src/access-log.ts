/**
 * One line of the access log: Envoy's fields in the order of Istio's default
 * JSON format, with Envoy's response flags, so that existing parsers read it.
 * What is not known is `null`, as Envoy writes it.
 *
 * Every text that a peer chose goes through `LineBuffer.quoted`: a line end or a
 * quote in a path cannot start a second entry.
 */
import type { SocketAddress } from '@weft/model'
import { type Fixed, fixed, type LineBuffer } from './line-buffer.ts'

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
  /** Envoy's access log type of what has not ended; only such lines have the key. */
  readonly logType?: string | undefined
  /** Which condition refused it, and where that is written; only refused ones have the key. */
  readonly denialReason?: string | undefined
  /** Why TLS with the client did not come about; only refused connections have the key. */
  readonly downstreamTransportFailureReason?: string | undefined
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
  readonly upstreamAddress: SocketAddress | undefined
  readonly upstreamLocalAddress: SocketAddress | undefined
  readonly upstreamTransportFailureReason: string | undefined
  readonly upstreamAttempts: number
  readonly downstreamLocalAddress: SocketAddress | undefined
  readonly downstreamRemoteAddress: SocketAddress | undefined
  readonly requestedServerName: string | undefined
}

const KEYS = {
  startTime: key('{', 'start_time'),
  method: key(',', 'method'),
  path: key(',', 'path'),
  protocol: key(',', 'protocol'),
  responseCode: key(',', 'response_code'),
  responseFlags: key(',', 'response_flags'),
  responseCodeDetails: key(',', 'response_code_details'),
  connectionTerminationDetails: key(',', 'connection_termination_details'),
  upstreamTransportFailureReason: key(',', 'upstream_transport_failure_reason'),
  bytesReceived: key(',', 'bytes_received'),
  bytesSent: key(',', 'bytes_sent'),
  duration: key(',', 'duration'),
  upstreamServiceTime: key(',', 'upstream_service_time'),
  forwardedFor: key(',', 'x_forwarded_for'),
  userAgent: key(',', 'user_agent'),
  requestId: key(',', 'request_id'),
  authority: key(',', 'authority'),
  upstreamHost: key(',', 'upstream_host'),
  upstreamCluster: key(',', 'upstream_cluster'),
  upstreamLocalAddress: key(',', 'upstream_local_address'),
  downstreamLocalAddress: key(',', 'downstream_local_address'),
  downstreamRemoteAddress: key(',', 'downstream_remote_address'),
  requestedServerName: key(',', 'requested_server_name'),
  routeName: key(',', 'route_name'),
  attempts: key(',', 'upstream_request_attempt_count'),
  traceId: key(',', 'trace_id'),
  logType: key(',', 'access_log_type'),
  denialReason: key(',', 'denied_because'),
  downstreamTransportFailureReason: key(',', 'downstream_transport_failure_reason'),
}
const END = fixed('}\n')

function key(before: string, name: string): Fixed {
  return fixed(`${before}"${name}":`)
}

/** Appends the line with its line end. */
export function writeAccessLog(entry: AccessLogEntry, line: LineBuffer): void {
  line.append(KEYS.startTime)
  writeTime(entry.startedAtMs, line)
  text(line, KEYS.method, entry.method)
  text(line, KEYS.path, entry.path)
  text(line, KEYS.protocol, entry.protocol)
  number(line, KEYS.responseCode, entry.responseCode)
  text(line, KEYS.responseFlags, entry.responseFlags)
  text(line, KEYS.responseCodeDetails, entry.responseCodeDetails)
  text(line, KEYS.connectionTerminationDetails, entry.connectionTerminationDetails)
  text(line, KEYS.upstreamTransportFailureReason, entry.upstreamTransportFailureReason)
  number(line, KEYS.bytesReceived, entry.bytesReceived)
  number(line, KEYS.bytesSent, entry.bytesSent)
  number(line, KEYS.duration, entry.durationMs)
  writeServiceTime(entry.upstreamServiceMs, line)
  text(line, KEYS.forwardedFor, entry.forwardedFor)
  text(line, KEYS.userAgent, entry.userAgent)
  text(line, KEYS.requestId, entry.requestId)
  text(line, KEYS.authority, entry.authority)
  address(line, KEYS.upstreamHost, entry.upstreamAddress)
  text(line, KEYS.upstreamCluster, entry.upstreamCluster)
  address(line, KEYS.upstreamLocalAddress, entry.upstreamLocalAddress)
  address(line, KEYS.downstreamLocalAddress, entry.downstreamLocalAddress)
  address(line, KEYS.downstreamRemoteAddress, entry.downstreamRemoteAddress)
  text(line, KEYS.requestedServerName, entry.requestedServerName)
  text(line, KEYS.routeName, entry.routeName)
  number(line, KEYS.attempts, entry.upstreamAttempts)
  text(line, KEYS.traceId, entry.traceId)
  if (entry.logType !== undefined) text(line, KEYS.logType, entry.logType)
  if (entry.denialReason !== undefined) text(line, KEYS.denialReason, entry.denialReason)
  const { downstreamTransportFailureReason: refusal } = entry
  if (refusal !== undefined) text(line, KEYS.downstreamTransportFailureReason, refusal)
  line.append(END)
}

function text(line: LineBuffer, name: Fixed, value: string | undefined): void {
  line.append(name)
  line.quoted(value)
}

function number(line: LineBuffer, name: Fixed, value: number): void {
  line.append(name)
  line.number(value)
}

function address(line: LineBuffer, name: Fixed, value: SocketAddress | undefined): void {
  line.append(name)
  line.address(value)
}

/** Envoy logs the header's value, which is text. */
function writeServiceTime(ms: number | undefined, line: LineBuffer): void {
  line.append(KEYS.upstreamServiceTime)
  if (ms === undefined) {
    line.quoted(undefined)
    return
  }
  line.byte(QUOTE)
  line.number(ms)
  line.byte(QUOTE)
}

const QUOTE = 0x22
const Z_AND_QUOTE = fixed('Z"')
let writtenSecond = Number.NaN
/** `"2026-01-02T03:04:05.` */
let writtenPrefix = fixed('')

/** ISO 8601. Entries come in the order of time, so nearly all share their second with the last. */
function writeTime(epochMs: number, line: LineBuffer): void {
  const ms = Math.floor(epochMs)
  const second = Math.floor(ms / 1_000)
  if (second !== writtenSecond) {
    writtenSecond = second
    writtenPrefix = fixed(`"${new Date(second * 1_000).toISOString().slice(0, -4)}`)
  }
  line.append(writtenPrefix)
  line.padded(ms - second * 1_000, 3)
  line.append(Z_AND_QUOTE)
}
