/**
 * One request and its answer, from the head's last byte to the end of the log.
 *
 *     begin ─► filters ─► route ─► attempt ─► connection ─► head + body sent
 *                │          │         ▲ │                        │
 *                └ reply    └ reply   └─┴── retry ◄── failed ◄───┤
 *                                                                v
 *     finish ◄── answer relayed ◄──────────────────────────── answer
 *
 * Objects are reused. The bytes of the head are kept in the exchange's own
 * buffer, so that an attempt can be made again and a log written at the end.
 * This file holds what an exchange knows and how it ends; the steps are in
 * `route-request.ts`, `request-body.ts`, `attempt.ts`, `relay-response.ts` and
 * `reply-locally.ts`.
 */
import type { VirtualHost } from '@weft/model'
import { giveWriteMemory, takeWriteMemory } from '@weft/net'
import type { CompiledForward, CompiledRoute, CompiledTarget, Host } from '@weft/traffic'
import { type HeadTarget, MessageHead, OutBuffer } from '@weft/wire'
import type { UpstreamCluster } from '../upstream/cluster.ts'
import type { HttpPool } from '../upstream/pool.ts'
import type { StreamLoss, UpstreamSide, UpstreamUser } from '../upstream/upstream-user.ts'
import type { AnswerCoding, AnswerEncoder } from './answer-coding.ts'
import { AnswerTarget } from './answer-target.ts'
import { sendWhenDue } from './attempt.ts'
import { BodyRelay } from './body-relay.ts'
import type { ClientSide } from './client-side.ts'
import type { EngineDeps, HttpRuntime, RetryEnd } from './contract.ts'
import type { EncodedHeaders } from './encoded-headers.ts'
import type { ExchangePool } from './exchange-pool.ts'
import { ExchangeTimers, type TimeoutHandler } from './exchange-timers.ts'
import { ExchangeView } from './exchange-view.ts'
import type { Failure } from './failures.ts'
import { FilterState } from './filter-state.ts'
import type { Race } from './hedge.ts'
import type { LogFlush } from './log-flush.ts'
import {
  relayHead,
  relayResponse,
  relayStream,
  upstreamEnded,
  upstreamReset,
} from './relay-response.ts'
import { failureReply, replyLocally } from './reply-locally.ts'
import { takeRequestBody } from './request-body.ts'
import { RequestId } from './request-id.ts'
import { attemptFailed } from './retrying.ts'
import { FIRST_BYTES, MAX_KEPT_BYTES, roomFor, shrunk } from './room-for.ts'
import { newRequestPlan, type RequestPlan } from './write-request.ts'
import { type LocalReply, newResponsePlan, type ResponsePlan } from './write-response.ts'

const NO_BYTES = Buffer.alloc(0)
const NO_COOKIES: readonly string[] = []
const NO_ENCODERS: readonly AnswerEncoder[] = []
const NO_WATCHERS: readonly ((complete: boolean) => void)[] = []

export class Exchange implements UpstreamUser, TimeoutHandler {
  readonly deps: EngineDeps
  readonly #spares: ExchangePool
  readonly view: ExchangeView
  downstream: ClientSide
  runtime: HttpRuntime

  readonly head = new MessageHead()
  headBytes: Buffer = Buffer.allocUnsafeSlow(FIRST_BYTES)
  headLength = 0
  authority = ''
  canonicalPath: string | undefined
  readonly request = new BodyRelay()
  /** The body's data so far, as long as it is all there. */
  readonly held = new OutBuffer(0, takeWriteMemory)
  replayable = true
  /** The head went to `connection`: body bytes follow at once. */
  sending = false
  /** The answer does not depend on the rest of the body any more. */
  discarding = false

  response = new MessageHead()
  responseBytes: Buffer = Buffer.allocUnsafeSlow(FIRST_BYTES)
  responseLength = 0
  responseHeadDone = false
  readonly answer = new BodyRelay()
  #answerTarget: AnswerTarget | undefined
  interims = 0
  /** A byte of the final answer went to the client. */
  answered = false
  mustClose = false
  /** Of a gRPC answer of our own. */
  localGrpcStatus: string | undefined
  /** From `grpc-timeout`, if the route says that it counts. */
  grpcDeadline = false
  /** The answer to HEAD, 204 and 304. */
  bodyless = false

