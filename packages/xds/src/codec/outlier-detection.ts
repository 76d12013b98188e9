/**
 * Outlier detection ⇄ Envoy's `OutlierDetection`.
 *
 * In Envoy a detector is switched off by enforcing it for 0 % of the cases, not by a count of
 * zero; each has its own default for that.
 */
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
    // Statistics over all endpoints are not part of the model.
    enforcingSuccessRate: 0,
    interval: encodeDuration(outlier.intervalMs),
    baseEjectionTime: encodeDuration(outlier.baseEjectionMs),
    maxEjectionPercent: outlier.maxEjectionPercent,
  }
}

const OUTLIER = covers(
  OutlierDetectionSchema,
  ...['consecutive_5xx', 'enforcing_consecutive_5xx', 'consecutive_gateway_failure'],
  ...['enforcing_consecutive_gateway_failure', 'consecutive_local_origin_failure'],
  ...['enforcing_consecutive_local_origin_failure', 'split_external_local_origin_errors'],
  ...['interval', 'base_ejection_time', 'max_ejection_percent', 'enforcing_success_rate'],
  // Bounds of the above, and settings of detectors that are off.
  ...['max_ejection_time', 'max_ejection_time_jitter', 'always_eject_one_host'],
  ...['success_rate_minimum_hosts', 'success_rate_request_volume', 'success_rate_stdev_factor'],
  ...['failure_percentage_threshold', 'failure_percentage_minimum_hosts'],
  ...['failure_percentage_request_volume', 'successful_active_health_check_uneject_host'],
  ...['enforcing_failure_percentage', 'enforcing_failure_percentage_local_origin'],
  'enforcing_local_origin_success_rate',
)

/** @param panicPercent The cluster's `healthy_panic_threshold`. */
export function decodeOutlier(
  proto: OutlierProto,
  panicPercent: number,
  path: string,
  problems: Problems,
): OutlierDetection {
  refuseOthers(OUTLIER, proto, path, problems)
  const statistical = [
    proto.enforcingSuccessRate,
    proto.enforcingLocalOriginSuccessRate,
    proto.enforcingFailurePercentage,
    proto.enforcingFailurePercentageLocalOrigin,
  ]
  if (statistical.some((percent) => percent !== undefined && percent > 0)) {
    problems.add(path, 'success rate and failure percentage are not supported')
  }
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
    minHealthPercent: panicPercent,
  }
}
