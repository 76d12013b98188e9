/** Decisions of another service ⇄ `envoy.filters.http.ext_authz`. */
import type {
  AuthorizationService,
  ExternalAuthorization,
  HeaderValue,
  MetadataCondition,
  StringMatch,
} from '@weft/model'
import { ApiVersion } from '../../gen/envoy/config/core/v3/config_source_pb.js'
import {
  GrpcService_EnvoyGrpcSchema,
  GrpcServiceSchema,
} from '../../gen/envoy/config/core/v3/grpc_service_pb.js'
import { HttpUriSchema } from '../../gen/envoy/config/core/v3/http_uri_pb.js'
import {
  AuthorizationRequestSchema,
  AuthorizationResponseSchema,
  BufferSettingsSchema,
  CheckSettingsSchema,
  type ExtAuthz,
  ExtAuthzPerRouteSchema,
  ExtAuthzSchema,
  type HttpService,
  HttpServiceSchema,
} from '../../gen/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.js'
import {
  type MetadataMatcher,
  MetadataMatcherSchema,
} from '../../gen/envoy/type/matcher/v3/metadata_pb.js'
import {
  type ListStringMatcher,
  ListStringMatcherSchema,
} from '../../gen/envoy/type/matcher/v3/string_pb.js'
import { ValueMatcherSchema } from '../../gen/envoy/type/matcher/v3/value_pb.js'
import { decodeString, encodeString } from '../matchers.ts'
import { covers, type Problems, refuseOthers } from '../problems.ts'
import { decodeDuration, encodeDuration, type Init, packAny, unpackAny } from '../values.ts'
import { type HttpFilterCodec, refuseDisabled } from './filter-codec.ts'

const EXT_AUTHZ = covers(
  ExtAuthzSchema,
  ...['grpc_service', 'http_service', 'transport_api_version', 'failure_mode_allow'],
  ...['failure_mode_allow_header_add', 'with_request_body', 'clear_route_cache', 'status_on_error'],
  ...['metadata_context_namespaces', 'filter_enabled_metadata', 'include_peer_certificate'],
  ...['allowed_headers', 'disallowed_headers'],
  // Changes of an answer are always checked; the others are about names of statistics.
  ...['validate_mutations', 'stat_prefix', 'charge_cluster_response_stats'],
)
const HTTP_SERVICE = covers(
  HttpServiceSchema,
  ...['server_uri', 'path_prefix', 'authorization_request', 'authorization_response'],
)
const REQUEST = covers(AuthorizationRequestSchema, 'allowed_headers', 'headers_to_add')
const RESPONSE = covers(
  AuthorizationResponseSchema,
  ...['allowed_upstream_headers', 'allowed_upstream_headers_to_append', 'allowed_client_headers'],
  'allowed_client_headers_on_success',
)
const URI = covers(HttpUriSchema, 'uri', 'cluster', 'timeout')
const GRPC = covers(GrpcServiceSchema, 'envoy_grpc', 'timeout')
const ENVOY_GRPC = covers(GrpcService_EnvoyGrpcSchema, 'cluster_name', 'authority')
const BODY = covers(
  BufferSettingsSchema,
  'max_request_bytes',
  'allow_partial_message',
  'pack_as_bytes',
)
const METADATA = covers(MetadataMatcherSchema, 'filter', 'path', 'value', 'invert')
const VALUE = covers(ValueMatcherSchema, 'string_match')
const LIST = covers(ListStringMatcherSchema, 'patterns')
const PER_ROUTE = covers(ExtAuthzPerRouteSchema, 'disabled', 'check_settings')
const CHECK_SETTINGS = covers(CheckSettingsSchema, 'context_extensions')

const DEFAULT_TIMEOUT_MS = 200
const FORBIDDEN = 403

