/** The global rate limit's client ⇄ `envoy.filters.http.ratelimit`. */
import { ApiVersion } from '../../gen/envoy/config/core/v3/config_source_pb.js'
import {
  GrpcService_EnvoyGrpcSchema,
  GrpcServiceSchema,
} from '../../gen/envoy/config/core/v3/grpc_service_pb.js'
import {
  RateLimit_XRateLimitHeadersRFCVersion as HeaderVersion,
  RateLimitSchema,
} from '../../gen/envoy/extensions/filters/http/ratelimit/v3/rate_limit_pb.js'
import { covers, refuseOthers } from '../problems.ts'
import { decodeDuration, encodeDuration, packAny, unpackAny } from '../values.ts'
import { type HttpFilterCodec, refuseDisabled } from './filter-codec.ts'
import { decodeFilterRateLimits, encodeFilterRateLimits } from './rate-limit-actions.ts'

const TOO_MANY_REQUESTS = 429
const DEFAULT_TIMEOUT_MS = 20

const LIMIT = covers(
  RateLimitSchema,
  ...['domain', 'stage', 'timeout', 'failure_mode_deny', 'rate_limit_service'],
  ...['enable_x_ratelimit_headers', 'rate_limited_status', 'stat_prefix', 'rate_limits'],
)
const SERVICE = covers(GrpcServiceSchema, 'envoy_grpc', 'timeout')
const ENVOY_GRPC = covers(GrpcService_EnvoyGrpcSchema, 'cluster_name', 'authority')

export const rateLimit: HttpFilterCodec<'rateLimit'> = {
  name: 'envoy.filters.http.ratelimit',

  encode({ service }) {
    const { cluster: clusterName, authority } = service
    const envoyGrpc = { clusterName, ...(authority === undefined ? {} : { authority }) }
    const grpcService = { targetSpecifier: { case: 'envoyGrpc', value: envoyGrpc } } as const
    const value = packAny(RateLimitSchema, {
      domain: service.domain,
      stage: service.stage,
      timeout: encodeDuration(service.timeoutMs),
      failureModeDeny: service.failureModeDeny,
      rateLimitService: { grpcService, transportApiVersion: ApiVersion.V3 },
      enableXRatelimitHeaders: service.headers ? HeaderVersion.DRAFT_VERSION_03 : HeaderVersion.OFF,
      rateLimitedStatus: { code: service.status },
      rateLimits: encodeFilterRateLimits(service.actions ?? []),
    })
    return [{ value }]
  },

  decode(any, disabled, path, problems) {
    const proto = unpackAny(any, RateLimitSchema)
    if (proto === undefined) return undefined
    refuseDisabled(disabled, path, problems)
    refuseOthers(LIMIT, proto, path, problems)
    const grpc = proto.rateLimitService?.grpcService
    if (grpc !== undefined) refuseOthers(SERVICE, grpc, `${path}.rate_limit_service`, problems)
    const envoy =
      grpc?.targetSpecifier.case === 'envoyGrpc' ? grpc.targetSpecifier.value : undefined
    if (envoy === undefined) problems.add(`${path}.rate_limit_service`, 'has no envoy_grpc')
    else refuseOthers(ENVOY_GRPC, envoy, `${path}.rate_limit_service.envoy_grpc`, problems)
    return {
      kind: 'rateLimit',
      service: {
        domain: proto.domain,
        cluster: envoy?.clusterName ?? '',
        ...(envoy === undefined || envoy.authority === '' ? {} : { authority: envoy.authority }),
        timeoutMs: decodeDuration(proto.timeout, DEFAULT_TIMEOUT_MS),
        failureModeDeny: proto.failureModeDeny,
        stage: proto.stage,
        headers: proto.enableXRatelimitHeaders === HeaderVersion.DRAFT_VERSION_03,
        status: Math.max(400, proto.rateLimitedStatus?.code ?? TOO_MANY_REQUESTS),
        ...(proto.rateLimits.length === 0
          ? {}
          : { actions: decodeFilterRateLimits(proto.rateLimits, `${path}.rate_limits`, problems) }),
      },
    }
  },
}
