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
 * This file holds what an exchange knows, how its body flows and how it ends; the
 * steps are in `route-request.ts`, `attempt.ts` and `relay-response.ts`.
 */
import type { VirtualHost } from '@weft/model'
import type { CompiledForward, CompiledRoute, CompiledTarget, Host } from '@weft/traffic'
import { type HeadTarget, MessageHead, OutBuffer } from '@weft/wire'
import type { UpstreamCluster } from '../upstream/cluster.ts'
import type { HttpPool } from '../upstream/pool.ts'
import type { UpstreamSide, UpstreamUser } from '../upstream/upstream-user.ts'
import { AnswerTarget } from './answer-target.ts'
import { attemptFailed, sendRequest } from './attempt.ts'
import { BodyRelay } from './body-relay.ts'
import type { ClientSide } from './client-side.ts'
import type { EngineDeps, HttpRuntime } from './contract.ts'
import type { EncodedHeaders } from './encoded-headers.ts'
import type { ExchangePool } from './exchange-pool.ts'
import { ExchangeTimers, type TimeoutHandler } from './exchange-timers.ts'
import { ExchangeView } from './exchange-view.ts'
import { type Failure, failureStatus, failureText } from './failures.ts'
import { asGrpcReply, isGrpc } from './grpc.ts'
import { httpDate } from './http-date.ts'
import {
  relayHead,
  relayResponse,
  relayStream,
  upstreamEnded,
  upstreamReset,
} from './relay-response.ts'
import { RequestId } from './request-id.ts'
import { roomFor } from './room-for.ts'
import { out } from './shared-out.ts'
import type { RequestPlan } from './write-request.ts'
import { type LocalReply, type ResponsePlan, writeLocalReply } from './write-response.ts'

/** Of a request's body that is kept for another attempt, or until there is a connection. */
const MAX_HELD_BYTES = 65_536
/** A body of more than this is worth a buffer of its own. */
const BULK_BYTES = 65_536
/** What is read and thrown away after an early answer to keep the connection. */
const MAX_DRAINED_BYTES = 65_536
const MAX_KEPT_BUFFER_BYTES = 16_384
const INITIAL_HEAD_BYTES = 2_048
const NO_COOKIES: readonly string[] = []

export class Exchange implements UpstreamUser, TimeoutHandler {
  readonly deps: EngineDeps
  readonly #spares: ExchangePool
  readonly view: ExchangeView
  downstream: ClientSide
  runtime: HttpRuntime

  readonly head = new MessageHead()
  headBytes: Buffer = Buffer.allocUnsafeSlow(INITIAL_HEAD_BYTES)
  headLength = 0
  authority = ''
  canonicalPath: string | undefined
  readonly request = new BodyRelay()
  /** The body's data so far, as long as it is all there. */
  held = new OutBuffer(0)
  replayable = true
  /** The head went to `connection`: body bytes follow at once. */
  sending = false
  /** The answer does not depend on the rest of the body any more. */
  discarding = false

  readonly response = new MessageHead()
  responseBytes: Buffer = Buffer.allocUnsafeSlow(INITIAL_HEAD_BYTES)
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
  attempts = 0
  tried: Set<Host> | undefined
  hash: number | undefined
  filterHeaders: EncodedHeaders | undefined
  /** `set-cookie` values of hash policies. */
  cookies: readonly string[] = NO_COOKIES
  upgrade = false
  readonly plan: RequestPlan
  readonly answerPlan: ResponsePlan

  readonly timers: ExchangeTimers
  /** Gives up whatever the exchange waits for beside a connection. */
  cancelWait: (() => void) | undefined