  virtualHost: VirtualHost | undefined
  route: CompiledRoute | undefined
  action: CompiledForward | undefined
  target: CompiledTarget | undefined
  cluster: UpstreamCluster | undefined
  host: Host | undefined
  pool: HttpPool | undefined
  connection: UpstreamSide | undefined
  sentBy: UpstreamSide | undefined
  attempts = 0
  tried: Set<Host> | undefined
  hash: number | undefined
  filterHeaders: EncodedHeaders | undefined
  /** What filters change about the request's coding. */
  requestHeaders: EncodedHeaders | undefined
  readonly filtered = new FilterState()
  encoders = NO_ENCODERS
  /** Filters that want to know of the end: whether the answer is complete. */
  watchers = NO_WATCHERS
  /** The answer's body is coded on its way. */
  coding: AnswerCoding | undefined
  /** `set-cookie` values of hash policies. */
  cookies: readonly string[] = NO_COOKIES
  upgrade = false
  readonly plan: RequestPlan
  readonly answerPlan: ResponsePlan

  readonly timers: ExchangeTimers
  /** Present where lines are wanted before the end. */
  logFlush: LogFlush | undefined
  /** Gives up whatever the exchange waits for beside a connection. */
  cancelWait: (() => void) | undefined

  startedMs = 0
  sentMs = 0
  firstByteMs = -1
  endedMs = 0
  /** When the last byte of a body came; 0: there was none. */
  bodyDoneMs = 0
  status = 0
  failure: Failure | undefined
  detail = ''
  delayed = false
  /** Why a repeat that was due was not made. */
  retryEnd: RetryEnd | undefined
  /** How the pause before the last repeat was found. */
  backoff: 'exponential' | 'ratelimited' | undefined
  /** Present where the request may be asked twice at once. */
  race: Race | undefined
  readonly #requestId = new RequestId()
  /** Clock time of the event at hand when it was read already, else 0. */
  eventMs = 0
  responseBodyBytes = 0
  #admitted = false
  #admittedRetries = 0
  #finished = false

  constructor(
    deps: EngineDeps,
    downstream: ClientSide,
    runtime: HttpRuntime,
    spares: ExchangePool,
  ) {
    this.deps = deps
    this.#spares = spares
    this.downstream = downstream
    this.runtime = runtime
    this.view = new ExchangeView(this)
    this.timers = new ExchangeTimers(deps, this)
    this.plan = newRequestPlan(this.head, this.headBytes, this.view, this.#requestId)
    this.answerPlan = newResponsePlan(this.response, this.responseBytes, this.view)
  }

  /** Makes the object ready for another request. */
  renew(downstream: ClientSide, runtime: HttpRuntime): void {
    this.downstream = downstream
    this.runtime = runtime
    this.view.reset()
    this.head.reset()
    this.response.reset()
    this.headLength = 0
    this.authority = ''
    this.canonicalPath = undefined
    this.held.clear()
    this.replayable = true
    this.sending = false
    this.discarding = false
    this.responseLength = 0
    this.responseHeadDone = false
    this.interims = 0
    this.localGrpcStatus = undefined
    this.grpcDeadline = false
    this.answered = false
    this.mustClose = false
    this.virtualHost = undefined
    this.route = undefined
    this.action = undefined
    this.target = undefined
    this.cluster = undefined
    this.host = undefined
    this.sentBy = undefined
    this.attempts = 0
    this.tried = undefined
    this.hash = undefined
    this.filterHeaders = undefined
    this.requestHeaders = undefined
    this.filtered.reset()
    this.encoders = NO_ENCODERS
    this.watchers = NO_WATCHERS
    this.cookies = NO_COOKIES
    this.upgrade = false
    this.timers.reset()
    this.sentMs = 0
    this.bodyDoneMs = 0
    this.eventMs = 0
    this.firstByteMs = -1
    this.status = 0
    this.failure = undefined
    this.detail = ''
    this.delayed = false
    this.retryEnd = undefined
    this.backoff = undefined
    this.race = undefined
    this.#requestId.reset()
    this.responseBodyBytes = 0
    this.request.start('none', 0, false)
    this.#finished = false
  }

  /** Lets go of memory that only an unusual request needed. */
  #shrink(): void {
    this.headBytes = shrunk(this.headBytes)
    this.responseBytes = shrunk(this.responseBytes)
    if (this.held.bytes.length > MAX_KEPT_BYTES) this.dropHeld()
  }

