/**
 * HTTP connection managers ⇄ Envoy's `HttpConnectionManager`.
 *
 * Envoy limits request heads in KiB. A limit that is no multiple travels in the metadata of
 * the filter chain; Envoy then takes the next larger one.
 */
import type { JsonObject } from '@bufbuild/protobuf'
import type { Http2Settings, HttpConnectionManager, RouteSource } from '@weft/model'
import {
  Http1ProtocolOptionsSchema,
  type Http2ProtocolOptionsSchema,
  HttpProtocolOptionsSchema,
} from '../gen/envoy/config/core/v3/protocol_pb.js'
import {
  HttpConnectionManager_CodecType as CodecType,
  type HttpConnectionManager as HcmProto,
  HttpConnectionManagerSchema,
} from '../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js'
import { decodeAccessLogs, encodeAccessLogs } from './access-log.ts'
import { decodeEscapedSlashes, encodeEscapedSlashes } from './escaped-slashes.ts'
import { decodeForwardClientCert, encodeForwardClientCert } from './forward-client-cert.ts'
import { decodeFilters, decodeRouter, encodeFilters } from './http-filters/catalog.ts'
import {
  decodeListenerOptions,
  encodeCommonOptions,
  encodeHeaderCase,
  encodeServerHeader,
  listenerExtras,
} from './listener-options.ts'
import { decodeLogFlush, encodeLogFlush } from './log-flush.ts'
import { covers, type Problems, refuseOthers } from './problems.ts'
import { decodeRouteTable, encodeRouteTable } from './route-table.ts'
import {
  checkFromAds,
  decodeDuration,
  type EncodeOptions,
  type Extras,
  encodeDuration,
  FROM_ADS,
  type Init,
  type OneofInit,
} from './values.ts'

const KIB = 1_024

/** Envoy's defaults. */
const DEFAULTS = {
  requestHeadKib: 60,
  idleTimeoutMs: 3_600_000,
  streamIdleTimeoutMs: 300_000,
} as const

export function encodeHttpConnectionManager(
  hcm: HttpConnectionManager,
  options: EncodeOptions,
): { readonly init: Init<typeof HttpConnectionManagerSchema>; readonly extras: Extras } {
  const init: Init<typeof HttpConnectionManagerSchema> = {
    statPrefix: hcm.statPrefix,
    routeSpecifier: encodeRoutes(hcm.routes, options),
    httpFilters: encodeFilters(hcm.filters, hcm.suppressEnvoyHeaders),
    useRemoteAddress: hcm.useRemoteAddress,
    xffNumTrustedHops: hcm.xffTrustedHops,
    normalizePath: hcm.normalizePath,
    mergeSlashes: hcm.mergeSlashes,
    ...encodeEscapedSlashes(hcm),
    upgradeConfigs: hcm.upgrades.map((upgradeType) => ({ upgradeType })),
    httpProtocolOptions: { acceptHttp10: hcm.acceptHttp10, ...encodeHeaderCase(hcm) },
    commonHttpProtocolOptions: encodeCommonOptions(hcm),
    ...encodeServerHeader(hcm.serverHeader),
    via: hcm.via ?? '',
    ...encodeForwardClientCert(hcm.forwardClientCert),
    proxy100Continue: hcm.proxy100Continue ?? false,
    ...(hcm.requestTimeoutMs === undefined
      ? {}
      : { requestTimeout: encodeDuration(hcm.requestTimeoutMs) }),
    codecType: CODECS[hcm.codec ?? 'auto'],
    ...(hcm.http2 === undefined ? {} : { http2ProtocolOptions: encodeHttp2(hcm.http2) }),
    generateRequestId: hcm.generateRequestId,
    maxRequestHeadersKb: Math.ceil(hcm.maxRequestHeadBytes / KIB),
    requestHeadersTimeout: encodeDuration(hcm.requestHeadTimeoutMs),
    streamIdleTimeout: encodeDuration(hcm.streamIdleTimeoutMs),
    accessLog: encodeAccessLogs(hcm.accessLogs),
    ...encodeLogFlush(hcm),
  }
  const exact = hcm.maxRequestHeadBytes % KIB === 0
  return {
    init,
    extras: {
      ...(exact ? {} : { maxRequestHeadBytes: hcm.maxRequestHeadBytes }),
      // Envoy says `auto` as well when nobody chose.
      ...(hcm.codec === 'auto' ? { codec: 'auto' } : {}),
      ...(hcm.refuseMisdirected === undefined ? {} : { refuseMisdirected: hcm.refuseMisdirected }),
      ...listenerExtras(hcm),
    },
  }
}

