/** How HTTP is spoken to a cluster ⇄ Envoy's `HttpProtocolOptions` extension. */
import type { JsonObject } from '@bufbuild/protobuf'
import type { UpstreamHttp } from '@weft/model'
import type {
  Cluster as ClusterProto,
  ClusterSchema,
} from '../gen/envoy/config/cluster/v3/cluster_pb.js'
import {
  HttpProtocolOptionsSchema as CommonOptionsSchema,
  type Http2ProtocolOptionsSchema,
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

export function encodeUpstreamHttp(http: UpstreamHttp): {
  readonly init: Pick<Init<typeof ClusterSchema>, 'typedExtensionProtocolOptions'>
  readonly extras: Extras
} {
  const options: Init<typeof HttpProtocolOptionsSchema> = {
    commonHttpProtocolOptions: {
      idleTimeout: encodeDuration(http.idleTimeoutMs),
      ...(http.maxRequestsPerConnection === 0
        ? {}
        : { maxRequestsPerConnection: http.maxRequestsPerConnection }),
    },
    upstreamProtocolOptions: encodeProtocol(http),
  }
  const packed = packAny(HttpProtocolOptionsSchema, options)
  // HTTP/1.1 has no streams to limit, so Envoy has no field for it there.
  const lost = http.protocol === 'http1' && http.maxConcurrentStreams !== 0
  return {
    init: { typedExtensionProtocolOptions: { [OPTIONS]: packed } },
    extras: lost ? { maxConcurrentStreams: http.maxConcurrentStreams } : {},
  }
}

function encodeProtocol({
  protocol,
  maxConcurrentStreams,
}: UpstreamHttp): OneofInit<typeof HttpProtocolOptionsSchema, 'upstreamProtocolOptions'> {
  const http2: Init<typeof Http2ProtocolOptionsSchema> =
    maxConcurrentStreams === 0 ? {} : { maxConcurrentStreams }
  switch (protocol) {
    case 'http1':
      return {
        case: 'explicitHttpConfig',
        value: { protocolConfig: { case: 'httpProtocolOptions', value: {} } },
      }
    case 'http2':
      return {
        case: 'explicitHttpConfig',
        value: { protocolConfig: { case: 'http2ProtocolOptions', value: http2 } },
      }
    case 'downstream':
      return {
        case: 'useDownstreamProtocolConfig',
        value: { httpProtocolOptions: {}, http2ProtocolOptions: http2 },
      }
  }
}

const HTTP = covers(
  HttpProtocolOptionsSchema,
  ...['common_http_protocol_options', 'explicit_http_config', 'use_downstream_protocol_config'],
  // SNI and names that Envoy may derive from the request; they need TLS, which is checked elsewhere.
  'header_validation_config',
)
const COMMON = covers(
  CommonOptionsSchema,
  ...['idle_timeout', 'max_requests_per_connection', 'max_headers_count'],
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
  const { protocol, streams } = decodeProtocol(options, at, problems)
  const lost = extras.maxConcurrentStreams
  return {
    protocol,
    idleTimeoutMs: decodeDuration(common?.idleTimeout, DEFAULT_IDLE_TIMEOUT_MS),
    maxRequestsPerConnection: common?.maxRequestsPerConnection ?? 0,
    maxConcurrentStreams: typeof lost === 'number' ? lost : streams,
  }
}

function decodeProtocol(
  options: HttpProtocolOptions | undefined,
  path: string,
  problems: Problems,
): { readonly protocol: UpstreamHttp['protocol']; readonly streams: number } {
  const upstream = options?.upstreamProtocolOptions
  if (upstream?.case === 'useDownstreamProtocolConfig') {
    const streams = upstream.value.http2ProtocolOptions?.maxConcurrentStreams ?? 0
    return { protocol: 'downstream', streams }
  }
  const config = upstream?.case === 'explicitHttpConfig' ? upstream.value.protocolConfig : undefined
  if (config?.case === 'http2ProtocolOptions') {
    return { protocol: 'http2', streams: config.value.maxConcurrentStreams ?? 0 }
  }
  if (config?.case === 'http3ProtocolOptions') {
    problems.add(`${path}.http3_protocol_options`, 'is not supported')
  }
  return { protocol: 'http1', streams: 0 }
}
