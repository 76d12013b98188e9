/** What a listener asks of messages and connections beyond routing ⇄ Envoy's connection manager. */
import type { JsonObject } from '@bufbuild/protobuf'
import type { HttpConnectionManager } from '@weft/model'
import {
  type Http1ProtocolOptionsSchema,
  type HttpProtocolOptions,
  type HttpProtocolOptionsSchema,
  HttpProtocolOptions_HeadersWithUnderscoresAction as Underscores,
} from '../gen/envoy/config/core/v3/protocol_pb.js'
import {
  type HttpConnectionManager as HcmProto,
  type HttpConnectionManagerSchema,
  HttpConnectionManager_ServerHeaderTransformation as Transformation,
} from '../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js'
import { decodeDuration, type Extras, encodeDuration, type Init } from './values.ts'

type Options = Pick<
  HttpConnectionManager,
  | 'maxConnectionDurationMs'
  | 'maxStreamDurationMs'
  | 'maxRequestsPerConnection'
  | 'maxRequestFields'
  | 'underscores'
  | 'headerCase'
  | 'proxy100Continue'
  | 'serverHeader'
  | 'via'
  | 'requestTimeoutMs'
>

const UNDERSCORES = {
  allow: Underscores.ALLOW,
  reject: Underscores.REJECT_REQUEST,
  drop: Underscores.DROP_HEADER,
} as const

export function encodeCommonOptions(
  hcm: HttpConnectionManager,
): Init<typeof HttpProtocolOptionsSchema> {
  const { maxConnectionDurationMs, maxStreamDurationMs, maxRequestsPerConnection } = hcm
  return {
    idleTimeout: encodeDuration(hcm.idleTimeoutMs),
    ...(maxConnectionDurationMs === undefined
      ? {}
      : { maxConnectionDuration: encodeDuration(maxConnectionDurationMs) }),
    ...(maxStreamDurationMs === undefined
      ? {}
      : { maxStreamDuration: encodeDuration(maxStreamDurationMs) }),
    ...(maxRequestsPerConnection === undefined ? {} : { maxRequestsPerConnection }),
    ...(hcm.maxRequestFields === undefined ? {} : { maxHeadersCount: hcm.maxRequestFields }),
    headersWithUnderscoresAction: UNDERSCORES[hcm.underscores ?? 'allow'],
  }
}

/** Envoy writes lower case where nothing is said, which HTTP/1 clients cannot tell from our words. */
export function encodeHeaderCase({
  headerCase,
}: HttpConnectionManager): Pick<Init<typeof Http1ProtocolOptionsSchema>, 'headerKeyFormat'> {
  if (headerCase !== 'proper') return {}
  return { headerKeyFormat: { headerFormat: { case: 'properCaseWords', value: {} } } }
}

export function encodeServerHeader(
  header: HttpConnectionManager['serverHeader'],
): Pick<Init<typeof HttpConnectionManagerSchema>, 'serverName' | 'serverHeaderTransformation'> {
  switch (header?.kind) {
    case undefined:
      return {}
    case 'remove':
      return { serverHeaderTransformation: Transformation.PASS_THROUGH }
    case 'overwrite':
      return {
        serverHeaderTransformation: Transformation.OVERWRITE,
        serverName: header.value,
      }
    case 'ifAbsent':
      return {
        serverHeaderTransformation: Transformation.APPEND_IF_ABSENT,
        serverName: header.value,
      }
  }
}

/** What Envoy has no word for. */
export function listenerExtras(hcm: HttpConnectionManager): Extras {
  return {
    ...(hcm.headerCase === 'lower' ? { headerCase: 'lower' } : {}),
    ...(hcm.serverHeader?.kind === 'remove' ? { serverHeader: 'remove' } : {}),
    // Envoy says so as well when nobody chose.
    ...(hcm.underscores === 'allow' ? { underscores: 'allow' } : {}),
  }
}

export function decodeListenerOptions(proto: HcmProto, extras: JsonObject): Options {
  const common = proto.commonHttpProtocolOptions
  const underscores = decodeUnderscores(common, extras)
  const headerCase = decodeHeaderCase(proto, extras)
  const serverHeader = decodeServerHeader(proto, extras)
  return {
    ...(common?.maxConnectionDuration === undefined
      ? {}
      : { maxConnectionDurationMs: decodeDuration(common.maxConnectionDuration, 0) }),
    ...(common?.maxStreamDuration === undefined
      ? {}
      : { maxStreamDurationMs: decodeDuration(common.maxStreamDuration, 0) }),
    ...(common?.maxRequestsPerConnection === undefined || common.maxRequestsPerConnection === 0
      ? {}
      : { maxRequestsPerConnection: common.maxRequestsPerConnection }),
    ...(common?.maxHeadersCount === undefined ? {} : { maxRequestFields: common.maxHeadersCount }),
    ...(underscores === undefined ? {} : { underscores }),
    ...(headerCase === undefined ? {} : { headerCase }),
    ...(serverHeader === undefined ? {} : { serverHeader }),
    ...(proto.proxy100Continue ? { proxy100Continue: true } : {}),
    ...(proto.via === '' ? {} : { via: proto.via }),
    ...(proto.requestTimeout === undefined
      ? {}
      : { requestTimeoutMs: decodeDuration(proto.requestTimeout, 0) }),
  }
}

function decodeUnderscores(
  common: HttpProtocolOptions | undefined,
  extras: JsonObject,
): Options['underscores'] {
  switch (common?.headersWithUnderscoresAction) {
    case Underscores.REJECT_REQUEST:
      return 'reject'
    case Underscores.DROP_HEADER:
      return 'drop'
    default:
      return extras.underscores === 'allow' ? 'allow' : undefined
  }
}

/** Our proxies keep the case of HTTP/1 names by themselves, so `preserve_case` asks for nothing. */
function decodeHeaderCase(proto: HcmProto, extras: JsonObject): Options['headerCase'] {
  const format = proto.httpProtocolOptions?.headerKeyFormat?.headerFormat
  if (format?.case === 'properCaseWords') return 'proper'
  return extras.headerCase === 'lower' ? 'lower' : undefined
}

/** Without a name, Envoy writes its own: ours leaves the upstream's. */
function decodeServerHeader(proto: HcmProto, extras: JsonObject): Options['serverHeader'] {
  if (extras.serverHeader === 'remove') return { kind: 'remove' }
  const { serverName: value, serverHeaderTransformation } = proto
  if (value === '' || serverHeaderTransformation === Transformation.PASS_THROUGH) return undefined
  return serverHeaderTransformation === Transformation.APPEND_IF_ABSENT
    ? { kind: 'ifAbsent', value }
    : { kind: 'overwrite', value }
}