const CODECS = { auto: CodecType.AUTO, http1: CodecType.HTTP1, http2: CodecType.HTTP2 } as const

function encodeHttp2(settings: Http2Settings): Init<typeof Http2ProtocolOptionsSchema> {
  const { maxConcurrentStreams, streamWindow, connectionWindow, keepAlive } = settings
  return {
    ...(maxConcurrentStreams === undefined ? {} : { maxConcurrentStreams }),
    ...(streamWindow === undefined ? {} : { initialStreamWindowSize: streamWindow }),
    ...(connectionWindow === undefined ? {} : { initialConnectionWindowSize: connectionWindow }),
    ...(keepAlive === undefined
      ? {}
      : {
          connectionKeepalive: {
            interval: encodeDuration(keepAlive.intervalMs),
            timeout: encodeDuration(keepAlive.timeoutMs),
          },
        }),
  }
}

function decodeHttp2(
  proto: HcmProto['http2ProtocolOptions'],
): { readonly http2: Http2Settings } | undefined {
  if (proto === undefined) return undefined
  const { connectionKeepalive: keepAlive } = proto
  return {
    http2: {
      ...(proto.maxConcurrentStreams === undefined
        ? {}
        : { maxConcurrentStreams: proto.maxConcurrentStreams }),
      ...(proto.initialStreamWindowSize === undefined
        ? {}
        : { streamWindow: proto.initialStreamWindowSize }),
      ...(proto.initialConnectionWindowSize === undefined
        ? {}
        : { connectionWindow: proto.initialConnectionWindowSize }),
      ...(keepAlive === undefined
        ? {}
        : {
            keepAlive: {
              intervalMs: decodeDuration(keepAlive.interval, 0),
              timeoutMs: decodeDuration(keepAlive.timeout, 0),
            },
          }),
    },
  }
}

function decodeCodec(
  proto: HcmProto,
  extras: JsonObject,
): { readonly codec: 'auto' | 'http1' | 'http2' } | undefined {
  if (proto.codecType === CodecType.HTTP1) return { codec: 'http1' }
  if (proto.codecType === CodecType.HTTP2) return { codec: 'http2' }
  return extras.codec === 'auto' ? { codec: 'auto' } : undefined
}

function encodeRoutes(
  routes: RouteSource,
  options: EncodeOptions,
): OneofInit<typeof HttpConnectionManagerSchema, 'routeSpecifier'> {
  return routes.kind === 'rds'
    ? { case: 'rds', value: { configSource: FROM_ADS, routeConfigName: routes.name } }
    : { case: 'routeConfig', value: encodeRouteTable(routes.table, options) }
}

const HCM = covers(
  HttpConnectionManagerSchema,
  ...['stat_prefix', 'rds', 'route_config', 'http_filters', 'common_http_protocol_options'],
  ...['http_protocol_options', 'max_request_headers_kb', 'stream_idle_timeout'],
  ...[
    'request_headers_timeout',
    'request_timeout',
    'access_log',
    'use_remote_address',
    'xff_num_trusted_hops',
  ],
  ...['generate_request_id', 'upgrade_configs', 'normalize_path', 'merge_slashes'],
  'path_with_escaped_slashes_action',
  ...['forward_client_cert_details', 'set_current_client_cert_details'],
  // What the wire looks like beyond what a client can rely on, and what is only observed.
  ...['codec_type', 'http2_protocol_options', 'http3_protocol_options', 'server_name', 'via'],
  ...['server_header_transformation', 'drain_timeout', 'delayed_close_timeout', 'tracing'],
  ...['access_log_options', 'access_log_flush_interval', 'flush_access_log_on_new_request'],
  ...['always_set_request_id_in_response', 'preserve_external_request_id', 'proxy_status_config'],
  ...['request_id_extension', 'stream_error_on_invalid_http_message', 'stream_flush_timeout'],
  ...['add_user_agent', 'internal_address_config', 'proxy_100_continue', 'append_local_overload'],
)
const COMMON_OPTIONS = covers(
  HttpProtocolOptionsSchema,
  'idle_timeout',
  'max_headers_count',
  ...['max_connection_duration', 'max_stream_duration', 'max_requests_per_connection'],
  'headers_with_underscores_action',
)
const HTTP1_OPTIONS = covers(
  Http1ProtocolOptionsSchema,
  ...['allow_absolute_url', 'accept_http_10', 'enable_trailers', 'use_balsa_parser'],
  ...['override_stream_error_on_invalid_http_message', 'allow_custom_methods', 'header_key_format'],
)

