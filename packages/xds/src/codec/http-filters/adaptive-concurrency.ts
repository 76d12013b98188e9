/** The gradient controller ⇄ `envoy.filters.http.adaptive_concurrency`. Routes cannot change it in Envoy. */
import type { AdaptiveConcurrency } from '@weft/model'
import {
  AdaptiveConcurrencySchema,
  GradientControllerConfig_ConcurrencyLimitCalculationParamsSchema,
  GradientControllerConfig_MinimumRTTCalculationParamsSchema,
  GradientControllerConfigSchema,
} from '../../gen/envoy/extensions/filters/http/adaptive_concurrency/v3/adaptive_concurrency_pb.js'
import { covers, refuseOthers } from '../problems.ts'
import { decodeDuration, encodeDuration, packAny, unpackAny } from '../values.ts'
import type { HttpFilterCodec } from './filter-codec.ts'

/** Envoy's defaults. */
const DEFAULTS: AdaptiveConcurrency = {
  enabled: true,
  samplePercentile: 50,
  maxConcurrency: 1_000,
  minConcurrency: 3,
  updateIntervalMs: 100,
  minRttIntervalMs: 60_000,
  minRttJitterPercent: 15,
  minRttRequests: 50,
  minRttBufferPercent: 25,
  status: 503,
}

const FILTER = covers(
  AdaptiveConcurrencySchema,
  ...['gradient_controller_config', 'enabled', 'concurrency_limit_exceeded_status'],
)
const GRADIENT = covers(
  GradientControllerConfigSchema,
  ...['sample_aggregate_percentile', 'concurrency_limit_params', 'min_rtt_calc_params'],
)
const LIMITS = covers(
  GradientControllerConfig_ConcurrencyLimitCalculationParamsSchema,
  ...['max_concurrency_limit', 'concurrency_update_interval'],
)
const MIN_RTT = covers(
  GradientControllerConfig_MinimumRTTCalculationParamsSchema,
  ...['interval', 'request_count', 'jitter', 'min_concurrency', 'buffer'],
)

export const adaptiveConcurrency: HttpFilterCodec<'adaptiveConcurrency'> = {
  name: 'envoy.filters.http.adaptive_concurrency',

  encode({ settings }) {
    const from = settings ?? DEFAULTS
    const value = packAny(AdaptiveConcurrencySchema, {
      concurrencyControllerConfig: {
        case: 'gradientControllerConfig',
        value: {
          sampleAggregatePercentile: { value: from.samplePercentile },
          concurrencyLimitParams: {
            maxConcurrencyLimit: from.maxConcurrency,
            concurrencyUpdateInterval: encodeDuration(from.updateIntervalMs),
          },
          minRttCalcParams: {
            interval: encodeDuration(from.minRttIntervalMs),
            requestCount: from.minRttRequests,
            jitter: { value: from.minRttJitterPercent },
            minConcurrency: from.minConcurrency,
            buffer: { value: from.minRttBufferPercent },
          },
        },
      },
      enabled: { defaultValue: from.enabled, runtimeKey: 'adaptive_concurrency.enabled' },
      concurrencyLimitExceededStatus: { code: from.status },
    })
    return [{ value, disabled: settings === undefined }]
  },

  decode(any, disabled, path, problems) {
    const proto = unpackAny(any, AdaptiveConcurrencySchema)
    if (proto === undefined) return undefined
    refuseOthers(FILTER, proto, path, problems)
    if (disabled) return { kind: 'adaptiveConcurrency' }
    const at = `${path}.gradient_controller_config`
    const gradient = proto.concurrencyControllerConfig.value
    const limits = gradient?.concurrencyLimitParams
    const minRtt = gradient?.minRttCalcParams
    if (gradient === undefined) problems.add(at, 'is missing')
    else refuseOthers(GRADIENT, gradient, at, problems)
    if (limits !== undefined)
      refuseOthers(LIMITS, limits, `${at}.concurrency_limit_params`, problems)
    if (minRtt !== undefined) refuseOthers(MIN_RTT, minRtt, `${at}.min_rtt_calc_params`, problems)
    return {
      kind: 'adaptiveConcurrency',
      settings: {
        enabled: proto.enabled?.defaultValue ?? true,
        samplePercentile: gradient?.sampleAggregatePercentile?.value ?? DEFAULTS.samplePercentile,
        maxConcurrency: limits?.maxConcurrencyLimit ?? DEFAULTS.maxConcurrency,
        minConcurrency: minRtt?.minConcurrency ?? DEFAULTS.minConcurrency,
        updateIntervalMs: decodeDuration(
          limits?.concurrencyUpdateInterval,
          DEFAULTS.updateIntervalMs,
        ),
        minRttIntervalMs: decodeDuration(minRtt?.interval, DEFAULTS.minRttIntervalMs),
        minRttJitterPercent: minRtt?.jitter?.value ?? DEFAULTS.minRttJitterPercent,
        minRttRequests: minRtt?.requestCount ?? DEFAULTS.minRttRequests,
        minRttBufferPercent: minRtt?.buffer?.value ?? DEFAULTS.minRttBufferPercent,
        status: Math.max(400, proto.concurrencyLimitExceededStatus?.code ?? DEFAULTS.status),
      },
    }
  },
}
