/**
 * One call under limits, outlier detection or a retry policy: what a sidecar's exchange does
 * beside moving bytes. Decisions are those of the sidecar; an RSocket error counts as the HTTP
 * status that it stands for.
 */
import type { RequestView, RetryPolicy } from '@weft/model'
import {
  type AttemptOutcome,
  type Host,
  isUnprocessed,
  resetDelayMs,
  retryDecision,
  retryDelayMs,
} from '@weft/traffic'
import { type FrameView, RSOCKET_ERROR } from '@weft/wire'
import { Leg } from '../leg.ts'
import type { CallWatch, Refusal } from '../router.ts'
import type { StreamEntry } from '../stream-entry.ts'
import type { BrokerCluster, Wish } from './broker-cluster.ts'
import { responseHeadOf } from './http-head.ts'

export interface WatchedFacts {
  readonly cluster: BrokerCluster
  readonly wish: Wish
  readonly request: RequestView
  /** Absent: only what nobody has seen is repeated. */
  readonly retry: RetryPolicy | undefined
  /** As `CallWatch.perTryMs`. */
  readonly perTryMs: number
  /** Whether the one that was chosen lets the caller in. */
  admit(leg: Leg): Leg | Refusal
  /** It will be asked for somebody again, after a pause. */
  onRepeat?(): void
}

export interface WatchDeps {
  /** Uniform in [0, 1). */
  readonly random: () => number
  /** Monotonic. */
  readonly nowMs: () => number
  /** Wall clock. */
  readonly wallMs: () => number
}

/** As Envoy says it, after the code that every client understands. */
const OVERFLOW: Refusal = {
  code: RSOCKET_ERROR.rejected,
  message:
    'WEFT-503 upstream connect error or disconnect/reset before headers. reset reason: overflow',
  flag: 'UO',
  status: 503,
}
const NONE: readonly Leg[] = []
/** A hop before this one repeats what may have been processed. */
const RETRY_TOKEN = 'x-weft-retry-token'

export class WatchedCall implements CallWatch {
  readonly perTryMs: number
  readonly #facts: WatchedFacts
  readonly #deps: WatchDeps
  #leg: Leg | undefined
  #host: Host | undefined
  #startedMs = 0
  #isAdmitted = false
  #retriesMade = 0
  /** Repeats that the cluster's limits count. */
  #retriesHeld = 0
  #triedLegs: Leg[] | undefined
  #tried: Set<Host> | undefined
  #flag = ''

  constructor(facts: WatchedFacts, deps: WatchDeps) {
    this.#facts = facts
    this.#deps = deps
    this.perTryMs = facts.perTryMs
  }

  pick(): Leg | Refusal | undefined {
    const { cluster, wish, admit } = this.#facts
    if (!this.#isAdmitted) {
      if (!cluster.limits.admitRequest()) return OVERFLOW
      this.#isAdmitted = true
    }
    const tried = this.#triedLegs ?? NONE
    // Rather one that failed than none, when it is the only one.
    const picked =
      cluster.pick(wish, tried, this.#tried, this.#otherPriority()) ??
      (tried.length === 0 ? undefined : cluster.pick(wish, NONE, undefined))
    if (picked === undefined) return undefined
    const admitted = admit(picked.leg)
    if (!(admitted instanceof Leg)) return admitted
    this.#leg = picked.leg
    this.#host = picked.host
    if (picked.host !== undefined) picked.host.activeRequests++
    this.#startedMs = this.#deps.nowMs()
    return picked.leg
  }

  /** As Envoy's `previous_priorities` with Istio's frequency of two attempts. */
  #otherPriority(): 'first' | 'last' | undefined {
    if (this.#facts.retry?.otherPriorities !== true || this.#tried === undefined) return undefined
    return this.#retriesMade > 1 ? 'first' : 'last'
  }

  onAnswer(view: FrameView, mayRepeat: boolean): number {
    const head = responseHeadOf(view)
    const status = head?.status ?? 200
    this.#note(status)
    const header = (name: string) => head?.fields.find(([each]) => each === name)?.[1]
    const grpc = header('grpc-status')
    const grpcStatus = grpc !== undefined && /^\d{1,3}$/.test(grpc) ? Number(grpc) : undefined
    const more = grpcStatus === undefined ? {} : { grpcStatus }
    return this.#decide({ kind: 'response', status, header, ...more }, mayRepeat)
  }

  onFailure(outcome: AttemptOutcome, mayRepeat: boolean): number {
    this.#note(outcome.kind === 'response' ? outcome.status : undefined)
    return this.#decide(outcome, mayRepeat)
  }

  #note(status: number | undefined): void {
    if (this.#host === undefined) return
    this.#facts.cluster.note(this.#host, status, this.#deps.nowMs() - this.#startedMs)
  }

  #decide(outcome: AttemptOutcome, mayRepeat: boolean): number {
    const { retry, request, cluster } = this.#facts
    const decision = retryDecision(retry, outcome, {
      request,
      retriesMade: this.#retriesMade,
      replayable: mayRepeat,
      responseStarted: false,
      believeHeaders: true,
      tokenTaken: request.header(RETRY_TOKEN) !== undefined,
      admitRetry: () => {
        if (!cluster.limits.admitRetry()) return false
        this.#retriesHeld++
        return true
      },
    })
    if (decision.kind === 'giveUp') {
      if (decision.because === 'attemptsUsed' && retry !== undefined) this.#flag = 'URX'
      return -1
    }
    this.#leave()
    this.#facts.onRepeat?.()
    const delayMs = this.#delayMs(outcome)
    this.#retriesMade++
    return delayMs
  }

  /** The responder had its try. */
  #leave(): void {
    const leg = this.#leg
    const host = this.#host
    this.#leg = undefined
    this.#host = undefined
    if (host !== undefined) host.activeRequests--
    if (this.#facts.retry?.avoidPreviousHosts === false || leg === undefined) return
    this.#triedLegs ??= []
    this.#triedLegs.push(leg)
    if (host === undefined) return
    this.#tried ??= new Set()
    this.#tried.add(host)
  }

  #delayMs(outcome: AttemptOutcome): number {
    const { retry } = this.#facts
    const { random, wallMs } = this.#deps
    const askedMs =
      outcome.kind === 'response' && outcome.header !== undefined
        ? resetDelayMs(retry, outcome.header, wallMs(), random)
        : undefined
    if (askedMs !== undefined) return askedMs
    if (isUnprocessed(outcome) && this.#hasUntried()) return 0
    return retryDelayMs(retry, this.#retriesMade, random)
  }

  /** Another instance need not be spared: a pause is for those that were asked already. */
  #hasUntried(): boolean {
    const { cluster } = this.#facts
    if (this.#tried !== undefined) return cluster.hostCount > this.#tried.size
    return cluster.legs.length > (this.#triedLegs?.length ?? 0)
  }

  onEnd(entry: StreamEntry): void {
    const { limits } = this.#facts.cluster
    if (this.#host !== undefined) this.#host.activeRequests--
    this.#host = undefined
    if (this.#isAdmitted) limits.release('requests')
    for (; this.#retriesHeld > 0; this.#retriesHeld--) limits.release('retries')
    if (this.#flag !== '' && entry.flag === '') entry.flag = this.#flag
  }
}
