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
  type HeaderMatch,
  type RequestView,
  type RetryCondition,
  type RetryPolicy,
  SAFE_RETRY,
} from '@weft/model'
import { withRetryHeaders } from './retry-headers.ts'
import { FieldMatcher } from './route/field-matcher.ts'
import { pathEnd } from './route/path-matcher.ts'

/** How an attempt ended. */
export type AttemptOutcome =
  | {
      readonly kind: 'response'
      readonly status: number
      readonly grpcStatus?: number
      /** The answer's fields by lower-case name; absent: it has none that count. */
      readonly header?: (name: string) => string | undefined
    }
  /** No connection came about; nothing was sent. */
  | { readonly kind: 'connectFailure' }
  /** The peer says it did nothing: REFUSED_STREAM, or GOAWAY with a lower last stream. */
  | { readonly kind: 'refusedStream' }
  /**
   * The connection ended before a response head. `sentBytes`: of this request, 0
   * when none left us. `reused`: the connection had carried a request before, so
   * the peer may just have closed it for idleness. `bodyWithheld`: the request has
   * a body of which nothing was sent yet.
   */
  | {
      readonly kind: 'reset'
      readonly sentBytes: number
      readonly reused?: boolean
      readonly bodyWithheld?: boolean
    }
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
  /** A hop before this one holds the retry token: what may have been processed is its to repeat. */
  readonly tokenTaken?: boolean
  /** Asked last, only when a retry is otherwise due that adds load to an upstream. */
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
  /** Another hop of the chain repeats it, or nobody. */
  | 'tokenTaken'
  | 'budget'

/** Not a hot path: called when an attempt failed, or answered with what a policy may repeat. */
export function retryDecision(
  policy: RetryPolicy | undefined,
  outcome: AttemptOutcome,
  facts: RetryFacts,
): RetryDecision {
  const effective = facts.believeHeaders
    ? withRetryHeaders(policy, facts.request)
    : (policy ?? SAFE_RETRY)
  const condition = conditionOf(effective, outcome)
  if (condition === undefined) return giveUp('noCondition')
  if (facts.responseStarted) return giveUp('responseStarted')
  const unprocessed = isUnprocessed(outcome)
  if (!unprocessed && !mayRepeat(effective, facts.request)) return giveUp('notIdempotent')
  if (facts.retriesMade >= effective.attempts) return giveUp('attemptsUsed')
  if (!facts.replayable) return giveUp('notReplayable')
  // What no upstream has seen adds no load to any: it is not counted, and any hop may repeat it.
  if (unprocessed) return { kind: 'retry', condition }
  if (facts.tokenTaken === true && condition !== 'stale-connection') return giveUp('tokenTaken')
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

/**
 * How long the answer itself asks to wait, in milliseconds; `undefined`: it does not say, or for
 * longer than the policy follows. Up to half as much again is added, as in Envoy, so that not
 * everybody comes back at once.
 *
 * @param nowMs Wall clock.
 */
export function resetDelayMs(
  policy: RetryPolicy | undefined,
  header: (name: string) => string | undefined,
  nowMs: number,
  random: () => number,
): number | undefined {
  const { headers = [], maxMs = 0 } = policy?.resetBackoff ?? {}
  for (const { name, format } of headers) {
    const text = header(name)
    if (text === undefined || !/^\d{1,12}$/.test(text.trim())) continue
    const ms = Number(text) * 1_000 - (format === 'unixTimestamp' ? nowMs : 0)
    if (ms > 0 && ms <= maxMs) return Math.round(ms * (1 + random() / 2))
  }
  return undefined
}

/** Whether sending it twice does no harm: by its method, its key, or because the policy says so. */
export function mayRepeatRequest(policy: RetryPolicy | undefined, request: RequestView): boolean {
  return mayRepeat(policy ?? SAFE_RETRY, request)
}

/** Whether `policy` would repeat a request for such an answer, all else granted. */
export function isRetriable(policy: RetryPolicy | undefined, outcome: AttemptOutcome): boolean {
  return conditionOf(policy ?? SAFE_RETRY, outcome) !== undefined
}

/** Whether the policy asks for repeats of what an upstream may have seen. */
export function repeatsProcessed({ on, attempts }: RetryPolicy): boolean {
  return attempts > 0 && on.some((condition) => !UNPROCESSED.has(condition))
}

const UNPROCESSED: ReadonlySet<RetryCondition> = new Set([
  'connect-failure',
  'refused-stream',
  'reset-before-request',
])

function giveUp(because: GiveUpReason): RetryDecision {
  return { kind: 'giveUp', because }
}

/** No application can have seen any of it. */
export function isUnprocessed(outcome: AttemptOutcome): boolean {
  switch (outcome.kind) {
    case 'connectFailure':
    case 'refusedStream':
      return true
    case 'reset':
      return outcome.sentBytes === 0 || (outcome.reused === true && outcome.bodyWithheld === true)
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
    outcome.kind === 'response' ? isAnswered(on, outcome, policy) : isReset(on, outcome),
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

function isAnswered(
  on: RetryCondition,
  { status, grpcStatus, header }: AttemptOutcome & { readonly kind: 'response' },
  { statusCodes, answerHeaders = [] }: RetryPolicy,
): boolean {
  // The upstream's proxy sheds load: only who says so repeats that (as in Envoy).
  if (header?.('x-envoy-ratelimited') !== undefined) return on === 'envoy-ratelimited'
  switch (on) {
    case '5xx':
      return status >= 500
    case 'gateway-error':
      return status >= 502 && status <= 504
    case 'retriable-4xx':
      return status === 409
    case 'retriable-status-codes':
      return statusCodes.includes(status)
    case 'retriable-headers':
      return header !== undefined && answerHeaders.some((match) => matches(match, header))
    default:
      return grpcStatus !== undefined && GRPC_CODES[on] === grpcStatus
  }
}

function matches(match: HeaderMatch, header: (name: string) => string | undefined): boolean {
  return FieldMatcher.header(match, 'retry').matches({ ...NO_REQUEST, header }, '', 0)
}

/** Answers have fields and nothing else of what matchers look at. */
const NO_REQUEST = { method: '', scheme: 'http', authority: '', path: '' } as const
