/**
 * Further attempts while the first one still runs. The first good answer wins; the
 * others are cancelled (HTTP/2: RST_STREAM with CANCEL, HTTP/1.1: the connection ends).
 *
 *     first attempt ──────────────► answer? ──► relayed, rivals cancelled
 *        └ delay ─► rival ────────► answer? ──► its connection becomes the exchange's
 *                     └ delay ─► rival …
 *
 * A rival knows its connection and nothing of messages beyond the status: with the
 * answer's first bytes in hand it steps back and the exchange reads them itself.
 */
import type { HedgePolicy } from '@weft/model'
import {
  type AttemptOutcome,
  type Host,
  isRetriable,
  mayRepeatRequest,
  withRetryHeaders,
} from '@weft/traffic'
import { FIELD, type HeadTarget, MessageHead, parseResponseHead } from '@weft/wire'
import type { HttpPool } from '../upstream/pool.ts'
import type { StreamLoss, UpstreamSide, UpstreamUser } from '../upstream/upstream-user.ts'
import { composeRequest, poolFor, speaksHttp2 } from './attempt.ts'
import type { Exchange } from './exchange.ts'
import type { Failure } from './failures.ts'
import { attemptFailed } from './retrying.ts'

const HEAD_LIMIT_BYTES = 61_440
/** From here on an answer is no good one, whatever the policy says. */
const SERVER_ERROR = 500

export interface FailedAttempt {
  readonly outcome: AttemptOutcome
  readonly failure: Failure
  readonly detail: string
}

/** Where a request may be asked twice: begins to wait for the moment. */
export function startRace(x: Exchange): void {
  const { action, runtime, head } = x
  if (action === undefined || x.upgrade || head.form === 'authority') return
  // Who is before us hedges or repeats already.
  if (!runtime.manager.useRemoteAddress && head.at[FIELD['x-weft-retry-token']] !== 0) return
  const policy = hedgePolicyOf(x)
  if (policy === undefined || !mayRepeatRequest(action.source.retry, x.view)) return
  x.race = new Race(x, policy)
}

/** The route's, unless a caller inside the mesh says what becomes of a try whose time is over. */
function hedgePolicyOf({ action, runtime, view }: Exchange): HedgePolicy | undefined {
  const written = action?.source.hedge
  const asked = runtime.manager.useRemoteAddress
    ? undefined
    : view.requestHeader('x-envoy-hedge-on-per-try-timeout')
  if (asked !== 'true' && asked !== 'false') return written
  const waits = written?.afterMs !== undefined || written?.afterPercentile !== undefined
  // A delay is another reason to hedge, of which the request says nothing.
  if (waits) return written
  if (asked === 'false') return undefined
  if (written !== undefined) return written
  const { attempts } = withRetryHeaders(action?.source.retry, view)
  return attempts === 0 ? undefined : { maxAttempts: attempts + 1 }
}

export class Race {
  readonly #x: Exchange
  readonly #policy: HedgePolicy
  readonly #rivals = new Set<Rival>()
  #cancelTimer: (() => void) | undefined
  /** The exchange's own attempt is over; its end counts if no rival does better. */
  #lost: FailedAttempt | undefined
  #launched = 0
  #won = false

  constructor(x: Exchange, policy: HedgePolicy) {
    this.#x = x
    this.#policy = policy
    this.#armLater()
  }

  get launched(): number {
    return this.#launched
  }

  get won(): boolean {
    return this.#won
  }

