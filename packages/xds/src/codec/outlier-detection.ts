/**
 * Outlier detection ⇄ Envoy's `OutlierDetection`.
 *
 * In Envoy a detector is switched off by enforcing it for 0 % of the cases, not by a count of
 * zero; each has its own default for that.
 */
import type { JsonObject } from '@bufbuild/protobuf'
import type { OutlierDetection } from '@weft/model'
import {
  OutlierDetectionSchema,
  type OutlierDetection as OutlierProto,
} from '../gen/envoy/config/cluster/v3/outlier_detection_pb.js'
import { covers, type Problems, refuseOthers } from './problems.ts'
import { decodeDuration, encodeDuration, type Init } from './values.ts'

export function encodeOutlier(outlier: OutlierDetection): Init<typeof OutlierDetectionSchema> {
  const enforced = (count: number) => (count === 0 ? 0 : 100)
  return {
    consecutive5xx: outlier.consecutive5xx,
    enforcingConsecutive5xx: enforced(outlier.consecutive5xx),
    consecutiveGatewayFailure: outlier.consecutiveGatewayErrors,
    enforcingConsecutiveGatewayFailure: enforced(outlier.consecutiveGatewayErrors),
    consecutiveLocalOriginFailure: outlier.consecutiveLocalOriginFailures,
    enforcingConsecutiveLocalOriginFailure: enforced(outlier.consecutiveLocalOriginFailures),
    splitExternalLocalOriginErrors: outlier.splitLocalOriginErrors,
    ...encodeSuccessRate(outlier),
    ...encodeFailurePercentage(outlier),
    interval: encodeDuration(outlier.intervalMs),
    baseEjectionTime: encodeDuration(outlier.baseEjectionMs),
    maxEjectionPercent: outlier.maxEjectionPercent,
    ...(outlier.maxEjectionMs === undefined
      ? {}
      : { maxEjectionTime: encodeDuration(outlier.maxEjectionMs) }),
    ...(outlier.maxEjectionJitterMs === undefined
      ? {}
      : { maxEjectionTimeJitter: encodeDuration(outlier.maxEjectionJitterMs) }),
  }
}

/** The first is on in Envoy unless switched off. */
function encodeSuccessRate({ successRate, splitLocalOriginErrors }: OutlierDetection) {
  if (successRate === undefined) {
    return { enforcingSuccessRate: 0, enforcingLocalOriginSuccessRate: 0 }
  }
  return {
    enforcingSuccessRate: 100,
    enforcingLocalOriginSuccessRate: splitLocalOriginErrors ? 100 : 0,
    successRateMinimumHosts: successRate.minHosts,
    successRateRequestVolume: successRate.minRequests,
    successRateStdevFactor: successRate.stdevFactor,
  }
}

function encodeFailurePercentage({ failurePercentage, splitLocalOriginErrors }: OutlierDetection) {
  if (failurePercentage === undefined) return {}
  return {
    enforcingFailurePercentage: 100,
    enforcingFailurePercentageLocalOrigin: splitLocalOriginErrors ? 100 : 0,
    failurePercentageThreshold: failurePercentage.percent,
    failurePercentageMinimumHosts: failurePercentage.minHosts,
    failurePercentageRequestVolume: failurePercentage.minRequests,
  }
}

const OUTLIER = covers(
  OutlierDetectionSchema,
  ...['consecutive_5xx', 'enforcing_consecutive_5xx', 'consecutive_gateway_failure'],
  ...['enforcing_consecutive_gateway_failure', 'consecutive_local_origin_failure'],
  ...['enforcing_consecutive_local_origin_failure', 'split_external_local_origin_errors'],
  ...['interval', 'base_ejection_time', 'max_ejection_percent', 'enforcing_success_rate'],
  ...['max_ejection_time', 'max_ejection_time_jitter', 'always_eject_one_host'],
  ...['success_rate_minimum_hosts', 'success_rate_request_volume', 'success_rate_stdev_factor'],
  ...['failure_percentage_threshold', 'failure_percentage_minimum_hosts'],
  ...['failure_percentage_request_volume', 'successful_active_health_check_uneject_host'],
  ...['enforcing_failure_percentage', 'enforcing_failure_percentage_local_origin'],
  'enforcing_local_origin_success_rate',
)

/** @param extras What Envoy has no field for: it travels beside it. */
export function decodeOutlier(
  proto: OutlierProto,
  { minHealthPercent, outlierErrorCodes }: JsonObject,
  path: string,
  problems: Problems,
): OutlierDetection {
  refuseOthers(OUTLIER, proto, path, problems)
  const count = (enforcedPercent: number, consecutive: number | undefined) =>
    enforcedPercent === 0 ? 0 : (consecutive ?? 5)
  return {
    consecutive5xx: count(proto.enforcingConsecutive5xx ?? 100, proto.consecutive5xx),
    consecutiveGatewayErrors: count(
      proto.enforcingConsecutiveGatewayFailure ?? 0,
      proto.consecutiveGatewayFailure,
    ),
    consecutiveLocalOriginFailures: count(
      proto.enforcingConsecutiveLocalOriginFailure ?? 100,
      proto.consecutiveLocalOriginFailure,
    ),
    splitLocalOriginErrors: proto.splitExternalLocalOriginErrors,
    intervalMs: decodeDuration(proto.interval, 10_000),
    baseEjectionMs: decodeDuration(proto.baseEjectionTime, 30_000),
    maxEjectionPercent: proto.maxEjectionPercent ?? 10,
    minHealthPercent: typeof minHealthPercent === 'number' ? minHealthPercent : 0,
    ...(Array.isArray(outlierErrorCodes)
      ? { errorCodes: outlierErrorCodes.filter((code) => typeof code === 'number') }
      : {}),
    ...(proto.maxEjectionTime === undefined
      ? {}
      : { maxEjectionMs: decodeDuration(proto.maxEjectionTime, 0) }),
    ...(proto.maxEjectionTimeJitter === undefined
      ? {}
      : { maxEjectionJitterMs: decodeDuration(proto.maxEjectionTimeJitter, 0) }),
    ...((proto.enforcingSuccessRate ?? 100) === 0 ? {} : { successRate: successRateOf(proto) }),
    ...((proto.enforcingFailurePercentage ?? 0) === 0
      ? {}
      : { failurePercentage: failurePercentageOf(proto) }),
  }
}

function successRateOf(proto: OutlierProto): NonNullable<OutlierDetection['successRate']> {
  return {
    minHosts: proto.successRateMinimumHosts ?? 5,
    minRequests: proto.successRateRequestVolume ?? 100,
    stdevFactor: proto.successRateStdevFactor ?? 1_900,
  }
}

function failurePercentageOf(
  proto: OutlierProto,
): NonNullable<OutlierDetection['failurePercentage']> {
  return {
    percent: proto.failurePercentageThreshold ?? 85,
    minHosts: proto.failurePercentageMinimumHosts ?? 5,
    minRequests: proto.failurePercentageRequestVolume ?? 50,
  }
}