  /** What was kept of the body is not needed any more. */
  dropHeld(): void {
    const { bytes } = this.held
    this.held.detach(NO_BYTES)
    giveWriteMemory(bytes)
  }

  /** Keeps `bytes[from..end)` of the head, behind what is there already. */
  appendHead(bytes: Buffer, from: number, end: number): void {
    const needed = this.headLength + end - from
    this.headBytes = roomFor(this.headBytes, this.headLength, needed)
    bytes.copy(this.headBytes, this.headLength, from, end)
    this.headLength = needed
  }

  appendResponse(bytes: Buffer, from: number, end: number): void {
    const needed = this.responseLength + end - from
    this.responseBytes = roomFor(this.responseBytes, this.responseLength, needed)
    bytes.copy(this.responseBytes, this.responseLength, from, end)
    this.responseLength = needed
  }

  /** @returns The offset just past what was taken of the body, or a problem. */
  takeBody(bytes: Buffer, from: number, end: number): number {
    return takeRequestBody(this, bytes, from, end)
  }

  /** A stream's body ends here. */
  endBody(bytes: Buffer, from: number, end: number): void {
    this.request.ending = true
    this.takeBody(bytes, from, end)
  }

  // What the timers report.

  onRequestTimeout(): void {
    this.fail('requestTimeout', `no complete answer within ${this.timers.requestMs} ms`)
  }

  onTryTimeout(): void {
    if (this.answered) return
    if (this.race?.onTryTimeout() === true) {
      this.timers.armTry(this.deps.clock.monotonicMs())
      return
    }
    const detail = `no answer within ${this.timers.perTryMs} ms`
    this.dropConnection()
    attemptFailed(this, { kind: 'perTryTimeout' }, 'perTryTimeout', detail)
  }

  onIdleTimeout(): void {
    const failure = this.request.done ? 'requestTimeout' : 'streamIdle'
    this.fail(failure, `no byte either way for ${this.timers.idleMs} ms`)
  }

  onBodyTimeout(): void {
    this.fail('bodyTimeout', 'the request body did not arrive in time')
  }

  onStreamTimeout(): void {
    this.fail('streamDuration', 'the request took as long as one may')
  }

  // What the upstream connection reports.

