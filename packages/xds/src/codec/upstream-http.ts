/** How HTTP is spoken to a cluster ⇄ Envoy's `HttpProtocolOptions` extension. */
import type { JsonObject } from '@bufbuild/protobuf'
import type { UpstreamHttp, UpstreamTls } from '@weft/model'
import type {
  Cluster as ClusterProto,
  ClusterSchema,
} from '../gen/envoy/config/cluster/v3/cluster_pb.js'
import {
  HttpProtocolOptionsSchema as CommonOptionsSchema,
  type Http1ProtocolOptions,
  Http1ProtocolOptionsSchema,
  type Http2ProtocolOptions,
  Http2ProtocolOptionsSchema,
  KeepaliveSettingsSchema,
  UpstreamHttpProtocolOptionsSchema,
} from '../gen/envoy/config/core/v3/protocol_pb.js'
import {
  type HttpProtocolOptions,
  HttpProtocolOptionsSchema,
} from '../gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.js'
import { covers, type Problems, refuseOthers } from './problems.ts'
import {
  decodeDuration,
  type Extras,
  encodeDuration,
  type Init,
  type OneofInit,
  packAny,
  unpackAny,
} from './values.ts'

const OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions'
/** Envoy's default, in milliseconds. */
const DEFAULT_IDLE_TIMEOUT_MS = 3_600_000

export function encodeUpstreamHttp(
  http: UpstreamHttp,
  tls: UpstreamTls | undefined,
): {
  readonly init: Pick<Init<typeof ClusterSchema>, 'typedExtensionProtocolOptions'>
  readonly extras: Extras
} {
  const options: Init<typeof HttpProtocolOptionsSchema> = {
    commonHttpProtocolOptions: {
      idleTimeout: encodeDuration(http.idleTimeoutMs),
      ...(http.maxRequestsPerConnection === 0
        ? {}
        : { maxRequestsPerConnection: http.maxRequestsPerConnection }),
      ...(http.maxConnectionDurationMs === undefined
        ? {}
        : { maxConnectionDuration: encodeDuration(http.maxConnectionDurationMs) }),
    },
    upstreamProtocolOptions: encodeProtocol(http),
    ...(tls?.autoSni === true || tls?.autoSanValidation === true
      ? {
          upstreamHttpProtocolOptions: {
            autoSni: tls.autoSni === true,
            autoSanValidation: tls.autoSanValidation === true,
          },
        }
      : {}),
  }
  const packed = packAny(HttpProtocolOptionsSchema, options)
  return {
    init: { typedExtensionProtocolOptions: { [OPTIONS]: packed } },
    extras: lostSettings(http),
  }
}

/** What the other version of HTTP has no field for, and what is Envoy's way anyway. */
function lostSettings({ protocol, ...http }: UpstreamHttp): Extras {
  const { keepAlive, headerCase, maxConcurrentStreams } = http
  return {
    ...(protocol === 'http1' && maxConcurrentStreams !== 0 ? { maxConcurrentStreams } : {}),
    ...(protocol === 'http1' && keepAlive !== undefined
      ? { http2KeepAliveMs: [keepAlive.intervalMs, keepAlive.timeoutMs] }
      : {}),
    ...(headerCase === 'lower' || (headerCase === 'proper' && protocol === 'http2')
      ? { headerCase }
      : {}),
  }
}

