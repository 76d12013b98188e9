/** Token buckets in each proxy ⇄ `envoy.filters.http.local_ratelimit`. */
import type { LocalRateLimit, RateLimitActions, TokenBucket } from '@weft/model'
import { HeaderValueOption_HeaderAppendAction as Append } from '../../gen/envoy/config/core/v3/base_pb.js'
import {
  XRateLimitHeadersRFCVersion as HeaderVersion,
  LocalRateLimitDescriptorSchema,
} from '../../gen/envoy/extensions/common/ratelimit/v3/ratelimit_pb.js'
import {
  type LocalRateLimit as LocalRateLimitProto,
  LocalRateLimitSchema,
} from '../../gen/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit_pb.js'
import type {
  TokenBucket as TokenBucketProto,
  TokenBucketSchema,
} from '../../gen/envoy/type/v3/token_bucket_pb.js'
import { covers, type Problems, refuseOthers } from '../problems.ts'
import { decodeDuration, encodeDuration, type Init, packAny, unpackAny } from '../values.ts'
import { decodeShare, encodeShare, type HttpFilterCodec } from './filter-codec.ts'
import { decodeFilterRateLimits, encodeFilterRateLimits } from './rate-limit-actions.ts'

const TOO_MANY_REQUESTS = 429
/** Envoy wants a name also where a route brings the limit. */
const NAME_WITHOUT_LIMIT = 'http_local_rate_limiter'

export const localRateLimit: HttpFilterCodec<'localRateLimit'> = {
  name: 'envoy.filters.http.local_ratelimit',

  encode: ({ limit }) => [
    {
      value: packAny(
        LocalRateLimitSchema,
        limit === undefined ? { statPrefix: NAME_WITHOUT_LIMIT } : encodeLimit(limit),
      ),
    },
  ],

  decode(any, disabled, path, problems) {
    const proto = unpackAny(any, LocalRateLimitSchema)
    if (proto === undefined) return undefined
    // Without a bucket Envoy limits nothing unless a route says so.
    if (disabled || proto.tokenBucket === undefined) return { kind: 'localRateLimit' }
    return { kind: 'localRateLimit', limit: decodeLimit(proto, path, problems) }
  },

  encodeOverride: ({ localRateLimit: limit }) =>
    limit === undefined ? undefined : packAny(LocalRateLimitSchema, encodeLimit(limit)),

  decodeOverride(any, path, problems) {
    const proto = unpackAny(any, LocalRateLimitSchema)
    if (proto === undefined) return undefined
    return { localRateLimit: decodeLimit(proto, path, problems) }
  },
}

function encodeLimit(limit: LocalRateLimit): Init<typeof LocalRateLimitSchema> {
  return {
    statPrefix: limit.statPrefix,
    status: { code: limit.status },
    tokenBucket: encodeBucket(limit.bucket),
    filterEnabled: encodeShare(limit.enabledPercent),
    filterEnforced: encodeShare(limit.enforcedPercent),
    responseHeadersToAdd: limit.responseHeaders.map(({ name, value }) => ({
      header: { key: name, value },
      appendAction: Append.APPEND_IF_EXISTS_OR_ADD,
    })),
    descriptors: limit.descriptors.map(({ entries, bucket }) => ({
      entries: entries.map(({ key, value }) => ({ key, value })),
      tokenBucket: encodeBucket(bucket),
    })),
    rateLimits: encodeFilterRateLimits(limit.actions),
    localRateLimitPerDownstreamConnection: limit.perConnection,
    alwaysConsumeDefaultTokenBucket: limit.alwaysConsumeDefault ?? false,
    enableXRatelimitHeaders: limit.headers ? HeaderVersion.DRAFT_VERSION_03 : HeaderVersion.OFF,
  }
}

function encodeBucket(bucket: TokenBucket): Init<typeof TokenBucketSchema> {
  return {
    maxTokens: bucket.maxTokens,
    tokensPerFill: bucket.tokensPerFill,
    fillInterval: encodeDuration(bucket.fillIntervalMs),
  }
}

const LIMIT = covers(
  LocalRateLimitSchema,
  ...['stat_prefix', 'status', 'token_bucket', 'filter_enabled', 'filter_enforced'],
  ...['response_headers_to_add', 'descriptors', 'rate_limits', 'enable_x_ratelimit_headers'],
  ...['local_rate_limit_per_downstream_connection', 'always_consume_default_token_bucket'],
  // A bound of Envoy's on buckets that descriptors make; ours is bounded by itself.
  'max_dynamic_descriptors',
)
const DESCRIPTOR = covers(LocalRateLimitDescriptorSchema, 'entries', 'token_bucket')

function decodeLimit(proto: LocalRateLimitProto, path: string, problems: Problems): LocalRateLimit {
  refuseOthers(LIMIT, proto, path, problems)
  const status = proto.status?.code ?? TOO_MANY_REQUESTS
  return {
    statPrefix: proto.statPrefix,
    bucket: decodeBucket(proto.tokenBucket, `${path}.token_bucket`, problems),
    // Envoy's default for both is nobody.
    enabledPercent: decodeShare(proto.filterEnabled, 0),
    enforcedPercent: decodeShare(proto.filterEnforced, 0),
    status: Math.max(400, status),
    descriptors: proto.descriptors.map((descriptor, index) => {
      const at = `${path}.descriptors[${index}]`
      refuseOthers(DESCRIPTOR, descriptor, at, problems)
      return {
        entries: descriptor.entries.map(({ key, value }) => ({ key, value })),
        bucket: decodeBucket(descriptor.tokenBucket, `${at}.token_bucket`, problems),
      }
    }),
    actions: decodeLocalActions(proto.rateLimits, `${path}.rate_limits`, problems),
    perConnection: proto.localRateLimitPerDownstreamConnection,
    ...((proto.alwaysConsumeDefaultTokenBucket ?? true) ? { alwaysConsumeDefault: true } : {}),
    headers: proto.enableXRatelimitHeaders === HeaderVersion.DRAFT_VERSION_03,
    responseHeaders: proto.responseHeadersToAdd.map(({ header }) => ({
      name: (header?.key ?? '').toLowerCase(),
      value: header?.value ?? '',
    })),
  }
}

function decodeBucket(
  proto: TokenBucketProto | undefined,
  path: string,
  problems: Problems,
): TokenBucket {
  const fillIntervalMs = decodeDuration(proto?.fillInterval, 0)
  if (proto === undefined || proto.maxTokens === 0) problems.add(path, 'max_tokens must be above 0')
  if (fillIntervalMs <= 0) problems.add(path, 'fill_interval must be above 0')
  return {
    maxTokens: proto?.maxTokens ?? 0,
    tokensPerFill: proto?.tokensPerFill ?? 1,
    fillIntervalMs,
  }
}

/** The limit is that of the bucket here. */
function decodeLocalActions(
  limits: Parameters<typeof decodeFilterRateLimits>[0],
  path: string,
  problems: Problems,
): RateLimitActions[] {
  const decoded = decodeFilterRateLimits(limits, path, problems)
  for (const [index, { limit }] of decoded.entries()) {
    if (limit !== undefined) {
      problems.add(`${path}[${index}].limit`, 'is supported for the global limit only')
    }
  }
  return decoded
}
