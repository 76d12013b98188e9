/**
 * What Envoy's API gained after the vintage of the npm package (2024-07), as far as a mesh needs
 * it: fields by message, and the messages and enums that they need.
 *
 * A field is `[name, number, type]`. A type is a scalar (`bool`, `string`, `uint32`, `bytes`), the full
 * name of a message, or `enum <full name>`; `repeated ` may stand in front. A fourth element names
 * the oneof that the field joins.
 */

const ROUTE = 'envoy.config.route.v3'
const CORE = 'envoy.config.core.v3'
const TLS = 'envoy.extensions.transport_sockets.tls.v3'
const HCM = 'envoy.extensions.filters.network.http_connection_manager.v3'
const TCP = 'envoy.extensions.filters.network.tcp_proxy.v3'
const HTTP = 'envoy.extensions.filters.http'
const UPSTREAM_HTTP = 'envoy.extensions.upstreams.http.v3'
const DISCOVERY = 'envoy.service.discovery.v3'
const MATCHER = 'envoy.type.matcher.v3'

/** New messages: the file or message that they live in, and their fields. */
export const NEW_MESSAGES = {
  [`${ROUTE}.CookieMatcher`]: {
    in: 'envoy/config/route/v3/route_components.proto',
    fields: [
      ['name', 1, 'string'],
      ['string_match', 2, `${MATCHER}.StringMatcher`],
      ['invert_match', 3, 'bool'],
    ],
  },
  [`${ROUTE}.RateLimit.Action.QueryParameters`]: {
    in: `${ROUTE}.RateLimit.Action`,
    fields: [
      ['query_parameter_name', 1, 'string'],
      ['descriptor_key', 2, 'string'],
      ['skip_if_absent', 3, 'bool'],
    ],
  },
  [`${MATCHER}.AddressMatcher`]: {
    in: 'envoy/type/matcher/v3/string.proto',
    fields: [
      ['ranges', 1, 'repeated xds.core.v3.CidrRange'],
      ['invert_match', 2, 'bool'],
    ],
  },
  [`${ROUTE}.RateLimit.Action.RemoteAddressMatch`]: {
    in: `${ROUTE}.RateLimit.Action`,
    fields: [
      ['descriptor_value', 1, 'string'],
      ['descriptor_key', 2, 'string'],
      ['default_value', 3, 'string'],
      ['address_matcher', 4, `${MATCHER}.AddressMatcher`],
    ],
  },
  [`${ROUTE}.RateLimit.Override.RateLimitOverride`]: {
    in: `${ROUTE}.RateLimit.Override`,
    fields: [
      ['requests_per_unit', 1, 'uint32'],
      ['unit', 2, 'enum envoy.type.v3.RateLimitUnit'],
    ],
  },
  [`${ROUTE}.RateLimit.HitsAddend`]: {
    in: `${ROUTE}.RateLimit`,
    fields: [
      ['number', 1, 'google.protobuf.UInt64Value'],
      ['format', 2, 'string'],
      ['is_negative_hits', 3, 'bool'],
    ],
  },
  [`${CORE}.TlvEntry`]: {
    in: 'envoy/config/core/v3/proxy_protocol.proto',
    fields: [
      ['type', 1, 'uint32'],
      ['value', 2, 'bytes'],
      ['format_string', 3, `${CORE}.SubstitutionFormatString`],
    ],
  },
  [`${HCM}.ForwardProtoConfig`]: {
    in: 'envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.proto',
    fields: [
      ['https_destination_ports', 1, 'repeated uint32'],
      ['http_destination_ports', 2, 'repeated uint32'],
    ],
  },
  [`${HCM}.HttpConnectionManager.ForwardClientCertConfig`]: {
    in: `${HCM}.HttpConnectionManager`,
    fields: [
      [
        'forward_client_cert_details',
        1,
        `enum ${HCM}.HttpConnectionManager.ForwardClientCertDetails`,
      ],
      [
        'set_current_client_cert_details',
        2,
        `${HCM}.HttpConnectionManager.SetCurrentClientCertDetails`,
      ],
    ],
  },
  'envoy.config.listener.v3.Listener.FcdsConfig': {
    in: 'envoy.config.listener.v3.Listener',
    fields: [
      ['name', 1, 'string'],
      ['config_source', 2, `${CORE}.ConfigSource`],
    ],
  },
  [`${UPSTREAM_HTTP}.HttpProtocolOptions.OutlierDetection`]: {
    in: `${UPSTREAM_HTTP}.HttpProtocolOptions`,
    fields: [['error_matcher', 1, 'envoy.config.common.matcher.v3.MatchPredicate']],
  },
  [`${DISCOVERY}.ResourceError`]: {
    in: 'envoy/service/discovery/v3/discovery.proto',
    fields: [
      ['resource_name', 1, `${DISCOVERY}.ResourceName`],
      ['error_detail', 2, 'google.rpc.Status'],
    ],
  },
}

/** New enums: where they live, and their values. */
export const NEW_ENUMS = {
  [`${ROUTE}.RateLimit.XRateLimitOption`]: {
    in: `${ROUTE}.RateLimit`,
    values: [
      ['UNSPECIFIED', 0],
      ['OFF', 1],
      ['DRAFT_VERSION_03', 2],
    ],
  },
  [`${TCP}.UpstreamConnectMode`]: {
    in: 'envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.proto',
    values: [
      ['IMMEDIATE', 0],
      ['ON_DOWNSTREAM_DATA', 1],
      ['ON_DOWNSTREAM_TLS_HANDSHAKE', 2],
    ],
  },
}

