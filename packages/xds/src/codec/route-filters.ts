/** What filters do for one route ⇄ Envoy's `typed_per_filter_config`: faults, CORS and whatever `http-filters/` has. */
import type { JsonObject } from '@bufbuild/protobuf'
import type { Any } from '@bufbuild/protobuf/wkt'
import type { CorsPolicy, Fault, Route } from '@weft/model'
import { FaultDelaySchema } from '../gen/envoy/extensions/filters/common/fault/v3/fault_pb.js'
import {
  type CorsPolicy as CorsPolicyProto,
  CorsPolicySchema,
} from '../gen/envoy/extensions/filters/http/cors/v3/cors_pb.js'
import {
  FaultAbortSchema,
  type HTTPFault,
  HTTPFaultSchema,
} from '../gen/envoy/extensions/filters/http/fault/v3/fault_pb.js'
import { filterCodecs } from './http-filters/catalog.ts'
import type { AnyInit } from './http-filters/filter-codec.ts'
import { decodeOverrides, encodeOverrides } from './http-filters/overrides.ts'
import { decodeString, encodeString } from './matchers.ts'
import { covers, type Problems, refuseOthers } from './problems.ts'
import {
  decodeDuration,
  decodePercent,
  type Extras,
  encodeDuration,
  encodePercent,
  packAny,
  unpackAny,
} from './values.ts'

type Configured = Pick<Route, 'fault' | 'cors' | 'filters'>

/** @param rateLimitsHaveRoom Envoy knows the place's `rate_limits`. */
export function encodeFilterConfigs(
  route: Configured,
  rateLimitsHaveRoom: boolean,
): {
  readonly init: { [name: string]: AnyInit }
  readonly extras: Extras
} {
  const { cors, fault } = route
  const init: { [name: string]: AnyInit } = {}
  if (cors !== undefined) init[filterCodecs.cors.name] = encodeCors(cors)
  if (fault !== undefined) init[filterCodecs.fault.name] = encodeFault(fault)
  // Envoy aborts with an HTTP status or a gRPC status; the model knows both.
  const replaced = fault?.abort?.grpcStatus === undefined ? undefined : fault.abort.status
  const others = encodeOverrides(route.filters, init, rateLimitsHaveRoom)
  return { init: others.init, extras: { abortStatus: replaced, ...others.extras } }
}

export function decodeFilterConfigs(
  configs: { readonly [name: string]: Any },
  extras: JsonObject,
  path: string,
  problems: Problems,
): Configured {
  let fault: Fault | undefined
  let cors: CorsPolicy | undefined
  const { overrides, others } = decodeOverrides(configs, extras, path, problems)
  for (const [name, any] of Object.entries(others)) {
    const at = `${path}.typed_per_filter_config[${name}]`
    const corsProto = unpackAny(any, CorsPolicySchema)
    const faultProto = unpackAny(any, HTTPFaultSchema)
    if (corsProto !== undefined) cors = decodeCors(corsProto, at, problems)
    else if (faultProto !== undefined) fault = decodeFault(faultProto, extras, at, problems)
    else problems.add(at, `${any.typeUrl} is not supported`)
  }
  return {
    ...(fault === undefined ? {} : { fault }),
    ...(cors === undefined ? {} : { cors }),
    ...(Object.keys(overrides).length === 0 ? {} : { filters: overrides }),
  }
}

function encodeFault({ delay, abort }: Fault): AnyInit {
  return packAny(HTTPFaultSchema, {
    ...(delay === undefined
      ? {}
      : {
          delay: {
            faultDelaySecifier: { case: 'fixedDelay', value: encodeDuration(delay.delayMs) },
            percentage: encodePercent(delay.percent),
          },
        }),
    ...(abort === undefined
      ? {}
      : {
          abort: {
            errorType:
              abort.grpcStatus === undefined
                ? { case: 'httpStatus', value: abort.status }
                : { case: 'grpcStatus', value: abort.grpcStatus },
            percentage: encodePercent(abort.percent),
          },
        }),
  })
}