export const extAuthz: HttpFilterCodec<'extAuthz'> = {
  name: 'envoy.filters.http.ext_authz',

  encode({ authorization: is }) {
    const { requestBody, requestHeaders, condition } = is
    const value = packAny(ExtAuthzSchema, {
      services: encodeService(is),
      transportApiVersion: ApiVersion.V3,
      failureModeAllow: is.failureModeAllow,
      failureModeAllowHeaderAdd: is.failureModeHeader,
      statusOnError: { code: is.statusOnError },
      includePeerCertificate: is.includePeerCertificate,
      clearRouteCache: is.clearRouteCache,
      metadataContextNamespaces: [...is.metadataNamespaces],
      ...(requestBody === undefined
        ? {}
        : {
            withRequestBody: {
              maxRequestBytes: requestBody.maxBytes,
              allowPartialMessage: requestBody.allowPartial,
              packAsBytes: requestBody.asBytes,
            },
          }),
      ...(requestHeaders === undefined ? {} : { allowedHeaders: encodeList(requestHeaders) }),
      ...(is.hiddenRequestHeaders.length === 0
        ? {}
        : { disallowedHeaders: encodeList(is.hiddenRequestHeaders) }),
      ...(condition === undefined ? {} : { filterEnabledMetadata: encodeCondition(condition) }),
    })
    return [{ value }]
  },

  decode(any, disabled, path, problems) {
    const proto = unpackAny(any, ExtAuthzSchema)
    if (proto === undefined) return undefined
    refuseDisabled(disabled, path, problems)
    return { kind: 'extAuthz', authorization: decodeAuthorization(proto, path, problems) }
  },

  encodeOverride({ authorizationContext }) {
    if (authorizationContext === undefined) return undefined
    const value = { contextExtensions: { ...authorizationContext } }
    return packAny(ExtAuthzPerRouteSchema, { override: { case: 'checkSettings', value } })
  },

  decodeOverride(any, path, problems) {
    const proto = unpackAny(any, ExtAuthzPerRouteSchema)
    if (proto === undefined) return undefined
    refuseOthers(PER_ROUTE, proto, path, problems)
    if (proto.override.case === 'disabled') return { disabled: ['extAuthz'] }
    if (proto.override.case === undefined) return {}
    refuseOthers(CHECK_SETTINGS, proto.override.value, path, problems)
    return { authorizationContext: proto.override.value.contextExtensions }
  },
}

function encodeService({ service, timeoutMs }: ExternalAuthorization) {
  const timeout = encodeDuration(timeoutMs)
  if (service.kind === 'grpc') {
    const { cluster: clusterName, authority } = service
    const value = { clusterName, ...(authority === undefined ? {} : { authority }) }
    const targetSpecifier = { case: 'envoyGrpc', value } as const
    return { case: 'grpcService', value: { targetSpecifier, timeout } } as const
  }
  const { uri, cluster, pathPrefix, extraHeaders } = service
  const value: Init<typeof HttpServiceSchema> = {
    serverUri: { uri, httpUpstreamType: { case: 'cluster', value: cluster }, timeout },
    pathPrefix,
    authorizationRequest: {
      headersToAdd: extraHeaders.map(({ name, value: text }) => ({ key: name, value: text })),
    },
    authorizationResponse: {
      ...list('allowedUpstreamHeaders', service.upstreamHeaders),
      ...list('allowedUpstreamHeadersToAppend', service.appendedUpstreamHeaders),
      ...list('allowedClientHeaders', service.clientHeaders),
      ...list('allowedClientHeadersOnSuccess', service.clientHeadersOnSuccess),
    },
  }
  return { case: 'httpService', value } as const
}

function list<K extends string>(name: K, matches: readonly StringMatch[]) {
  if (matches.length === 0) return {}
  return { [name]: encodeList(matches) } as Record<K, ReturnType<typeof encodeList>>
}

function encodeList(matches: readonly StringMatch[]) {
  return { patterns: matches.map(encodeString) }
}

function encodeCondition({ filter, path, value, invert }: MetadataCondition) {
  return {
    filter,
    path: path.map((key) => ({ segment: { case: 'key' as const, value: key } })),
    value: { matchPattern: { case: 'stringMatch' as const, value: encodeString(value) } },
    invert,
  }
}

function decodeAuthorization(
  proto: ExtAuthz,
  path: string,
  problems: Problems,
): ExternalAuthorization {
  refuseOthers(EXT_AUTHZ, proto, path, problems)
  const { services, withRequestBody: body, filterEnabledMetadata: enabled } = proto
  if (body !== undefined) refuseOthers(BODY, body, `${path}.with_request_body`, problems)
  const http = services.case === 'httpService' ? services.value : undefined
  // The older place of the same list.
  const allowed = proto.allowedHeaders ?? http?.authorizationRequest?.allowedHeaders
  return {
    service: decodeService(proto, path, problems),
    timeoutMs: decodeTimeout(proto),
    failureModeAllow: proto.failureModeAllow,
    failureModeHeader: proto.failureModeAllowHeaderAdd,
    statusOnError: proto.statusOnError?.code ?? FORBIDDEN,
    hiddenRequestHeaders: decodeList(
      proto.disallowedHeaders,
      `${path}.disallowed_headers`,
      problems,
    ),
    includePeerCertificate: proto.includePeerCertificate,
    metadataNamespaces: proto.metadataContextNamespaces,
    clearRouteCache: proto.clearRouteCache,
    ...(body === undefined
      ? {}
      : {
          requestBody: {
            maxBytes: body.maxRequestBytes,
            allowPartial: body.allowPartialMessage,
            asBytes: body.packAsBytes,
          },
        }),
    ...(allowed === undefined
      ? {}
      : { requestHeaders: decodeList(allowed, `${path}.allowed_headers`, problems) }),
    ...(enabled === undefined
      ? {}
      : { condition: decodeCondition(enabled, `${path}.filter_enabled_metadata`, problems) }),
  }
}

