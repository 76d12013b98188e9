/**
 * Istio's `HTTPRetry` (in VirtualServices and MeshConfig) as a retry policy.
 *
 * Istio repeats every method, and has paid out twice for it (istio #50506). Here a
 * request that may have been processed is repeated only if doing so is harmless:
 * its method is idempotent, or it carries `Idempotency-Key`. Whoever wants more
 * says so on the object, with the annotation below (docs/decisions/0005).
 */
import { parseDurationMs } from '@weft/base'
import { RETRY_CONDITIONS, type RetryCondition, type RetryPolicy } from '@weft/model'

export interface RetrySettings {
  readonly attempts?: number
  readonly perTryTimeout?: string
  readonly retryOn?: string
  readonly retryIgnorePreviousHosts?: boolean
  readonly retryRemoteLocalities?: boolean
  readonly backoff?: string
}

/** Istio's documented default of `retryOn`. */
const DEFAULT_CONDITIONS = 'connect-failure,refused-stream,unavailable,cancelled'
const DEFAULT_BACKOFF_MS = 25
const EVERY_REQUEST: RetryPolicy['onlyWhen'] = [
  { name: ':method', value: { kind: 'present' }, invert: false },
]
/** Written out, because a stock Envoy takes an empty list for every request. RFC 9110, section 9.2.2. */
const HARMLESS: RetryPolicy['onlyWhen'] = [
  {
    name: ':method',
    value: { kind: 'regex', value: 'GET|HEAD|OPTIONS|TRACE|PUT|DELETE' },
    invert: false,
  },
  { name: 'idempotency-key', value: { kind: 'present' }, invert: false },
]

/** On a VirtualService or HTTPRoute: `"true"` lets its retries repeat POST and PATCH too. */
const REPEAT_ALL_ANNOTATION = 'weft.io/retry-non-idempotent'

/** Which requests that may have been processed the retries of an object apply to. */
export function repeatable(annotations: Readonly<Record<string, string>>): RetryPolicy['onlyWhen'] {
  return annotations[REPEAT_ALL_ANNOTATION] === 'true' ? EVERY_REQUEST : HARMLESS
}

/** `undefined` when retries are switched off (`attempts: 0`). */
export function readRetryPolicy(
  settings: RetrySettings,
  onlyWhen: RetryPolicy['onlyWhen'] = HARMLESS,
): RetryPolicy | undefined {
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
    ...(settings.retryRemoteLocalities === true ? { otherPriorities: true } : {}),
    onlyWhen,
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
