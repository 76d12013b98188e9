/**
 * Whether a failed attempt is made again.
 *
 * Safe by default: without a policy only attempts that provably never reached an
 * application are repeated (connect failure, refused stream). What may have been
 * processed is repeated only when a policy asks for it *and* repeating cannot do
 * harm: the method is idempotent (RFC 9110, section 9.2.2) or the client sent an
 * `Idempotency-Key`.
 */
import type { RequestView, RetryCondition, RetryPolicy } from '@weft/model'

/** How an attempt ended. */
export type AttemptOutcome =
  | { readonly kind: 'response'; readonly status: number; readonly grpcStatus?: number }
  /** No connection came about; nothing was sent. */
  | { readonly kind: 'connectFailure' }
  /** The peer says it did nothing: REFUSED_STREAM, or GOAWAY with a lower last stream. */
  | { readonly kind: 'refusedStream' }
  /** The connection ended before a response head. `sentBytes`: of this request, 0 when none left us. */
  | { readonly kind: 'reset'; readonly sentBytes: number }
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
  /** Asked last, only when a retry is otherwise due: budget and circuit limit. */
  admitRetry(): boolean
}

export type RetryDecision =
  | { readonly kind: 'retry'; readonly condition: RetryCondition }
  | { readonly kind: 'giveUp'; readonly because: GiveUpReason }

export type GiveUpReason =
  | 'success'
  | 'noCondition'
  | 'notIdempotent'
  | 'onlyWhen'
  | 'attemptsUsed'
  | 'responseStarted'
  | 'notReplayable'
  | 'budget'

/** Applies where a route has no policy: one repeat of what provably never arrived, more than once if need be. */
export const DEFAULT_RETRY: RetryPolicy = {
  on: ['connect-failure', 'refused-stream'],
  statusCodes: [],
  attempts: 2,
  perTryTimeoutMs: 0,
  backoffBaseMs: 25,
  backoffMaxMs: 250,
  avoidPreviousHosts: true,
  onlyWhen: [],
}

export function retryDecision(
  _policy: RetryPolicy | undefined,
  _outcome: AttemptOutcome,
  _facts: RetryFacts,
): RetryDecision {
  return { kind: 'giveUp', because: 'noCondition' }
}