function encodeProtocol(
  http: UpstreamHttp,
): OneofInit<typeof HttpProtocolOptionsSchema, 'upstreamProtocolOptions'> {
  const { protocol, maxConcurrentStreams, keepAlive, headerCase } = http
  const http1: Init<typeof Http1ProtocolOptionsSchema> =
    headerCase === 'proper'
      ? { headerKeyFormat: { headerFormat: { case: 'properCaseWords', value: {} } } }
      : {}
  const http2: Init<typeof Http2ProtocolOptionsSchema> = {
    ...(maxConcurrentStreams === 0 ? {} : { maxConcurrentStreams }),
    ...(keepAlive === undefined
      ? {}
      : {
          connectionKeepalive: {
            interval: encodeDuration(keepAlive.intervalMs),
            timeout: encodeDuration(keepAlive.timeoutMs),
          },
        }),
  }
  switch (protocol) {
    case 'http1':
      return {
        case: 'explicitHttpConfig',
        value: { protocolConfig: { case: 'httpProtocolOptions', value: http1 } },
      }
    case 'http2':
      return {
        case: 'explicitHttpConfig',
        value: { protocolConfig: { case: 'http2ProtocolOptions', value: http2 } },
      }
    case 'downstream':
      return {
        case: 'useDownstreamProtocolConfig',
        value: { httpProtocolOptions: http1, http2ProtocolOptions: http2 },
      }
    case 'alpn':
      return {
        case: 'autoConfig',
        value: { httpProtocolOptions: http1, http2ProtocolOptions: http2 },
      }
  }
}

const HTTP = covers(
  HttpProtocolOptionsSchema,
  ...['common_http_protocol_options', 'explicit_http_config', 'use_downstream_protocol_config'],
  // `alpn`: whatever the handshake agrees on.
  'auto_config',
  ...['upstream_http_protocol_options', 'header_validation_config'],
)
const AUTO_SNI = covers(UpstreamHttpProtocolOptionsSchema, 'auto_sni', 'auto_san_validation')
const COMMON = covers(
  CommonOptionsSchema,
  ...['idle_timeout', 'max_requests_per_connection', 'max_headers_count'],
  'max_connection_duration',
)
const HTTP1 = covers(
  Http1ProtocolOptionsSchema,
  ...['allow_absolute_url', 'accept_http_10', 'default_host_for_http_10', 'header_key_format'],
  // How lenient the parser is; ours takes what RFC 9112 does.
  ...['enable_trailers', 'allow_chunked_length', 'use_balsa_parser', 'allow_custom_methods'],
  'override_stream_error_on_invalid_http_message',
)
// Windows and the limits against floods are ours to choose.
const HTTP2 = covers(
  Http2ProtocolOptionsSchema,
  ...Http2ProtocolOptionsSchema.fields
    .map(({ name }) => name)
    .filter((name) => name !== 'custom_settings_parameters' && name !== 'allow_metadata'),
)
const KEEPALIVE = covers(
  KeepaliveSettingsSchema,
  ...['interval', 'timeout', 'interval_jitter', 'connection_idle_interval'],
)

export function decodeUpstreamHttp(
  proto: ClusterProto,
  extras: JsonObject,
  path: string,
  problems: Problems,
): UpstreamHttp {
  const at = `${path}.typed_extension_protocol_options`
  for (const name of Object.keys(proto.typedExtensionProtocolOptions)) {
    if (name !== OPTIONS) problems.add(at, `${name} is not supported`)
  }
  const options = unpackAny(proto.typedExtensionProtocolOptions[OPTIONS], HttpProtocolOptionsSchema)
  const common = options?.commonHttpProtocolOptions
  if (options !== undefined) refuseOthers(HTTP, options, at, problems)
  if (common !== undefined) {
    refuseOthers(COMMON, common, `${at}.common_http_protocol_options`, problems)
  }
  const { protocol, http1, http2 } = decodeProtocol(options, at, problems)
  if (http1 !== undefined) refuseOthers(HTTP1, http1, `${at}.http_protocol_options`, problems)
  if (http2 !== undefined) refuseOthers(HTTP2, http2, `${at}.http2_protocol_options`, problems)
  const lost = extras.maxConcurrentStreams
  const keepAlive = decodeKeepAlive(http2, extras, at, problems)
  const headerCase = decodeHeaderCase(http1, extras)
  return {
    protocol,
    idleTimeoutMs: decodeDuration(common?.idleTimeout, DEFAULT_IDLE_TIMEOUT_MS),
    maxRequestsPerConnection: common?.maxRequestsPerConnection ?? 0,
    maxConcurrentStreams: typeof lost === 'number' ? lost : (http2?.maxConcurrentStreams ?? 0),
    ...(common?.maxConnectionDuration === undefined
      ? {}
      : { maxConnectionDurationMs: decodeDuration(common.maxConnectionDuration, 0) }),
    ...(keepAlive === undefined ? {} : { keepAlive }),
    ...(headerCase === undefined ? {} : { headerCase }),
  }
}

