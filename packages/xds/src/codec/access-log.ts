/**
 * Access logs ⇄ Envoy's file and standard output access loggers.
 *
 * Where no format is asked for, an Envoy writes one JSON object a line with Istio's field
 * names; our own proxy writes its own line, which has the same fields.
 */
import type { JsonObject } from '@bufbuild/protobuf'
import type { AccessLogFields, AccessLogTarget } from '@weft/model'
import type { AccessLog, AccessLogSchema } from '../gen/envoy/config/accesslog/v3/accesslog_pb.js'
import type {
  SubstitutionFormatString,
  SubstitutionFormatStringSchema,
} from '../gen/envoy/config/core/v3/substitution_format_string_pb.js'
import {
  type FileAccessLog,
  FileAccessLogSchema,
} from '../gen/envoy/extensions/access_loggers/file/v3/file_pb.js'
import {
  StderrAccessLogSchema,
  StdoutAccessLogSchema,
} from '../gen/envoy/extensions/access_loggers/stream/v3/stream_pb.js'
import { decodeFilter, encodeFilter } from './access-log-filter.ts'
import type { Problems } from './problems.ts'
import { type Init, packAny, unpackAny } from './values.ts'

const STDOUT = '/dev/stdout'
const STDERR = '/dev/stderr'

const SHORT_NAMES: Readonly<Record<string, string>> = { [STDOUT]: 'stdout', [STDERR]: 'stderr' }

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
  return targets.map((target) => {
    const { path, filter } = target
    const accessLogFormat = { case: 'logFormat', value: encodeFormat(target) } as const
    // By name: where standard output is a socket, as under systemd, the path cannot be opened.
    const value =
      path === STDOUT
        ? packAny(StdoutAccessLogSchema, { accessLogFormat })
        : path === STDERR
          ? packAny(StderrAccessLogSchema, { accessLogFormat })
          : packAny(FileAccessLogSchema, { path, accessLogFormat })
    return {
      name: `envoy.access_loggers.${SHORT_NAMES[path] ?? 'file'}`,
      configType: { case: 'typedConfig', value },
      ...(filter === undefined ? {} : { filter: encodeFilter(filter) }),
    }
  })
}

/** `content_type` means nothing for files: it tells our own line from one with the same fields. */
const OWN_LINE = 'application/x-weft-default'

function encodeFormat({
  format,
  omitEmpty = false,
}: AccessLogTarget): Init<typeof SubstitutionFormatStringSchema> {
  const omitEmptyValues = omitEmpty
  if (format === undefined) {
    return {
      format: { case: 'jsonFormat', value: JSON_FORMAT },
      contentType: OWN_LINE,
      omitEmptyValues,
    }
  }
  return format.kind === 'json'
    ? { format: { case: 'jsonFormat', value: toJson(format.fields) }, omitEmptyValues }
    : {
        format: {
          case: 'textFormatSource',
          value: { specifier: { case: 'inlineString', value: format.template } },
        },
        omitEmptyValues,
      }
}

/** Only the type differs: JSON of the library may be written to. */
function toJson(fields: AccessLogFields): JsonObject {
  return JSON.parse(JSON.stringify(fields))
}

export function decodeAccessLogs(
  logs: readonly AccessLog[],
  path: string,
  problems: Problems,
): AccessLogTarget[] {
  return logs.flatMap((log, index) => {
    const at = `${path}.access_log[${index}]`
    const found = decodeLogger(log, at, problems)
    if (found === undefined) return []
    const filter =
      log.filter === undefined ? undefined : decodeFilter(log.filter, `${at}.filter`, problems)
    return [
      {
        path: found.path,
        ...decodeFormat(found.format, at, problems),
        ...(filter === undefined ? {} : { filter }),
      },
    ]
  })
}

type FormatProto = FileAccessLog['accessLogFormat']

function decodeLogger(
  log: AccessLog,
  at: string,
  problems: Problems,
): { readonly path: string; readonly format: FormatProto } | undefined {
  const any = log.configType.value
  const file = unpackAny(any, FileAccessLogSchema)
  if (file !== undefined) return { path: file.path, format: file.accessLogFormat }
  const stdout = unpackAny(any, StdoutAccessLogSchema)
  if (stdout !== undefined) return { path: STDOUT, format: stdout.accessLogFormat }
  const stderr = unpackAny(any, StderrAccessLogSchema)
  if (stderr !== undefined) return { path: STDERR, format: stderr.accessLogFormat }
  problems.add(at, `${log.name} is not supported`)
  return undefined
}

/** Envoy's own, for loggers that name none. */
const ENVOY_DEFAULT =
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" ' +
  '%RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% ' +
  '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" ' +
  '"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"\n'

type FormatFields = Pick<AccessLogTarget, 'format' | 'omitEmpty'>

function decodeFormat(proto: FormatProto, at: string, problems: Problems): FormatFields {
  switch (proto.case) {
    case undefined:
      return { format: { kind: 'text', template: ENVOY_DEFAULT } }
    case 'format':
      return { format: { kind: 'text', template: proto.value } }
    case 'jsonFormat':
    case 'typedJsonFormat':
      return { format: { kind: 'json', fields: proto.value } }
    case 'logFormat':
      return decodeSubstitution(proto.value, `${at}.log_format`, problems)
  }
}

function decodeSubstitution(
  proto: SubstitutionFormatString,
  at: string,
  problems: Problems,
): FormatFields {
  const omitEmpty = proto.omitEmptyValues ? { omitEmpty: true } : {}
  const { format, contentType } = proto
  switch (format.case) {
    case 'jsonFormat':
      return contentType === OWN_LINE
        ? omitEmpty
        : { format: { kind: 'json', fields: format.value }, ...omitEmpty }
    case 'textFormat':
      return { format: { kind: 'text', template: format.value }, ...omitEmpty }
    case 'textFormatSource': {
      const { specifier } = format.value
      if (specifier.case === 'inlineString') {
        return { format: { kind: 'text', template: specifier.value }, ...omitEmpty }
      }
      problems.add(`${at}.text_format_source`, 'only inline_string is supported')
      return omitEmpty
    }
    default:
      problems.add(at, 'has no format')
      return omitEmpty
  }
}