/** New values of enums that exist. */
export const ENUM_VALUES = {
  'envoy.admin.v3.ClientResourceStatus': [
    ['RECEIVED_ERROR', 5],
    ['TIMEOUT', 6],
  ],
  'envoy.service.status.v3.ClientConfigStatus': [['CLIENT_RECEIVED_ERROR', 4]],
}

/** New fields of messages that exist. */
export const FIELDS = {
  [`${CORE}.HealthCheck`]: [['name', 27, 'string']],
  [`${CORE}.ProxyProtocolConfig`]: [['added_tlvs', 3, `repeated ${CORE}.TlvEntry`]],
  [`${TLS}.UpstreamTlsContext`]: [
    ['auto_host_sni', 6, 'bool'],
    ['auto_sni_san_validation', 7, 'bool'],
  ],
  [`${TLS}.DownstreamTlsContext`]: [['prefer_client_ciphers', 11, 'bool']],
  [`${TLS}.CommonTlsContext`]: [
    ['custom_tls_certificate_selector', 16, `${CORE}.TypedExtensionConfig`],
  ],
  [`${ROUTE}.RouteConfiguration`]: [['vhost_header', 18, 'string']],
  [`${ROUTE}.RouteMatch`]: [
    ['filter_state', 16, `repeated ${MATCHER}.FilterStateMatcher`],
    ['cookies', 17, `repeated ${ROUTE}.CookieMatcher`],
  ],
  [`${ROUTE}.RouteAction`]: [
    ['flush_timeout', 42, 'google.protobuf.Duration'],
    ['host_rewrite', 44, 'string', 'host_rewrite_specifier'],
    ['path_rewrite', 45, 'string'],
  ],
  [`${ROUTE}.VirtualHost`]: [['request_body_buffer_limit', 25, 'google.protobuf.UInt64Value']],
  [`${ROUTE}.Route`]: [['request_body_buffer_limit', 20, 'google.protobuf.UInt64Value']],
  [`${ROUTE}.RateLimit.Action`]: [
    ['query_parameters', 12, `${ROUTE}.RateLimit.Action.QueryParameters`, 'action_specifier'],
    [
      'remote_address_match',
      13,
      `${ROUTE}.RateLimit.Action.RemoteAddressMatch`,
      'action_specifier',
    ],
  ],
  [`${ROUTE}.RateLimit.Override`]: [
    ['rate_limit', 2, `${ROUTE}.RateLimit.Override.RateLimitOverride`, 'override_specifier'],
  ],
  [`${ROUTE}.RateLimit`]: [
    ['hits_addend', 5, `${ROUTE}.RateLimit.HitsAddend`],
    ['apply_on_stream_done', 6, 'bool'],
    ['x_ratelimit_option', 7, `enum ${ROUTE}.RateLimit.XRateLimitOption`],
  ],
  'envoy.extensions.common.ratelimit.v3.RateLimitDescriptor': [
    ['hits_addend', 3, 'google.protobuf.UInt64Value'],
  ],
  [`${HTTP}.local_ratelimit.v3.LocalRateLimit`]: [
    ['rate_limits', 17, `repeated ${ROUTE}.RateLimit`],
    ['max_dynamic_descriptors', 18, 'google.protobuf.UInt32Value'],
  ],
  [`${HTTP}.ratelimit.v3.RateLimit`]: [
    ['filter_enabled', 14, `${CORE}.RuntimeFractionalPercent`],
    ['filter_enforced', 15, `${CORE}.RuntimeFractionalPercent`],
    ['failure_mode_deny_percent', 16, `${CORE}.RuntimeFractionalPercent`],
    ['rate_limits', 17, `repeated ${ROUTE}.RateLimit`],
  ],
  [`${TCP}.TcpProxy`]: [
    ['backoff_options', 18, `${CORE}.BackoffStrategy`],
    ['proxy_protocol_tlvs', 19, `repeated ${CORE}.TlvEntry`],
    ['upstream_connect_mode', 21, `enum ${TCP}.UpstreamConnectMode`],
    ['max_early_data_bytes', 22, 'google.protobuf.UInt32Value'],
  ],
  [`${UPSTREAM_HTTP}.HttpProtocolOptions`]: [
    ['outlier_detection', 8, `${UPSTREAM_HTTP}.HttpProtocolOptions.OutlierDetection`],
    ['request_mirror_policies', 9, `repeated ${ROUTE}.RouteAction.RequestMirrorPolicy`],
    ['hash_policy', 10, `repeated ${ROUTE}.RouteAction.HashPolicy`],
    ['retry_policy', 11, `${ROUTE}.RetryPolicy`],
  ],
  [`${HCM}.HttpConnectionManager`]: [
    ['stream_flush_timeout', 59, 'google.protobuf.Duration'],
    ['forward_client_cert_matcher', 60, 'xds.type.matcher.v3.Matcher'],
    ['forward_proto_config', 61, `${HCM}.ForwardProtoConfig`],
  ],
  'envoy.config.listener.v3.Listener': [
    ['fcds_config', 36, 'envoy.config.listener.v3.Listener.FcdsConfig'],
    ['tcp_keepalive', 37, `${CORE}.TcpKeepalive`],
  ],
  [`${HTTP}.lua.v3.Lua`]: [['clear_route_cache', 5, 'google.protobuf.BoolValue']],
  [`${HTTP}.lua.v3.LuaPerRoute`]: [['filter_context', 4, 'google.protobuf.Struct']],
  [`${DISCOVERY}.DiscoveryResponse`]: [
    ['resource_errors', 7, `repeated ${DISCOVERY}.ResourceError`],
  ],
  [`${DISCOVERY}.DeltaDiscoveryResponse`]: [
    ['resource_errors', 9, `repeated ${DISCOVERY}.ResourceError`],
  ],
}