function decodeTimeout({ services }: ExtAuthz): number {
  const timeout =
    services.case === 'grpcService' ? services.value.timeout : services.value?.serverUri?.timeout
  return decodeDuration(timeout, DEFAULT_TIMEOUT_MS)
}

function decodeService(
  { services }: ExtAuthz,
  path: string,
  problems: Problems,
): AuthorizationService {
  if (services.case === 'httpService') {
    return decodeHttp(services.value, `${path}.http_service`, problems)
  }
  const at = `${path}.grpc_service`
  const grpc = services.case === 'grpcService' ? services.value : undefined
  if (grpc !== undefined) refuseOthers(GRPC, grpc, at, problems)
  const envoy = grpc?.targetSpecifier.case === 'envoyGrpc' ? grpc.targetSpecifier.value : undefined
  if (envoy === undefined) problems.add(at, 'has no envoy_grpc')
  else refuseOthers(ENVOY_GRPC, envoy, `${at}.envoy_grpc`, problems)
  return {
    kind: 'grpc',
    cluster: envoy?.clusterName ?? '',
    ...(envoy === undefined || envoy.authority === '' ? {} : { authority: envoy.authority }),
  }
}

function decodeHttp(proto: HttpService, path: string, problems: Problems): AuthorizationService {
  refuseOthers(HTTP_SERVICE, proto, path, problems)
  const { serverUri, authorizationRequest: request, authorizationResponse: response } = proto
  if (serverUri === undefined) problems.add(`${path}.server_uri`, 'is missing')
  else refuseOthers(URI, serverUri, `${path}.server_uri`, problems)
  if (request !== undefined)
    refuseOthers(REQUEST, request, `${path}.authorization_request`, problems)
  const at = `${path}.authorization_response`
  if (response !== undefined) refuseOthers(RESPONSE, response, at, problems)
  const headers = (one: ListStringMatcher | undefined) => decodeList(one, at, problems)
  const extraHeaders: HeaderValue[] = (request?.headersToAdd ?? []).map(({ key, value }) => ({
    name: key.toLowerCase(),
    value,
  }))
  return {
    kind: 'http',
    cluster: serverUri?.httpUpstreamType.value ?? '',
    uri: serverUri?.uri ?? '',
    pathPrefix: proto.pathPrefix,
    extraHeaders,
    upstreamHeaders: headers(response?.allowedUpstreamHeaders),
    appendedUpstreamHeaders: headers(response?.allowedUpstreamHeadersToAppend),
    clientHeaders: headers(response?.allowedClientHeaders),
    clientHeadersOnSuccess: headers(response?.allowedClientHeadersOnSuccess),
  }
}

function decodeList(
  proto: ListStringMatcher | undefined,
  path: string,
  problems: Problems,
): readonly StringMatch[] {
  if (proto === undefined) return []
  refuseOthers(LIST, proto, path, problems)
  return proto.patterns.map((one, index) => decodeString(one, `${path}[${index}]`, problems))
}

function decodeCondition(
  proto: MetadataMatcher,
  path: string,
  problems: Problems,
): MetadataCondition {
  refuseOthers(METADATA, proto, path, problems)
  const { value, filter, invert } = proto
  if (value !== undefined) refuseOthers(VALUE, value, `${path}.value`, problems)
  const pattern = value?.matchPattern.case === 'stringMatch' ? value.matchPattern.value : undefined
  return {
    filter,
    path: proto.path.map(({ segment }) => {
      if (segment.case === 'key') return segment.value
      problems.add(`${path}.path`, 'has a segment without key')
      return ''
    }),
    value: decodeString(pattern, `${path}.value.string_match`, problems),
    invert,
  }
}
