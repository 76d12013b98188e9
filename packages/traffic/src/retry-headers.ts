/** What a caller inside the mesh asks for in `x-envoy-retry-on` and its kin, as in Envoy's router. */
import {
  RETRY_CONDITIONS,
  type RequestView,
  type RetryCondition,
  type RetryPolicy,
  SAFE_RETRY,
} from '@weft/model'

/** Envoy's, for requests that ask for retries where no route does. */
const DEFAULT_ATTEMPTS = 1

/** The policy with the request's own wishes on top of it. */
export function withRetryHeaders(
  policy: RetryPolicy | undefined,
  request: RequestView,
): RetryPolicy {
  const on = [
    ...listOf(request, 'x-envoy-retry-on'),
    ...listOf(request, 'x-envoy-retry-grpc-on'),
  ].filter(isCondition)
  const codes = listOf(request, 'x-envoy-retriable-status-codes').map(Number)
  const names = listOf(request, 'x-envoy-retriable-header-names')
  const asked = request.header('x-envoy-max-retries')
  const base = policy ?? SAFE_RETRY
  if (on.length + codes.length + names.length === 0 && asked === undefined) return base
  const fallback = policy === undefined && on.length > 0 ? DEFAULT_ATTEMPTS : base.attempts
  return {
    ...base,
    on: [...base.on, ...on],
    statusCodes: [...base.statusCodes, ...codes.filter(Number.isInteger)],
    answerHeaders: [
      ...(base.answerHeaders ?? []),
      ...names.map((name) => ({ name, value: { kind: 'present' }, invert: false }) as const),
    ],
    attempts: asked !== undefined && /^\d{1,3}$/.test(asked) ? Number(asked) : fallback,
  }
}

function listOf(request: RequestView, name: string): string[] {
  return (request.header(name) ?? '')
    .split(',')
    .map((item) => item.trim().toLowerCase())
    .filter(Boolean)
}

function isCondition(text: string): text is RetryCondition {
  return (RETRY_CONDITIONS as readonly string[]).includes(text)
}
