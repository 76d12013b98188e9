/**
 * Istio's `HTTPRetry` (in VirtualServices and MeshConfig) as a retry policy.
 * Writing one is the consent to repeat requests: what it names applies to every
 * method, as Istio documents it.
 */
import { parseDurationMs } from '@weft/base'
import { RETRY_CONDITIONS, type RetryCondition, type RetryPolicy } from '@weft/model'

export interface RetrySettings {
  readonly attempts?: number
  readonly perTryTimeout?: string
  readonly retryOn?: string
  readonly retryIgnorePreviousHosts?: boolean
  readonly backoff?: string
}

/** Istio's documented default of `retryOn`. */
const DEFAULT_CONDITIONS = 'connect-failure,refused-stream,unavailable,cancelled'
const DEFAULT_BACKOFF_MS = 25
const EVERY_REQUEST: RetryPolicy['onlyWhen'] = [
  { name: ':method', value: { kind: 'present' }, invert: false },
]

/** `undefined` when retries are switched off (`attempts: 0`). */
export function readRetryPolicy(settings: RetrySettings): RetryPolicy | undefined {
  const attempts = settings.attempts ?? 2
  if (attempts <= 0) return undefined
  const { on, statusCodes } = readConditions(settings.retryOn)
  const backoffBaseMs = durationMs(settings.backoff) ?? DEFAULT_BACKOFF_MS
  return {
    on,
    statusCodes,
    attempts,
    perTryTimeoutMs: durationMs(settings.perTryTimeout) ?? 0,
    backoffBaseMs,
    backoffMaxMs: backoffBaseMs * 10,
    avoidPreviousHosts: settings.retryIgnorePreviousHosts ?? true,
    onlyWhen: EVERY_REQUEST,
  }
}

/** Names and status codes in one comma-separated list, e.g. `5xx,retriable-4xx,503`. */
function readConditions(retryOn: string | undefined): Pick<RetryPolicy, 'on' | 'statusCodes'> {
  const text = retryOn === undefined || retryOn.trim() === '' ? DEFAULT_CONDITIONS : retryOn
  const on = new Set<RetryCondition>()
  const statusCodes = new Set<number>()
  for (const part of text.split(',').map((one) => one.trim())) {
    if (/^\d{3}$/.test(part)) {
      statusCodes.add(Number(part))
      on.add('retriable-status-codes')
    } else if (isCondition(part)) {
      on.add(part)
    }
  }
  return { on: [...on], statusCodes: [...statusCodes] }
}

function isCondition(text: string): text is RetryCondition {
  return (RETRY_CONDITIONS as readonly string[]).includes(text)
}

function durationMs(text: string | undefined): number | undefined {
  return text === undefined ? undefined : parseDurationMs(text)
}
