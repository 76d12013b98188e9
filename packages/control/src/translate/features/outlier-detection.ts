/** `outlierDetection` of DestinationRules, with Istio's defaults once the block is there. */
import { parseDurationMs } from '@weft/base'
import type { OutlierDetectionSettings } from '@weft/config'
import type { OutlierDetection } from '@weft/model'

export function outlierDetection(
  settings: OutlierDetectionSettings | undefined,
): OutlierDetection | undefined {
  if (settings === undefined) return undefined
  const { consecutive5xxErrors, consecutiveGatewayErrors, consecutiveErrors } = settings
  const { outlierDetectionHttpErrorCodes: codes } = settings
  return {
    consecutive5xx: consecutive5xxErrors ?? 5,
    // The deprecated field counted gateway errors.
    consecutiveGatewayErrors: consecutiveGatewayErrors ?? consecutiveErrors ?? 0,
    consecutiveLocalOriginFailures: settings.consecutiveLocalOriginFailures ?? 5,
    splitLocalOriginErrors: settings.splitExternalLocalOriginErrors ?? false,
    intervalMs: readMs(settings.interval) ?? 10_000,
    baseEjectionMs: readMs(settings.baseEjectionTime) ?? 30_000,
    maxEjectionPercent: settings.maxEjectionPercent ?? 10,
    minHealthPercent: settings.minHealthPercent ?? 0,
    ...(codes === undefined || codes.length === 0 ? {} : { errorCodes: codes }),
  }
}

function readMs(text: string | undefined): number | undefined {
  return text === undefined ? undefined : parseDurationMs(text)
}
