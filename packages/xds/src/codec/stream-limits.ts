/** How long a stream may last, and whether it is asked twice ⇄ Envoy. */
import type { JsonObject } from '@bufbuild/protobuf'
import type { ForwardAction, HedgePolicy } from '@weft/model'
import {
  HedgePolicySchema,
  RouteAction_MaxStreamDurationSchema,
  type RouteAction as RouteActionProto,
  type RouteActionSchema,
} from '../gen/envoy/config/route/v3/route_components_pb.js'
import { covers, type Problems, refuseOthers } from './problems.ts'
import { decodeDuration, encodeDuration, type Init, isObject } from './values.ts'

export function encodeStreamDuration({
  maxStreamDurationMs,
  grpcTimeoutMaxMs,
}: ForwardAction): Pick<Init<typeof RouteActionSchema>, 'maxStreamDuration'> {
  if (maxStreamDurationMs === undefined && grpcTimeoutMaxMs === undefined) return {}
  return {
    maxStreamDuration: {
      ...(maxStreamDurationMs === undefined
        ? {}
        : { maxStreamDuration: encodeDuration(maxStreamDurationMs) }),
      ...(grpcTimeoutMaxMs === undefined
        ? {}
        : { grpcTimeoutHeaderMax: encodeDuration(grpcTimeoutMaxMs) }),
    },
  }
}

const DURATION = covers(
  RouteAction_MaxStreamDurationSchema,
  ...['max_stream_duration', 'grpc_timeout_header_max', 'grpc_timeout_header_offset'],
)

export function decodeStreamDuration(
  { maxStreamDuration: proto }: RouteActionProto,
  path: string,
  problems: Problems,
): Pick<ForwardAction, 'maxStreamDurationMs' | 'grpcTimeoutMaxMs'> {
  if (proto === undefined) return {}
  refuseOthers(DURATION, proto, `${path}.max_stream_duration`, problems)
  return {
    ...(proto.maxStreamDuration === undefined
      ? {}
      : { maxStreamDurationMs: decodeDuration(proto.maxStreamDuration, 0) }),
    ...(proto.grpcTimeoutHeaderMax === undefined
      ? {}
      : { grpcTimeoutMaxMs: decodeDuration(proto.grpcTimeoutHeaderMax, 0) }),
  }
}

/** Envoy hedges when a try's time is over, and knows no other delay; ours is in the metadata. */
export function encodeHedge({
  afterMs,
  afterPercentile,
}: HedgePolicy): Init<typeof HedgePolicySchema> {
  return { hedgeOnPerTryTimeout: afterMs === undefined && afterPercentile === undefined }
}

const HEDGE = covers(
  HedgePolicySchema,
  // The first two do nothing in Envoy either.
  ...['initial_requests', 'additional_request_chance', 'hedge_on_per_try_timeout'],
)
const DEFAULT_ATTEMPTS = 2

export function decodeHedge(
  { hedgePolicy: proto }: RouteActionProto,
  { hedge }: JsonObject,
  path: string,
  problems: Problems,
): Pick<ForwardAction, 'hedge'> {
  if (proto === undefined) return {}
  refuseOthers(HEDGE, proto, `${path}.hedge_policy`, problems)
  if (!isObject(hedge)) {
    return proto.hedgeOnPerTryTimeout ? { hedge: { maxAttempts: DEFAULT_ATTEMPTS } } : {}
  }
  const { afterMs, afterPercentile, maxAttempts } = hedge
  return {
    hedge: {
      ...(typeof afterMs === 'number' ? { afterMs } : {}),
      ...(typeof afterPercentile === 'number' ? { afterPercentile } : {}),
      maxAttempts: typeof maxAttempts === 'number' ? maxAttempts : DEFAULT_ATTEMPTS,
    },
  }
}