  onUpstreamReady(connection: UpstreamSide): void {
    this.pool = undefined
    if (this.#finished) connection.discard()
    else {
      this.connection = connection
      sendWhenDue(this, connection)
    }
  }

  onUpstreamFailed(failure: Failure, detail: string): void {
    this.pool = undefined
    if (this.#finished) return
    if (failure === 'overflow') this.fail(failure, detail)
    else attemptFailed(this, { kind: 'connectFailure' }, failure, detail)
  }

  onUpstreamData(bytes: Buffer, length: number): void {
    this.timers.quiet = 0
    this.eventMs = 0
    relayResponse(this, bytes, length)
  }

  get answerTarget(): HeadTarget {
    this.#answerTarget ??= new AnswerTarget(this)
    return this.#answerTarget
  }

  onUpstreamHead(last: boolean): void {
    this.timers.quiet = 0
    this.eventMs = 0
    relayHead(this, last)
  }

  onUpstreamBody(bytes: Buffer, from: number, end: number, last: boolean): void {
    this.timers.quiet = 0
    this.eventMs = 0
    relayStream(this, bytes, from, end, last)
  }

  onUpstreamTrailers({ head, headBytes }: HeadTarget): void {
    this.answer.takeTrailers(head, headBytes)
    this.onUpstreamBody(headBytes, 0, 0, true)
  }

  onUpstreamReset(loss: StreamLoss, detail: string): void {
    upstreamReset(this, loss, detail)
  }

  onUpstreamEnd(): void {
    upstreamEnded(this, undefined)
  }

  onUpstreamDrain(): void {
    this.downstream.resumeBody()
  }

  onUpstreamGone(error: Error | undefined): void {
    upstreamEnded(this, error ?? new Error('closed'))
  }

  /** The client took what waited for it. */
  onDownstreamDrain(): void {
    if (this.coding === undefined) this.connection?.resumeBody()
    else this.coding.resume()
  }

  // How it ends.

  /** The client is gone, or broke off its request. */
  downstreamGone(detail: string): void {
    if (this.#finished) return
    this.failure = 'clientGone'
    this.detail = detail
    this.dropUpstream()
    this.#end(false)
  }

  /** Answers with what `failure` stands for, or cuts the answer that has begun. */
  fail(failure: Failure, detail: string): void {
    if (this.#finished) return
    this.failure = failure
    this.detail = detail
    if (this.answered) {
      this.dropUpstream()
      const { downstream } = this
      this.#end(false)
      downstream.abort()
      return
    }
    this.reply(failureReply(this, failure))
  }

  /** Answers without an upstream. */
  reply(reply: LocalReply): void {
    if (!this.#finished) replyLocally(this, reply)
  }

  closesAfterwards(): boolean {
    return this.head.connectionClose || this.head.minor === 0 || this.downstream.draining
  }

  /** Ends after a complete answer. */
  finish(): void {
    if (this.#finished) return
    const { downstream } = this
    const keepAlive = !this.mustClose && this.request.done
    this.#end(true)
    downstream.exchangeDone(keepAlive, this.endedMs)
  }

  #end(complete: boolean): void {
    this.#finished = true
    for (const tell of this.watchers) tell(complete)
    const known = this.eventMs !== 0 && this.failure === undefined
    this.endedMs = known ? this.eventMs : this.deps.clock.monotonicMs()
    this.timers.disarm()
    this.logFlush?.stop()
    this.race?.cancel()
    this.coding?.close()
    this.coding = undefined
    this.releaseHost()
    this.#releaseCluster()
    this.runtime.observer.onExchangeEnd(this.view)
    this.#shrink()
    this.#spares.giveBack(this, complete && this.#isPlain())
  }

  /** Nobody can hold it any more: one that was cut, repeated or waited may still be called. */
  #isPlain(): boolean {
    const { failure, pool, cancelWait, race } = this
    const isHeld = (failure ?? pool ?? cancelWait ?? race) !== undefined
    return !isHeld && this.attempts <= 1 && this.request.done
  }

  get finished(): boolean {
    return this.#finished
  }

  /** False: too many requests are under way there. */
  admit(cluster: UpstreamCluster): boolean {
    this.cluster = cluster
    this.#admitted = cluster.limits.admitRequest()
    return this.#admitted
  }

  /** One more attempt at what an upstream may have seen; false: that would be too many. */
  admitRetry(): boolean {
    if (this.cluster?.limits.admitRetry() !== true) return false
    this.#admittedRetries++
    return true
  }

  /** The answer is there: nothing is being repeated any more. */
  releaseRetries(): void {
    for (; this.#admittedRetries > 0; this.#admittedRetries--) {
      this.cluster?.limits.release('retries')
    }
  }

  #releaseCluster(): void {
    if (this.#admitted) this.cluster?.limits.release('requests')
    this.#admitted = false
    this.releaseRetries()
  }

  useHost(host: Host): void {
    this.releaseHost()
    this.host = host
    host.activeRequests++
    this.#hostInUse = true
  }

  #hostInUse = false

  releaseHost(): void {
    if (this.#hostInUse && this.host !== undefined) this.host.activeRequests--
    this.#hostInUse = false
  }

  /** Gives up the connection: what it carries is not finished. */
  dropConnection(): void {
    const { connection, pool } = this
    this.connection = undefined
    this.sending = false
    this.request.chunkedOut = false
    if (connection !== undefined) connection.discard()
    if (pool !== undefined) pool.abandon(this)
    this.pool = undefined
  }

  dropUpstream(): void {
    this.race?.cancel()
    this.cancelWait?.()
    this.cancelWait = undefined
    this.dropConnection()
  }

  /** The request id, if it was made here. */
  madeRequestId(): string | undefined {
    return this.#requestId.text
  }
}
