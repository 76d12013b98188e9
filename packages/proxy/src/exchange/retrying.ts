/** What follows when an attempt failed, or was answered with what a policy repeats. */
import {
  type AttemptOutcome,
  isUnprocessed,
  resetDelayMs,
  retryDecision,
  retryDelayMs,
} from '@weft/traffic'
import { FIELD } from '@weft/wire'
import { startAttempt } from './attempt.ts'
import type { Exchange } from './exchange.ts'
import type { Failure } from './failures.ts'

/** The attempt came to nothing; the connection is given up already. Tries again or fails. */
export function attemptFailed(
  x: Exchange,
  outcome: AttemptOutcome,
  failure: Failure,
  detail: string,
): void {
  const nowMs = x.deps.clock.monotonicMs()
  const { host, cluster } = x
  if (host !== undefined && outcome.kind !== 'connectFailure') {
    cluster?.noteFailure(host, nowMs, x.sentMs === 0 ? 0 : Math.max(0, nowMs - x.sentMs))
  }
  if (x.race?.takesOver({ outcome, failure, detail }) === true) clearAttempt(x)
  else if (mayRetry(x, outcome)) retry(x, outcome, nowMs)
  else x.fail(failure, detail)
}

function mayRetry(x: Exchange, outcome: AttemptOutcome): boolean {
  const policy = x.action?.source.retry
  const believeHeaders = !x.runtime.manager.useRemoteAddress
  const decision = retryDecision(policy, outcome, {
    request: x.view,
    retriesMade: x.attempts - 1,
    replayable: x.replayable && !x.downstream.gone,
    responseStarted: x.answered,
    believeHeaders,
    tokenTaken: believeHeaders && x.head.at[FIELD['x-weft-retry-token']] !== 0,
    // What no endpoint has begun to work on adds no load to any: a lost connection of
    // many streams moves them all.
    admitRetry: () => (outcome.kind === 'reset' && outcome.sentBytes === 0) || x.admitRetry(),
  })
  if (decision.kind === 'retry') return true
  if (decision.because === 'budget') x.retryEnd = 'overflow'
  else if (decision.because === 'attemptsUsed' && policy !== undefined) {
    x.retryEnd = 'limitExceeded'
  }
  return false
}

/** Whether an answer that the policy repeats leads to another attempt, which is then under way. */
export function retryAnswer(x: Exchange, nowMs: number): boolean {
  const grpc = x.view.responseHeader('grpc-status')
  const header = (name: string) => x.view.responseHeader(name)
  const outcome = {
    kind: 'response',
    status: x.response.status,
    header,
    ...(grpc !== undefined && /^\d{1,3}$/.test(grpc) ? { grpcStatus: Number(grpc) } : {}),
  } as const
  if (x.race?.outlives(outcome) === true) {
    x.dropConnection()
    clearAttempt(x)
    return true
  }
  if (!mayRetry(x, outcome)) return false
  x.dropConnection()
  retry(x, outcome, nowMs)
  return true
}

/** Makes another attempt: at once when nobody has seen this one, else after the policy's pause. */
function retry(x: Exchange, outcome: AttemptOutcome, nowMs: number): void {
  const { host } = x
  const policy = x.action?.source.retry
  const stale = outcome.kind === 'reset' && outcome.reused === true
  if (!stale && host !== undefined && (policy?.avoidPreviousHosts ?? true)) {
    x.tried ??= new Set()
    x.tried.add(host)
  }
  const askedMs =
    outcome.kind === 'response' && outcome.header !== undefined
      ? resetDelayMs(policy, outcome.header, x.deps.clock.nowMs(), x.deps.random)
      : undefined
  clearAttempt(x)
  if (stale) {
    startAttempt(x, true, nowMs)
    return
  }
  if (askedMs !== undefined) x.backoff = 'ratelimited'
  const delayMs =
    askedMs ??
    (isUnprocessed(outcome) && hasUntried(x)
      ? 0
      : retryDelayMs(policy, x.attempts - 1, x.deps.random))
  if (delayMs === 0) {
    startAttempt(x, false, nowMs)
    return
  }
  x.backoff ??= 'exponential'
  // The last try's limit must not end the pause with yet another try.
  x.timers.endTry()
  x.cancelWait = x.deps.clock.after(delayMs, () => {
    x.cancelWait = undefined
    startAttempt(x, false, x.deps.clock.monotonicMs())
  })
}

/** Nothing is left of the attempt, and the next one finds nothing of its answer. */
function clearAttempt(x: Exchange): void {
  x.releaseHost()
  x.response.reset()
  x.responseLength = 0
  x.responseHeadDone = false
  x.interims = 0
}

/** Another endpoint need not be spared: a pause is for those that were asked already. */
function hasUntried({ tried, cluster }: Exchange): boolean {
  return tried !== undefined && cluster !== undefined && cluster.hosts.length > tried.size
}