  startedMs = 0
  sentMs = 0
  firstByteMs = -1
  endedMs = 0
  status = 0
  failure: Failure | undefined
  detail = ''
  delayed = false
  retriesExhausted = false
  readonly #requestId = new RequestId()
  /** Clock time of the event at hand when it was read already, else 0. */
  eventMs = 0
  responseBodyBytes = 0
  #admitted = false
  admittedRetries = 0
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
    this.plan = {
      head: this.head,
      bytes: this.headBytes,
      view: this.view,
      path: undefined,
      authority: undefined,
      upgrade: false,
      multiplexed: false,
      grpcTimeoutMs: 0,
      chunked: false,
      edge: false,
      trustedHops: 0,
      attempts: 1,
      timeoutMs: 0,
      generateId: false,
      route: undefined,
      stamps: undefined,
      id: this.#requestId,
    }
    this.answerPlan = {
      head: this.response,
      bytes: this.responseBytes,
      view: this.view,
      close: false,
      chunked: false,
      dropLength: false,
      upgrade: false,
      accept: undefined,
      serviceTimeMs: 0,
      route: undefined,
      stamps: undefined,
      filters: undefined,
    }
  }

  get requestBytes(): number {
    return this.request.bytes
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
    this.attempts = 0
    this.tried = undefined
    this.hash = undefined
    this.filterHeaders = undefined
    this.cookies = NO_COOKIES
    this.upgrade = false
    this.timers.reset()
    this.sentMs = 0
    this.eventMs = 0
    this.firstByteMs = -1
    this.status = 0
    this.failure = undefined
    this.detail = ''
    this.delayed = false
    this.retriesExhausted = false
    this.#requestId.reset()
    this.responseBodyBytes = 0
    this.request.start('none', 0, false)
    this.#finished = false
  }

  /** Lets go of memory that only an unusual request needed. */
  #shrink(): void {
    if (this.headBytes.length > MAX_KEPT_BUFFER_BYTES) {
      this.headBytes = Buffer.allocUnsafeSlow(INITIAL_HEAD_BYTES)
    }
    if (this.responseBytes.length > MAX_KEPT_BUFFER_BYTES) {
      this.responseBytes = Buffer.allocUnsafeSlow(INITIAL_HEAD_BYTES)
    }
    if (this.held.bytes.length > MAX_KEPT_BUFFER_BYTES) this.held = new OutBuffer(0)
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
    this.timers.quiet = 0
    const { request } = this
    let at: number
    if (this.discarding) at = request.relay(bytes, from, end, undefined)
    else if (!this.sending) at = this.#holdBody(bytes, from, end)
    else at = this.#sendBody(bytes, from, end)
    if (at >= 0 && request.done) this.#requestDone()
    return at
  }

  #holdBody(bytes: Buffer, from: number, end: number): number {
    const at = this.request.relay(bytes, from, end, this.held)
    if (this.held.length > MAX_HELD_BYTES && !this.request.done) this.downstream.pauseBody()
    return at
  }

  #sendBody(bytes: Buffer, from: number, end: number): number {
    const { request, connection, downstream } = this
    if (connection === undefined) return end
    if (bytes.length > BULK_BYTES && request.framing === 'fixed' && !this.replayable) {
      const to = Math.min(end, from + request.left)
      request.took(to - from)
      const taken = connection.sendBulk(bytes.subarray(from, to), request.done)
      if (!taken && !request.done) downstream.pauseBody()
      if (request.done) downstream.bulkBody(false)
      return to
    }
    out.clear()
    const at = this.replayable
      ? this.#keepAndFrame(bytes, from, end)
      : request.relay(bytes, from, end, out)
    if (at < 0) return at
    if (!connection.send(0, request.done, request.trailers) && !request.done) downstream.pauseBody()
    if (request.framing === 'fixed' && request.left > BULK_BYTES) downstream.bulkBody(true)
    return at
  }

  /** Keeps what is about to be sent for another attempt, while it is little. */
  #keepAndFrame(bytes: Buffer, from: number, end: number): number {
    const { held, request } = this
    const before = held.length
    const { chunkedOut } = request
    request.chunkedOut = false
    const at = request.relay(bytes, from, end, held)
    request.chunkedOut = chunkedOut
    if (at < 0) return at
    request.append(held.bytes, before, held.length, out)
    if (request.done) request.appendEnd(out)
    if (held.length > MAX_HELD_BYTES) {
      this.replayable = false
      held.clear()
    }
    return at
  }

  #requestDone(): void {
    if (this.timers.requestMs > 0 && !this.answered) {
      this.timers.requestDone(this.deps.clock.monotonicMs())
    }
    if (this.discarding) this.finish()
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
    const detail = `no answer within ${this.timers.perTryMs} ms`
    this.dropConnection()
    attemptFailed(this, { kind: 'perTryTimeout' }, 'perTryTimeout', detail)
  }

  onIdleTimeout(): void {
    const failure = this.request.done ? 'requestTimeout' : 'streamIdle'
    this.fail(failure, `no byte either way for ${this.timers.idleMs} ms`)
  }

  // What the upstream connection reports.

  onUpstreamReady(connection: UpstreamSide): void {
    this.pool = undefined
    this.connection = connection
    sendRequest(this, connection)
  }

  onUpstreamFailed(failure: Failure, detail: string): void {
    this.pool = undefined
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

  onUpstreamReset(refused: boolean, detail: string): void {
    upstreamReset(this, refused, detail)
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
    this.connection?.resumeBody()
  }

  // How it ends.

  /** The client is gone, or broke off its request. */
  downstreamGone(detail: string): void {
    if (this.#finished) return
    this.failure = 'clientGone'
    this.detail = detail
    this.dropUpstream()
    this.#end()
  }

  /** Answers with what `failure` stands for, or cuts the answer that has begun. */
  fail(failure: Failure, detail: string): void {
    if (this.#finished) return
    this.failure = failure
    this.detail = detail
    if (this.answered) {
      this.dropUpstream()
      const { downstream } = this
      this.#end()
      downstream.abort()
      return
    }
    const headers =
      failure === 'overflow'
        ? ([
            ['x-envoy-overloaded', 'true'],
            ['x-weft-overloaded', 'true'],
          ] as const)
        : []
    this.reply({ status: failureStatus(failure), body: `${failureText(failure)}\n`, headers })
  }

  /** Answers without an upstream. */
  reply(asHttp: LocalReply): void {
    if (this.#finished) return
    const reply = isGrpc(this.view.requestHeader('content-type')) ? asGrpcReply(asHttp) : asHttp
    this.localGrpcStatus = reply.headers?.find(([name]) => name === 'grpc-status')?.[1]
    this.dropUpstream()
    this.status = reply.status
    this.answered = true
    const { request, head } = this
    const drains =
      request.framing === 'fixed' && request.left <= MAX_DRAINED_BYTES && !head.expectsContinue
    this.mustClose ||= this.closesAfterwards() || !(request.done || drains)
    if (head.form === 'authority' || reply.status === 408) this.mustClose = true
    out.clear()
    const bodyBytes = writeLocalReply(
      reply,
      {
        close: this.mustClose,
        withBody: this.view.method !== 'HEAD',
        date: httpDate(this.deps.clock),
        view: this.view,
        ops: this.filterHeaders,
        stamps: undefined,
      },
      out,
    )
    this.responseBodyBytes = bodyBytes
    this.downstream.send(out.length - bodyBytes, true, undefined)
    if (request.done || this.mustClose || this.downstream.multiplexed) this.finish()
    else {
      this.discarding = true
      this.downstream.resumeBody()
    }
  }

  closesAfterwards(): boolean {
    return this.head.connectionClose || this.head.minor === 0 || this.downstream.draining
  }

  /** Ends after a complete answer. */
  finish(): void {
    if (this.#finished) return
    const { downstream } = this
    const keepAlive = !this.mustClose && this.request.done
    this.#end()
    downstream.exchangeDone(keepAlive, this.endedMs)
  }

  #end(): void {
    this.#finished = true
    const known = this.eventMs !== 0 && this.failure === undefined
    this.endedMs = known ? this.eventMs : this.deps.clock.monotonicMs()
    this.timers.disarm()
    this.releaseHost()
    this.#releaseCluster()
    this.runtime.observer.onExchangeEnd(this.view)
    this.#shrink()
    this.#spares.giveBack(this)
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

  #releaseCluster(): void {
    const limits = this.cluster?.limits
    if (limits === undefined) return
    if (this.#admitted) limits.release('requests')
    this.#admitted = false
    for (; this.admittedRetries > 0; this.admittedRetries--) limits.release('retries')
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
    this.cancelWait?.()
    this.cancelWait = undefined
    this.dropConnection()
  }

  /** The request id, if it was made here. */
  madeRequestId(): string | undefined {
    return this.#requestId.text
  }

  clientHost(): string {
    return this.downstream.remoteAddress.host
  }
}
