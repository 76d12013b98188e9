/** The messages that filters put into an `Any`: printing a resource as JSON needs them by name. */
import { FilterConfigSchema } from '../../gen/envoy/config/route/v3/route_components_pb.js'
import { BrotliSchema } from '../../gen/envoy/extensions/compression/brotli/compressor/v3/brotli_pb.js'
import { GzipSchema } from '../../gen/envoy/extensions/compression/gzip/compressor/v3/gzip_pb.js'
import { ZstdSchema } from '../../gen/envoy/extensions/compression/zstd/compressor/v3/zstd_pb.js'
import { AdaptiveConcurrencySchema } from '../../gen/envoy/extensions/filters/http/adaptive_concurrency/v3/adaptive_concurrency_pb.js'
import {
  BufferPerRouteSchema,
  BufferSchema,
} from '../../gen/envoy/extensions/filters/http/buffer/v3/buffer_pb.js'
import {
  CompressorPerRouteSchema,
  CompressorSchema,
} from '../../gen/envoy/extensions/filters/http/compressor/v3/compressor_pb.js'
import { CsrfPolicySchema } from '../../gen/envoy/extensions/filters/http/csrf/v3/csrf_pb.js'
import {
  ExtAuthzPerRouteSchema,
  ExtAuthzSchema,
} from '../../gen/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.js'
import { GrpcWebSchema } from '../../gen/envoy/extensions/filters/http/grpc_web/v3/grpc_web_pb.js'
import {
  JwtAuthenticationSchema,
  PerRouteConfigSchema,
} from '../../gen/envoy/extensions/filters/http/jwt_authn/v3/config_pb.js'
import { LocalRateLimitSchema } from '../../gen/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit_pb.js'
import { RateLimitSchema } from '../../gen/envoy/extensions/filters/http/ratelimit/v3/rate_limit_pb.js'
import { RBACSchema as HttpRbacSchema } from '../../gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.js'
import {
  StatefulSessionPerRouteSchema,
  StatefulSessionSchema,
} from '../../gen/envoy/extensions/filters/http/stateful_session/v3/stateful_session_pb.js'
import { RBACSchema as NetworkRbacSchema } from '../../gen/envoy/extensions/filters/network/rbac/v3/rbac_pb.js'
import { CookieBasedSessionStateSchema } from '../../gen/envoy/extensions/http/stateful_session/cookie/v3/cookie_pb.js'
import { HeaderBasedSessionStateSchema } from '../../gen/envoy/extensions/http/stateful_session/header/v3/header_pb.js'
import { UriTemplateMatchConfigSchema } from '../../gen/envoy/extensions/path/match/uri_template/v3/uri_template_match_pb.js'
import { DescriptorSchema } from '../../gen/envoy/extensions/rate_limit_descriptors/expr/v3/expr_pb.js'

export const FILTER_TYPES = [
  ...[FilterConfigSchema, GzipSchema, BrotliSchema, ZstdSchema, AdaptiveConcurrencySchema],
  ...[BufferSchema, BufferPerRouteSchema, CompressorSchema, CompressorPerRouteSchema],
  ...[CsrfPolicySchema, GrpcWebSchema, LocalRateLimitSchema, RateLimitSchema, DescriptorSchema],
  ...[HttpRbacSchema, NetworkRbacSchema, UriTemplateMatchConfigSchema],
  ...[StatefulSessionSchema, StatefulSessionPerRouteSchema],
  ...[JwtAuthenticationSchema, PerRouteConfigSchema, ExtAuthzSchema, ExtAuthzPerRouteSchema],
  ...[CookieBasedSessionStateSchema, HeaderBasedSessionStateSchema],
]