/** What of the TLS context is derived from each request; Envoy has it among the HTTP options. */
export function decodeAutoSni(
  proto: ClusterProto,
  path: string,
  problems: Problems,
): Pick<UpstreamTls, 'autoSni' | 'autoSanValidation'> {
  const options = unpackAny(proto.typedExtensionProtocolOptions[OPTIONS], HttpProtocolOptionsSchema)
  const found = options?.upstreamHttpProtocolOptions
  if (found === undefined) return {}
  const at = `${path}.typed_extension_protocol_options.upstream_http_protocol_options`
  refuseOthers(AUTO_SNI, found, at, problems)
  return {
    ...(found.autoSni ? { autoSni: true } : {}),
    ...(found.autoSanValidation ? { autoSanValidation: true } : {}),
  }
}

function decodeKeepAlive(
  http2: Http2ProtocolOptions | undefined,
  { http2KeepAliveMs }: JsonObject,
  path: string,
  problems: Problems,
): UpstreamHttp['keepAlive'] {
  const settings = http2?.connectionKeepalive
  if (settings !== undefined) {
    refuseOthers(KEEPALIVE, settings, `${path}.http2_protocol_options`, problems)
    // Without an interval Envoy only asks connections that rested; ours are asked anyway.
    if (settings.interval === undefined) return undefined
    return {
      intervalMs: decodeDuration(settings.interval, 0),
      timeoutMs: decodeDuration(settings.timeout, 0),
    }
  }
  const [intervalMs, timeoutMs] = Array.isArray(http2KeepAliveMs) ? http2KeepAliveMs : []
  if (typeof intervalMs !== 'number' || typeof timeoutMs !== 'number') return undefined
  return { intervalMs, timeoutMs }
}

function decodeHeaderCase(
  http1: Http1ProtocolOptions | undefined,
  { headerCase }: JsonObject,
): UpstreamHttp['headerCase'] {
  if (http1?.headerKeyFormat?.headerFormat.case === 'properCaseWords') return 'proper'
  return headerCase === 'lower' || headerCase === 'proper' ? headerCase : undefined
}

interface DecodedProtocol {
  readonly protocol: UpstreamHttp['protocol']
  readonly http1?: Http1ProtocolOptions | undefined
  readonly http2?: Http2ProtocolOptions | undefined
}

function decodeProtocol(
  options: HttpProtocolOptions | undefined,
  path: string,
  problems: Problems,
): DecodedProtocol {
  const upstream = options?.upstreamProtocolOptions
  if (upstream?.case === 'useDownstreamProtocolConfig' || upstream?.case === 'autoConfig') {
    const { httpProtocolOptions: http1, http2ProtocolOptions: http2 } = upstream.value
    const protocol = upstream.case === 'autoConfig' ? 'alpn' : 'downstream'
    if (upstream.value.http3ProtocolOptions !== undefined) {
      problems.add(`${path}.http3_protocol_options`, 'is not supported')
    }
    return { protocol, http1, http2 }
  }
  const config = upstream?.case === 'explicitHttpConfig' ? upstream.value.protocolConfig : undefined
  if (config?.case === 'http2ProtocolOptions') return { protocol: 'http2', http2: config.value }
  if (config?.case === 'http3ProtocolOptions') {
    problems.add(`${path}.http3_protocol_options`, 'is not supported')
  }
  return {
    protocol: 'http1',
    http1: config?.case === 'httpProtocolOptions' ? config.value : undefined,
  }
}