export function decodeHttpConnectionManager(
  proto: HcmProto,
  extras: JsonObject,
  path: string,
  problems: Problems,
): HttpConnectionManager {
  refuseOthers(HCM, proto, path, problems)
  const common = proto.commonHttpProtocolOptions
  const http1 = proto.httpProtocolOptions
  if (common !== undefined) {
    refuseOthers(COMMON_OPTIONS, common, `${path}.common_http_protocol_options`, problems)
  }
  if (http1 !== undefined) {
    refuseOthers(HTTP1_OPTIONS, http1, `${path}.http_protocol_options`, problems)
  }
  const headBytes = (proto.maxRequestHeadersKb ?? DEFAULTS.requestHeadKib) * KIB
  const exactBytes = extras.maxRequestHeadBytes
  return {
    kind: 'http',
    statPrefix: proto.statPrefix,
    routes: decodeRoutes(proto, path, problems),
    filters: decodeFilters(proto.httpFilters, path, problems),
    ...decodeRouter(proto.httpFilters),
    useRemoteAddress: proto.useRemoteAddress ?? false,
    xffTrustedHops: proto.xffNumTrustedHops,
    normalizePath: proto.normalizePath ?? false,
    mergeSlashes: proto.mergeSlashes,
    ...decodeEscapedSlashes(proto, path, problems),
    upgrades: decodeUpgrades(proto, path, problems),
    acceptHttp10: http1?.acceptHttp10 ?? false,
    generateRequestId: proto.generateRequestId ?? true,
    maxRequestHeadBytes: typeof exactBytes === 'number' ? exactBytes : headBytes,
    requestHeadTimeoutMs: decodeDuration(proto.requestHeadersTimeout, 0),
    idleTimeoutMs: decodeDuration(common?.idleTimeout, DEFAULTS.idleTimeoutMs),
    streamIdleTimeoutMs: decodeDuration(proto.streamIdleTimeout, DEFAULTS.streamIdleTimeoutMs),
    ...decodeForwardClientCert(proto, path, problems),
    ...decodeListenerOptions(proto, extras),
    ...decodeCodec(proto, extras),
    ...decodeHttp2(proto.http2ProtocolOptions),
    ...(typeof extras.refuseMisdirected === 'boolean'
      ? { refuseMisdirected: extras.refuseMisdirected }
      : {}),
    accessLogs: decodeAccessLogs(proto.accessLog, path, problems),
    ...decodeLogFlush(proto, path, problems),
  }
}

function decodeRoutes(proto: HcmProto, path: string, problems: Problems): RouteSource {
  const specifier = proto.routeSpecifier
  if (specifier.case === 'routeConfig') {
    return { kind: 'inline', table: decodeRouteTable(specifier.value, problems) }
  }
  if (specifier.case === 'rds') {
    checkFromAds(specifier.value.configSource, `${path}.rds.config_source`, problems)
    return { kind: 'rds', name: specifier.value.routeConfigName }
  }
  problems.add(path, 'neither rds nor route_config is set')
  return { kind: 'rds', name: '' }
}

function decodeUpgrades(proto: HcmProto, path: string, problems: Problems): string[] {
  return proto.upgradeConfigs.flatMap((upgrade, index) => {
    const at = `${path}.upgrade_configs[${index}]`
    if (upgrade.filters.length > 0) problems.add(`${at}.filters`, 'is not supported')
    return upgrade.enabled === false ? [] : [upgrade.upgradeType.toLowerCase()]
  })
}
