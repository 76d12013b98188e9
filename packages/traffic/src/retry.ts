/**
 * Whether a failed attempt is made again.
 *
 * Safe by default. Without a policy an attempt is repeated only when no
 * application can have seen it (connect failure, refused stream, nothing sent),
 * or when a reused connection turned out to be closed and repeating does no harm.
 * What may have been processed is repeated only when a policy asks for it *and*
 * repeating cannot do harm: the method is idempotent (RFC 9110, section 9.2.2),
 * the client sent an `Idempotency-Key`, or the policy's `onlyWhen` says so.
 */
import { backoffMs } from '@weft/base'
import {
  RETRY_CONDITIONS,
  type RequestView,
  type RetryCondition,
  type RetryPolicy,
  SAFE_RETRY,
} from '@weft/model'
import { FieldMatcher } from './route/field-matcher.ts'
import { pathEnd } from './route/path-matcher.ts'

/** How an attempt ended. */
export type AttemptOutcome =
  | { readonly kind: 'response'; readonly status: number; readonly grpcStatus?: number }
  /** No connection came about; nothing was sent. */
  | { readonly kind: 'connectFailure' }
  /** The peer says it did nothing: REFUSED_STREAM, or GOAWAY with a lower last stream. */
  | { readonly kind: 'refusedStream' }
  /**
   * The connection ended before a response head. `sentBytes`: of this request, 0
   * when none left us. `reused`: the connection had carried a request before, so
   * the peer may just have closed it for idleness.
   */
  | { readonly kind: 'reset'; readonly sentBytes: number; readonly reused?: boolean }
  | { readonly kind: 'perTryTimeout' }

export interface RetryFacts {
  readonly request: RequestView
  /** Attempts already repeated; 0 after the first attempt. */
  readonly retriesMade: number
  /** Whether the whole request can still be sent again. */
  readonly replayable: boolean
  /** Whether the client already got a byte of a response. */
  readonly responseStarted: boolean
  /** Whether `x-envoy-retry-on` and its kin come from inside the mesh. */
  readonly believeHeaders: boolean
  /** Asked last, only when a retry is otherwise due: circuit limit and budget. */
  admitRetry(): boolean
}

export type RetryDecision =
  /** `condition`: the rule that applied; `stale-connection` needs no policy. */
  | { readonly kind: 'retry'; readonly condition: RetryCondition | 'stale-connection' }
  | { readonly kind: 'giveUp'; readonly because: GiveUpReason }

export type GiveUpReason =
  /** Nothing in the outcome that a policy would repeat. */
  | 'noCondition'
  /** It may have been processed, and doing it twice may do harm. */
  | 'notIdempotent'
  | 'attemptsUsed'
  | 'responseStarted'
  | 'notReplayable'
  | 'budget'

/** Not a hot path: called when an attempt failed, or answered with what a policy may repeat. */
export function retryDecision(
  policy: RetryPolicy | undefined,
  outcome: AttemptOutcome,
  facts: RetryFacts,
): RetryDecision {
  const effective = withHeaders(policy ?? SAFE_RETRY, facts)
  const condition = conditionOf(effective, outcome)
  if (condition === undefined) return giveUp('noCondition')
  if (facts.responseStarted) return giveUp('responseStarted')
  if (!isUnprocessed(outcome) && !mayRepeat(effective, facts.request)) {
    return giveUp('notIdempotent')
  }
  if (facts.retriesMade >= effective.attempts) return giveUp('attemptsUsed')
  if (!facts.replayable) return giveUp('notReplayable')
  if (!facts.admitRetry()) return giveUp('budget')
  return { kind: 'retry', condition }
}

/** How long to wait before the next attempt; `retriesMade` as in `RetryFacts`. */
export function retryDelayMs(
  policy: RetryPolicy | undefined,
  retriesMade: number,
  random: () => number,
): number {
  const { backoffBaseMs, backoffMaxMs } = policy ?? SAFE_RETRY
  if (backoffBaseMs <= 0) return 0
  const maxMs = Math.max(backoffBaseMs, backoffMaxMs)
  return backoffMs({ baseMs: backoffBaseMs, maxMs }, retriesMade, random)
}

