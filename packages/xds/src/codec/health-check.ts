/**
 * Active health checks ⇄ Envoy's `HealthCheck`.
 *
 * Envoy has an interval of its own for clusters without traffic, one minute unless told; the
 * model's default is the ordinary interval, so it is always written.
 */
import type { HealthCheck, HealthProbe } from '@weft/model'
import { RequestMethod } from '../gen/envoy/config/core/v3/base_pb.js'
import {
  HealthCheck_GrpcHealthCheckSchema,
  type HealthCheck_HttpHealthCheck,
  HealthCheck_HttpHealthCheckSchema,
  type HealthCheck_Payload,
  type HealthCheck_PayloadSchema,
  HealthCheck_TcpHealthCheckSchema,
  type HealthCheck as HealthCheckProto,
  HealthCheckSchema,
} from '../gen/envoy/config/core/v3/health_check_pb.js'
import { CodecClientType } from '../gen/envoy/type/v3/http_pb.js'
import { decodeString, encodeString } from './matchers.ts'
import { covers, type Problems, refuseOthers } from './problems.ts'
import { decodeDuration, encodeDuration, type Init, type OneofInit } from './values.ts'

type HttpProbe = Extract<HealthProbe, { readonly kind: 'http' }>

const METHODS = {
  GET: RequestMethod.GET,
  HEAD: RequestMethod.HEAD,
  OPTIONS: RequestMethod.OPTIONS,
  POST: RequestMethod.POST,
} as const satisfies Record<HttpProbe['method'], RequestMethod>

const METHOD_NAMES = ['GET', 'HEAD', 'OPTIONS', 'POST'] as const

/** @param index Envoy wants a name for each when there are several. */
export function encodeHealthCheck(
  check: HealthCheck,
  index: number,
): Init<typeof HealthCheckSchema> {
  return {
    name: `${check.probe.kind}-${index}`,
    interval: encodeDuration(check.intervalMs),
    ...(check.jitterMs === 0 ? {} : { intervalJitter: encodeDuration(check.jitterMs) }),
    timeout: encodeDuration(check.timeoutMs),
    unhealthyThreshold: check.unhealthyThreshold,
    healthyThreshold: check.healthyThreshold,
    noTrafficInterval: encodeDuration(check.idleIntervalMs ?? check.intervalMs),
    ...(check.port === undefined ? {} : { altPort: check.port }),
    healthChecker: encodeProbe(check.probe),
  }
}

function encodeProbe(probe: HealthProbe): OneofInit<typeof HealthCheckSchema, 'healthChecker'> {
  switch (probe.kind) {
    case 'http':
      return {
        case: 'httpHealthCheck',
        value: {
          path: probe.path,
          host: probe.host ?? '',
          method: METHODS[probe.method],
          codecClientType:
            probe.protocol === 'http2' ? CodecClientType.HTTP2 : CodecClientType.HTTP1,
          expectedStatuses: probe.expectedStatuses.map(({ from, to }) => ({
            start: BigInt(from),
            end: BigInt(to),
          })),
          ...(probe.serviceName === undefined
            ? {}
            : { serviceNameMatcher: encodeString(probe.serviceName) }),
        },
      }
    case 'grpc':
      return {
        case: 'grpcHealthCheck',
        value: { serviceName: probe.service, authority: probe.authority ?? '' },
      }
    case 'tcp':
      return {
        case: 'tcpHealthCheck',
        value: {
          ...(probe.send === undefined ? {} : { send: encodePayload(probe.send) }),
          receive: probe.receive.map(encodePayload),
        },
      }
  }
}

/** Envoy's `text` is hexadecimal. */
function encodePayload(bytes: Uint8Array): Init<typeof HealthCheck_PayloadSchema> {
  return { payload: { case: 'text', value: Buffer.from(bytes).toString('hex') } }
}

const CHECK = covers(
  HealthCheckSchema,
  ...['timeout', 'interval', 'interval_jitter', 'unhealthy_threshold', 'healthy_threshold'],
  ...['name', 'alt_port', 'http_health_check', 'tcp_health_check', 'grpc_health_check'],
  'no_traffic_interval',
  // How checks spread and what is logged; ours open a connection for each check.
  ...['initial_jitter', 'reuse_connection', 'event_logger', 'event_log_path'],
  ...['always_log_health_check_failures', 'always_log_health_check_success'],
)
const HTTP = covers(
  HealthCheck_HttpHealthCheckSchema,
  ...['host', 'path', 'method', 'codec_client_type', 'expected_statuses', 'service_name_matcher'],
  // How much of a body is kept for a comparison that is refused below.
  'response_buffer_size',
)
const GRPC = covers(HealthCheck_GrpcHealthCheckSchema, 'service_name', 'authority')
const TCP = covers(HealthCheck_TcpHealthCheckSchema, 'send', 'receive')