const FAULT = covers(HTTPFaultSchema, 'delay', 'abort', 'disable_downstream_cluster_stats')
const DELAY = covers(FaultDelaySchema, 'fixed_delay', 'percentage')
const ABORT = covers(FaultAbortSchema, 'http_status', 'grpc_status', 'percentage')

function decodeFault(
  proto: HTTPFault,
  extras: JsonObject,
  path: string,
  problems: Problems,
): Fault {
  refuseOthers(FAULT, proto, path, problems)
  const { delay, abort } = proto
  if (delay !== undefined) refuseOthers(DELAY, delay, `${path}.delay`, problems)
  if (abort !== undefined) refuseOthers(ABORT, abort, `${path}.abort`, problems)
  return {
    ...(delay?.faultDelaySecifier.case === 'fixedDelay'
      ? {
          delay: {
            percent: decodePercent(delay.percentage),
            delayMs: decodeDuration(delay.faultDelaySecifier.value, 0),
          },
        }
      : {}),
    ...(abort === undefined ? {} : { abort: decodeAbort(abort, extras) }),
  }
}

function decodeAbort(
  proto: NonNullable<HTTPFault['abort']>,
  extras: JsonObject,
): NonNullable<Fault['abort']> {
  const percent = decodePercent(proto.percentage)
  if (proto.errorType.case !== 'grpcStatus') {
    const status = proto.errorType.case === 'httpStatus' ? proto.errorType.value : 503
    return { percent, status }
  }
  // gRPC errors ride on 200.
  const status = typeof extras.abortStatus === 'number' ? extras.abortStatus : 200
  return { percent, status, grpcStatus: proto.errorType.value }
}

function encodeCors(cors: CorsPolicy): AnyInit {
  return packAny(CorsPolicySchema, {
    allowOriginStringMatch: cors.allowOrigins.map(encodeString),
    allowMethods: cors.allowMethods.join(','),
    allowHeaders: cors.allowHeaders.join(','),
    exposeHeaders: cors.exposeHeaders.join(','),
    ...(cors.maxAgeMs === undefined ? {} : { maxAge: String(Math.floor(cors.maxAgeMs / 1_000)) }),
    allowCredentials: cors.allowCredentials,
    forwardNotMatchingPreflights: cors.forwardUnmatchedPreflights,
  })
}

const CORS = covers(
  CorsPolicySchema,
  ...['allow_origin_string_match', 'allow_methods', 'allow_headers', 'expose_headers'],
  ...['max_age', 'allow_credentials', 'forward_not_matching_preflights'],
  // Shadow evaluation only counts; the share that is enforced is checked below.
  ...['filter_enabled', 'shadow_enabled'],
)

function decodeCors(proto: CorsPolicyProto, path: string, problems: Problems): CorsPolicy {
  refuseOthers(CORS, proto, path, problems)
  const enabled = proto.filterEnabled
  if (enabled !== undefined && decodePercent(enabled.defaultValue) !== 100) {
    problems.add(`${path}.filter_enabled`, 'only 100 % is supported')
  }
  const seconds = Number(proto.maxAge)
  return {
    allowOrigins: proto.allowOriginStringMatch.map((origin, index) =>
      decodeString(origin, `${path}.allow_origin_string_match[${index}]`, problems),
    ),
    allowMethods: words(proto.allowMethods),
    allowHeaders: words(proto.allowHeaders),
    exposeHeaders: words(proto.exposeHeaders),
    ...(proto.maxAge === '' || Number.isNaN(seconds) ? {} : { maxAgeMs: seconds * 1_000 }),
    allowCredentials: proto.allowCredentials ?? false,
    // Envoy's default since the field exists.
    forwardUnmatchedPreflights: proto.forwardNotMatchingPreflights ?? true,
  }
}

function words(text: string): string[] {
  return text
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '')
}