function giveUp(because: GiveUpReason): RetryDecision {
  return { kind: 'giveUp', because }
}

/** No application can have seen any of it. */
function isUnprocessed(outcome: AttemptOutcome): boolean {
  switch (outcome.kind) {
    case 'connectFailure':
    case 'refusedStream':
      return true
    case 'reset':
      return outcome.sentBytes === 0
    default:
      return false
  }
}

const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE'])

function mayRepeat(policy: RetryPolicy, request: RequestView): boolean {
  if (policy.onlyWhen.length > 0) {
    const end = pathEnd(request.path)
    return policy.onlyWhen.some((match) =>
      FieldMatcher.header(match, 'retry').matches(request, request.path, end),
    )
  }
  return IDEMPOTENT.has(request.method) || request.header('idempotency-key') !== undefined
}

/** The first condition of the policy that the outcome meets. */
function conditionOf(
  policy: RetryPolicy,
  outcome: AttemptOutcome,
): RetryCondition | 'stale-connection' | undefined {
  const condition = policy.on.find((on) =>
    outcome.kind === 'response'
      ? answers(on, outcome.status, outcome.grpcStatus, policy.statusCodes)
      : isReset(on, outcome),
  )
  if (condition !== undefined) return condition
  const isStale = outcome.kind === 'reset' && (outcome.sentBytes === 0 || outcome.reused === true)
  return isStale ? 'stale-connection' : undefined
}

/** Envoy: `5xx` and `gateway-error` cover every attempt without an answer, too. */
function isReset(on: RetryCondition, outcome: AttemptOutcome): boolean {
  switch (on) {
    case '5xx':
    case 'gateway-error':
    case 'reset':
      return true
    case 'reset-before-request':
      return isUnprocessed(outcome)
    case 'connect-failure':
      return outcome.kind === 'connectFailure'
    case 'refused-stream':
      return outcome.kind === 'refusedStream'
    default:
      return false
  }
}

/** Codes of `grpc-status` by condition. */
const GRPC_CODES: Readonly<Partial<Record<RetryCondition, number>>> = {
  cancelled: 1,
  'deadline-exceeded': 4,
  'resource-exhausted': 8,
  internal: 13,
  unavailable: 14,
}

function answers(
  on: RetryCondition,
  status: number,
  grpcStatus: number | undefined,
  statusCodes: readonly number[],
): boolean {
  switch (on) {
    case '5xx':
      return status >= 500
    case 'gateway-error':
      return status >= 502 && status <= 504
    case 'retriable-4xx':
      return status === 409
    case 'retriable-status-codes':
      return statusCodes.includes(status)
    default:
      return grpcStatus !== undefined && GRPC_CODES[on] === grpcStatus
  }
}

/** What the caller asks for comes on top of the policy, as in Envoy's router filter. */
function withHeaders(policy: RetryPolicy, facts: RetryFacts): RetryPolicy {
  const { request } = facts
  if (!facts.believeHeaders) return policy
  const on = [
    ...parseList(request.header('x-envoy-retry-on')),
    ...parseList(request.header('x-envoy-retry-grpc-on')),
  ].filter(isCondition)
  const codes = parseList(request.header('x-envoy-retriable-status-codes')).map(Number)
  const attempts = request.header('x-envoy-max-retries')
  if (on.length === 0 && codes.length === 0 && attempts === undefined) return policy
  return {
    ...policy,
    on: [...policy.on, ...on],
    statusCodes: [...policy.statusCodes, ...codes.filter(Number.isInteger)],
    attempts:
      attempts !== undefined && /^\d{1,3}$/.test(attempts) ? Number(attempts) : policy.attempts,
  }
}

function parseList(text: string | undefined): string[] {
  return text === undefined
    ? []
    : text
        .split(',')
        .map((item) => item.trim())
        .filter(Boolean)
}

function isCondition(text: string): text is RetryCondition {
  return (RETRY_CONDITIONS as readonly string[]).includes(text)
}
