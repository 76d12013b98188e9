/**
 * Access logs ⇄ Envoy's file and standard output access loggers.
 *
 * An Envoy writes one JSON object a line with Istio's field names; our own proxy
 * writes the same fields and does not look at the format.
 */
import type { AccessLogTarget } from '@weft/model'
import type { AccessLog, AccessLogSchema } from '../gen/envoy/config/accesslog/v3/accesslog_pb.js'
import { FileAccessLogSchema } from '../gen/envoy/extensions/access_loggers/file/v3/file_pb.js'
import {
  StderrAccessLogSchema,
  StdoutAccessLogSchema,
} from '../gen/envoy/extensions/access_loggers/stream/v3/stream_pb.js'
import type { Problems } from './problems.ts'
import { type Init, packAny, unpackAny } from './values.ts'

const STDOUT = '/dev/stdout'
const STDERR = '/dev/stderr'

const JSON_FORMAT = {
  authority: '%REQ(:AUTHORITY)%',
  bytes_received: '%BYTES_RECEIVED%',
  bytes_sent: '%BYTES_SENT%',
  downstream_local_address: '%DOWNSTREAM_LOCAL_ADDRESS%',
  downstream_remote_address: '%DOWNSTREAM_REMOTE_ADDRESS%',
  duration: '%DURATION%',
  method: '%REQ(:METHOD)%',
  path: '%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%',
  protocol: '%PROTOCOL%',
  request_id: '%REQ(X-REQUEST-ID)%',
  requested_server_name: '%REQUESTED_SERVER_NAME%',
  response_code: '%RESPONSE_CODE%',
  response_code_details: '%RESPONSE_CODE_DETAILS%',
  response_flags: '%RESPONSE_FLAGS%',
  route_name: '%ROUTE_NAME%',
  start_time: '%START_TIME%',
  upstream_cluster: '%UPSTREAM_CLUSTER%',
  upstream_host: '%UPSTREAM_HOST%',
  upstream_local_address: '%UPSTREAM_LOCAL_ADDRESS%',
  upstream_service_time: '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%',
  upstream_transport_failure_reason: '%UPSTREAM_TRANSPORT_FAILURE_REASON%',
  user_agent: '%REQ(USER-AGENT)%',
  x_forwarded_for: '%REQ(X-FORWARDED-FOR)%',
}

export function encodeAccessLogs(
  targets: readonly AccessLogTarget[],
): Init<typeof AccessLogSchema>[] {
  return targets.map(({ path }) => {
    const accessLogFormat = {
      case: 'logFormat',
      value: { format: { case: 'jsonFormat', value: JSON_FORMAT } },
    } as const
    // By name: where standard output is a socket, as under systemd, the path cannot be opened.
    if (path === STDOUT)
      return logger('stdout', packAny(StdoutAccessLogSchema, { accessLogFormat }))
    if (path === STDERR)
      return logger('stderr', packAny(StderrAccessLogSchema, { accessLogFormat }))
    return logger('file', packAny(FileAccessLogSchema, { path, accessLogFormat }))
  })
}

function logger(name: string, value: ReturnType<typeof packAny>): Init<typeof AccessLogSchema> {
  return { name: `envoy.access_loggers.${name}`, configType: { case: 'typedConfig', value } }
}

export function decodeAccessLogs(
  logs: readonly AccessLog[],
  path: string,
  problems: Problems,
): AccessLogTarget[] {
  return logs.flatMap((log, index) => {
    const at = `${path}.access_log[${index}]`
    if (log.filter !== undefined) problems.add(`${at}.filter`, 'is not supported')
    const any = log.configType.value
    const file = unpackAny(any, FileAccessLogSchema)
    if (file !== undefined) return [{ path: file.path }]
    if (unpackAny(any, StdoutAccessLogSchema) !== undefined) return [{ path: STDOUT }]
    if (unpackAny(any, StderrAccessLogSchema) !== undefined) return [{ path: STDERR }]
    problems.add(at, `${log.name} is not supported`)
    return []
  })
}