/** Envoy's default, in milliseconds. */
const DEFAULT_IDLE_INTERVAL_MS = 60_000
/** Envoy's default: 200 alone. */
const OK_ONLY = [{ from: 200, to: 201 }]

export function decodeHealthCheck(
  proto: HealthCheckProto,
  path: string,
  problems: Problems,
): HealthCheck {
  refuseOthers(CHECK, proto, path, problems)
  const intervalMs = decodeDuration(proto.interval, 0)
  const timeoutMs = decodeDuration(proto.timeout, 0)
  if (intervalMs <= 0) problems.add(`${path}.interval`, 'must be more than 0')
  if (timeoutMs <= 0) problems.add(`${path}.timeout`, 'must be more than 0')
  const idleIntervalMs = decodeDuration(proto.noTrafficInterval, DEFAULT_IDLE_INTERVAL_MS)
  return {
    intervalMs,
    jitterMs: decodeDuration(proto.intervalJitter, 0),
    timeoutMs,
    unhealthyThreshold: proto.unhealthyThreshold ?? 1,
    healthyThreshold: proto.healthyThreshold ?? 1,
    ...(idleIntervalMs === intervalMs || idleIntervalMs <= 0 ? {} : { idleIntervalMs }),
    ...(proto.altPort === undefined ? {} : { port: proto.altPort }),
    probe: decodeProbe(proto.healthChecker, path, problems),
  }
}

function decodeProbe(
  checker: HealthCheckProto['healthChecker'],
  path: string,
  problems: Problems,
): HealthProbe {
  switch (checker.case) {
    case 'httpHealthCheck':
      return decodeHttpProbe(checker.value, `${path}.http_health_check`, problems)
    case 'grpcHealthCheck': {
      const { serviceName, authority } = checker.value
      refuseOthers(GRPC, checker.value, `${path}.grpc_health_check`, problems)
      return { kind: 'grpc', service: serviceName, ...(authority === '' ? {} : { authority }) }
    }
    case 'tcpHealthCheck': {
      const { send, receive } = checker.value
      const at = `${path}.tcp_health_check`
      refuseOthers(TCP, checker.value, at, problems)
      return {
        kind: 'tcp',
        ...(send === undefined ? {} : { send: decodePayload(send, `${at}.send`, problems) }),
        receive: receive.map((one) => decodePayload(one, `${at}.receive`, problems)),
      }
    }
    default:
      problems.add(path, `${checker.case ?? 'a check without a kind'} is not supported`)
      return { kind: 'tcp', receive: [] }
  }
}

function decodeHttpProbe(
  http: HealthCheck_HttpHealthCheck,
  at: string,
  problems: Problems,
): HttpProbe {
  refuseOthers(HTTP, http, at, problems)
  const method =
    http.method === RequestMethod.METHOD_UNSPECIFIED
      ? 'GET'
      : METHOD_NAMES.find((name) => METHODS[name] === http.method)
  if (method === undefined) {
    problems.add(`${at}.method`, `${RequestMethod[http.method]} is not supported`)
  }
  if (http.codecClientType === CodecClientType.HTTP3) {
    problems.add(`${at}.codec_client_type`, 'HTTP3 is not supported')
  }
  return {
    kind: 'http',
    path: http.path,
    ...(http.host === '' ? {} : { host: http.host }),
    method: method ?? 'GET',
    protocol: http.codecClientType === CodecClientType.HTTP2 ? 'http2' : 'http1',
    expectedStatuses:
      http.expectedStatuses.length === 0
        ? OK_ONLY
        : http.expectedStatuses.map(({ start, end }) => ({
            from: Number(start),
            to: Number(end),
          })),
    ...(http.serviceNameMatcher === undefined
      ? {}
      : {
          serviceName: decodeString(
            http.serviceNameMatcher,
            `${at}.service_name_matcher`,
            problems,
          ),
        }),
  }
}

function decodePayload(
  { payload }: HealthCheck_Payload,
  path: string,
  problems: Problems,
): Uint8Array {
  if (payload.case === 'binary') return new Uint8Array(payload.value)
  const text = payload.value ?? ''
  if (!/^([0-9a-f]{2})+$/i.test(text)) problems.add(`${path}.text`, 'is not hexadecimal')
  return new Uint8Array(Buffer.from(text, 'hex'))
}
