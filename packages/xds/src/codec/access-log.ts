/**
 * Access logs ⇄ Envoy's file access logger.
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
  return targets.map(({ path }) => ({
    name: 'envoy.access_loggers.file',
    configType: {
      case: 'typedConfig',
      value: packAny(FileAccessLogSchema, {
        path,
        accessLogFormat: {
          case: 'logFormat',
          value: { format: { case: 'jsonFormat', value: JSON_FORMAT } },
        },
      }),
    },
  }))
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
    if (unpackAny(any, StdoutAccessLogSchema) !== undefined) return [{ path: '/dev/stdout' }]
    if (unpackAny(any, StderrAccessLogSchema) !== undefined) return [{ path: '/dev/stderr' }]
    problems.add(at, `${log.name} is not supported`)
    return []
  })
}