  /** Absent: when a try's time is over, or not yet, as the cluster's latency is not known. */
  #delayMs(): number | undefined {
    const { afterMs, afterPercentile } = this.#policy
    if (afterPercentile === undefined) return afterMs
    return this.#x.cluster?.latencies().at(afterPercentile) ?? afterMs
  }

  #armLater(): void {
    const delayMs = this.#delayMs()
    if (delayMs === undefined) return
    this.#cancelTimer = this.#x.deps.clock.after(Math.max(1, delayMs), () => {
      this.#cancelTimer = undefined
      this.launch()
    })
  }

  /** A try's time is over. True: it goes on, and has company. */
  onTryTimeout(): boolean {
    const { afterMs, afterPercentile } = this.#policy
    return afterMs === undefined && afterPercentile === undefined && this.launch()
  }

  /** Sends the request once more, elsewhere. False: it may not, or there is nowhere. */
  launch(): boolean {
    const x = this.#x
    const { cluster, request } = x
    const max = this.#policy.maxAttempts - 1
    if (cluster === undefined || x.answered || this.#launched >= max) return false
    if (!request.done || !x.replayable) {
      // The body may be complete by the next time.
      this.#armLater()
      return false
    }
    if (!x.admitRetry()) {
      x.retryEnd = 'overflow'
      return false
    }
    const { host } = x
    if (host !== undefined) {
      x.tried ??= new Set()
      x.tried.add(host)
    }
    const other = cluster.pick({ hash: x.hash, tried: x.tried }) ?? host
    if (other === undefined) return false
    x.tried?.add(other)
    this.#launched++
    x.attempts++
    const rival = new Rival(x, this, other, poolFor(x, cluster, other))
    this.#rivals.add(rival)
    rival.start()
    this.#armLater()
    return true
  }

  /** The exchange's own attempt failed. True: rivals still run, the exchange waits for them. */
  takesOver(failed: FailedAttempt): boolean {
    if (this.#rivals.size === 0) {
      this.#stopTimer()
      return false
    }
    this.#lost = failed
    return true
  }

  /** The exchange's own answer is a poor one. True: rivals may still have a better one. */
  outlives(outcome: AttemptOutcome & { readonly kind: 'response' }): boolean {
    if (this.#rivals.size === 0 || !this.#isPoor(outcome)) return false
    this.#lost = { outcome, failure: 'upstreamReset', detail: `answered ${outcome.status}` }
    return true
  }

  #isPoor(outcome: AttemptOutcome & { readonly kind: 'response' }): boolean {
    return outcome.status >= SERVER_ERROR || isRetriable(this.#x.action?.source.retry, outcome)
  }

  failed(rival: Rival, failed: FailedAttempt): void {
    const x = this.#x
    this.#rivals.delete(rival)
    const nowMs = x.deps.clock.monotonicMs()
    x.cluster?.noteFailure(rival.host, nowMs, rival.sinceSent(nowMs))
    if (this.#rivals.size > 0 || this.#lost === undefined) return
    this.#lost = undefined
    attemptFailed(x, failed.outcome, failed.failure, failed.detail)
  }

  /** @returns Whether the answer counts; if not, the rival is given up. */
  answered(rival: Rival, status: number): boolean {
    const alone = this.#rivals.size === 1 && this.#lost !== undefined
    if (!alone && this.#isPoor({ kind: 'response', status })) {
      this.#rivals.delete(rival)
      const x = this.#x
      x.cluster?.noteStatus(rival.host, status, x.deps.clock.monotonicMs())
      rival.cancel()
      return false
    }
    this.#rivals.delete(rival)
    this.#won = true
    this.#lost = undefined
    this.cancel()
    return true
  }

  #stopTimer(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
  }

  /** Everybody but the exchange's own attempt is given up. */
  cancel(): void {
    this.#stopTimer()
    for (const rival of this.#rivals) rival.cancel()
    this.#rivals.clear()
  }
}

class Rival implements UpstreamUser {
  readonly host: Host
  readonly #x: Exchange
  readonly #race: Race
  #pool: HttpPool | undefined
  #connection: UpstreamSide | undefined
  #sentMs = 0
  /** The first bytes of an HTTP/1.1 answer, until its status is known. */
  #early: Buffer | undefined
  #target: OwnTarget | undefined

  constructor(x: Exchange, race: Race, host: Host, pool: HttpPool) {
    this.#x = x
    this.#race = race
    this.host = host
    this.#pool = pool
  }

  start(): void {
    const pool = this.#pool
    if (pool === undefined) return
    this.host.activeRequests++
    if (speaksHttp2(this.#x)) pool.acquireStream(this)
    else pool.acquire(this, false, this.#x.deps.clock.monotonicMs())
  }

  /** In milliseconds; 0: it was not sent. */
  sinceSent(nowMs: number): number {
    return this.#sentMs === 0 ? 0 : nowMs - this.#sentMs
  }

  cancel(): void {
    this.#connection?.discard()
    this.#pool?.abandon(this)
    this.#over()
  }

  #over(): void {
    if (this.#pool !== undefined) this.host.activeRequests--
    this.#connection = undefined
    this.#pool = undefined
  }

  #failed(outcome: AttemptOutcome, failure: Failure, detail: string): void {
    if (this.#pool === undefined) return
    this.#over()
    this.#race.failed(this, { outcome, failure, detail })
  }

  onUpstreamReady(connection: UpstreamSide): void {
    const x = this.#x
    this.#connection = connection
    const headLength = composeRequest(x, connection, this.host)
    this.#sentMs = x.deps.clock.monotonicMs()
    connection.send(headLength, true, x.request.trailers)
  }

  onUpstreamFailed(failure: Failure, detail: string): void {
    this.#failed({ kind: 'connectFailure' }, failure, detail)
  }

  onUpstreamData(bytes: Buffer, length: number): void {
    const part = bytes.subarray(0, length)
    const all = this.#early === undefined ? part : Buffer.concat([this.#early, part])
    const head = new MessageHead()
    const result = parseResponseHead(head, all, 0, all.length, HEAD_LIMIT_BYTES)
    if (result < 0) {
      this.#connection?.discard()
      this.#failed({ kind: 'reset', sentBytes: 1 }, 'upstreamProtocol', 'malformed answer')
      return
    }
    if (result === 0 || head.status < 200) {
      // An interim answer is not the client's before this attempt is.
      this.#early = Buffer.from(result === 0 ? all : all.subarray(result))
      if (result > 0 && all.length > result) this.onUpstreamData(NOTHING, 0)
      return
    }
    if (this.#race.answered(this, head.status)) {
      const x = this.#adopted()
      x?.onUpstreamData(all, all.length)
    }
  }

  get answerTarget(): HeadTarget {
    this.#target ??= new OwnTarget()
    return this.#target
  }

  onUpstreamHead(last: boolean): void {
    const target = this.#target
    if (target === undefined) return
    if (target.head.status < 200) {
      target.head.reset()
      target.headLength = 0
      return
    }
    if (this.#race.answered(this, target.head.status)) {
      const x = this.#adopted()
      if (x !== undefined) takeAnswerHead(x, target)
      x?.onUpstreamHead(last)
    }
  }

  /** The exchange goes on with this rival's connection in place of its own. */
  #adopted(): Exchange | undefined {
    const connection = this.#connection
    if (connection === undefined) return undefined
    const { host } = this
    this.#over()
    adopt(this.#x, connection, host)
    this.#x.sentMs = this.#sentMs
    return this.#x
  }

  onUpstreamBody(): void {}
  onUpstreamTrailers(): void {}
  onUpstreamDrain(): void {}

  onUpstreamReset(loss: StreamLoss, detail: string): void {
    this.#failed(
      loss === 'refused' ? { kind: 'refusedStream' } : { kind: 'reset', sentBytes: 1 },
      'upstreamReset',
      detail,
    )
  }

  onUpstreamEnd(): void {
    this.#connection?.discard()
    this.onUpstreamGone(undefined)
  }

  onUpstreamGone(error: Error | undefined): void {
    const detail = error?.message ?? 'end of stream'
    this.#failed({ kind: 'reset', sentBytes: 1 }, 'upstreamReset', detail)
  }
}

function adopt(x: Exchange, connection: UpstreamSide, host: Host): void {
  x.dropConnection()
  x.useHost(host)
  x.response.reset()
  x.responseLength = 0
  x.responseHeadDone = false
  x.connection = connection
  connection.handTo(x)
  x.sending = true
}

/** The head of an answer that was laid out elsewhere. */
function takeAnswerHead(x: Exchange, { head, headBytes, headLength }: HeadTarget): void {
  x.response = head
  x.answerPlan.head = head
  x.responseBytes = headBytes
  x.responseLength = headLength
}

const NOTHING = Buffer.alloc(0)

/** A head that may never be the exchange's. */
class OwnTarget implements HeadTarget {
  readonly head = new MessageHead()
  headBytes: Buffer = Buffer.allocUnsafeSlow(2_048)
  headLength = 0
}
