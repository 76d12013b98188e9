/**
 * Frames between two legs. A request gets a verdict once; from then on each frame costs a map
 * lookup, a step of the automaton, four bytes and a copy into the other leg's outbox. Data is
 * never looked at.
 *
 *     requester ──REQUEST_*──► verdict ──► responder
 *               ◄──PAYLOAD, ERROR, CANCEL── stream id rewritten
 *               ──REQUEST_N──► absorbed: credit is granted in small windows (CreditWindow)
 */
import { CreditWindow } from '@weft/traffic'
import {
  FRAME_FLAG,
  FRAME_TYPE,
  type FrameView,
  type Interaction,
  isStreamOver,
  RESPONDER_GONE,
  RSOCKET_ERROR,
  renderCancel,
  renderPayload,
  STEP_DROP,
  STEP_ITEM,
  stateOf,
  stepStream,
  UNBOUNDED_REQUEST_N,
} from '@weft/wire'
import { inAlibabaWords } from './alibaba-dialect.ts'
import { beginWatch, hand, isPaused, leave, outcomeOfError, outcomeOfLoss } from './attempt.ts'
import { countItem, grantWhenUsed, onRequestN } from './credit-flow.ts'
import type { FilterStage } from './filters/filter-stage.ts'
import { viewOf } from './filters/frames.ts'
import { fragmentProblem, requestPartAfter } from './fragments.ts'
import { GatheredMetadata } from './gathered-metadata.ts'
import { forHttp } from './http-only.ts'
import { Leg } from './leg.ts'
import { type RequestCall, readRequestCall, type ServiceHashes } from './request-call.ts'
import { readInitialN, writeInitialN, writeStreamId } from './rewrite.ts'
import type { ForwardVerdict, MessageChanges, Refusal, Router, RouteVerdict } from './router.ts'
import { openEntry, type StreamEntry } from './stream-entry.ts'
import { NOBODY, Tries } from './tries.ts'

/** Requests up to this size can go to another responder when the first one did not take them. */
const MAX_HELD_BYTES = 65_536
/** Weight of the newest answer in a leg's latency. */
const RECENT = 0.2

const NONE: readonly Leg[] = []
export class Forwarder {
  readonly #router: Router
  readonly #hashes: ServiceHashes
  readonly #tries = new Tries({
    end: (entry, refusal) => this.#end(entry, refusal),
    onTimeout: (entry) => this.#onTimeout(entry),
  })

  readonly #filters: FilterStage | undefined

  constructor(router: Router, hashes: ServiceHashes, filters?: FilterStage) {
    this.#router = router
    this.#hashes = hashes
    this.#filters = filters
  }

  /** Of verdicts that are kept. */
  get #version(): number {
    return this.#router.version + (this.#filters?.version ?? 0)
  }

  onRequest(leg: Leg, view: FrameView, interaction: Interaction): void {
    const { counters, limits } = leg.owner
    counters.requests++
    leg.grant?.onRequest(leg.owner.nowMs)
    const counted = interaction === 'stream' || interaction === 'channel'
    if (counted && (view.number === 0 || view.number > UNBOUNDED_REQUEST_N)) {
      this.#refuse(leg, view.streamId, interaction, RSOCKET_ERROR.invalid, 'request n must be > 0')
      return
    }
    if (leg.draining || leg.streams.size >= limits.maxStreams) {
      const why = leg.draining ? 'WEFT-503 draining' : 'WEFT-429 too many open streams'
      this.#refuse(leg, view.streamId, interaction, RSOCKET_ERROR.rejected, why)
      return
    }
    const entry = openEntry(leg, view, interaction)
    if (GatheredMetadata.isNeeded(view)) {
      entry.gathered = new GatheredMetadata(limits.maxMetadataBytes)
      leg.streams.set(view.streamId, entry)
      const why = entry.gathered.add(view)
      if (why === undefined) this.#park(entry, view)
      else this.#giveUp(entry, RSOCKET_ERROR.invalid, why)
      return
    }
    const known = leg.verdicts.find(view, this.#version)
    if (known !== undefined) {
      this.#forward(entry, known, view.bytes, view.from, view.to)
      return
    }
    const call = this.#read(leg, interaction, view.bytes, view.metadataFrom, view.metadataTo)
    if (typeof call === 'string') {
      this.#refuse(leg, view.streamId, interaction, RSOCKET_ERROR.invalid, call)
      return
    }
    const verdict = this.#route(entry, call, view)
    if (!(verdict instanceof Promise) && verdict.kind === 'forward' && verdict.isLasting) {
      leg.verdicts.keep(view, verdict, this.#version)
    }
    if (verdict instanceof Promise) {
      leg.streams.set(view.streamId, entry)
      if (this.#park(entry, view)) this.#await(entry, verdict)
    } else this.#obey(entry, verdict, view.bytes, view.from, view.to)
  }

  /** A request whose way another broker has decided; it was looked at there. */
  deliver(leg: Leg, view: FrameView, interaction: Interaction, verdict: RouteVerdict): void {
    const entry = openEntry(leg, view, interaction)
    this.#obey(entry, verdict, view.bytes, view.from, view.to)
  }

  #read(
    leg: Leg,
    interaction: Interaction,
    bytes: Uint8Array,
    from: number,
    to: number,
  ): RequestCall | string {
    if (to - from > leg.owner.limits.maxMetadataBytes) return 'the metadata is too long'
    const { metadataForm, isAlibaba } = leg.facts
    const hashes = isAlibaba ? this.#hashes : undefined
    return readRequestCall(interaction, bytes, from, to, metadataForm, hashes)
  }

  /** By way of the filters that want to see the stream. */
  #route(
    entry: StreamEntry,
    call: RequestCall,
    view: FrameView,
    gathered?: Uint8Array,
  ): RouteVerdict | Promise<RouteVerdict> {
    const { requester } = entry
    const whole = requester.facts.router ?? this.#router
    const router = call.isHttp ? forHttp(whole) : whole
    entry.filter = this.#filters?.begin(entry, call)
    return entry.filter === undefined
      ? router.route(requester, call)
      : entry.filter.route(router, call, view, gathered)
  }

  #await(entry: StreamEntry, verdict: Promise<RouteVerdict>): void {
    verdict.then(
      (found) => this.#unpark(entry, found),
      (error: unknown) =>
        this.#unpark(entry, {
          kind: 'refuse',
          code: RSOCKET_ERROR.rejected,
          message: `WEFT-503 ${String(error)}`,
        }),
    )
  }

  /** Keeps a frame until there is a verdict. False: it was too much, and the request is over. */
  #park(entry: StreamEntry, view: FrameView): boolean {
    const { requester } = entry
    const frame = Buffer.from(view.bytes.subarray(view.from, view.to))
    entry.parked ??= []
    entry.parked.push(frame)
    requester.parkedBytes += frame.length
    if (requester.parkedBytes <= requester.owner.limits.maxParkedBytes) return true
    this.#giveUp(entry, RSOCKET_ERROR.rejected, 'WEFT-429 too many bytes wait for a verdict')
    return false
  }

  #unpark(entry: StreamEntry, verdict: RouteVerdict): void {
    const { parked, requester, requesterId } = entry
    if (parked === undefined || requester.closed) return
    if (requester.streams.get(requesterId) !== entry) return
    this.#forgetParked(entry)
    const [first, ...rest] = entry.filter?.arrange(parked) ?? parked
    if (first === undefined) return
    // What waited is looked at once more, from its beginning.
    entry.requestPart = requestPartAfter(viewOf(first))
    this.#obey(entry, verdict, first, 0, first.length)
    for (const frame of rest) if (!requester.closed) requester.onFrame(frame, 0, frame.length)
  }

  #forgetParked(entry: StreamEntry): void {
    for (const frame of entry.parked ?? []) entry.requester.parkedBytes -= frame.length
    entry.parked = undefined
    entry.gathered = undefined
  }

  /** Carries a verdict out; the request is `bytes[from..to)`. */
  #obey(
    entry: StreamEntry,
    verdict: RouteVerdict,
    bytes: Uint8Array,
    from: number,
    to: number,
  ): void {
    if (verdict.kind === 'forward') this.#forward(entry, verdict, bytes, from, to)
    else if (verdict.kind === 'refuse') this.#giveUp(entry, verdict.code, verdict.message)
    else {
      const flags = FRAME_FLAG.next | FRAME_FLAG.complete
      entry.requester.streams.delete(entry.requesterId)
      entry.filter?.end(0)
      if (entry.interaction === 'fnf') return
      entry.requester.sendFrame(renderPayload(entry.requesterId, verdict, flags))
    }
  }

  #forward(
    entry: StreamEntry,
    verdict: ForwardVerdict,
    bytes: Uint8Array,
    from: number,
    to: number,
  ): void {
    entry.observer = verdict.observer
    const watch = verdict.watch?.()
    const responder = watch === undefined ? verdict.pick(NONE) : beginWatch(entry, watch)
    if (!(responder instanceof Leg)) {
      this.#end(entry, responder ?? NOBODY)
      return
    }
    const { changes } = verdict
    if (changes !== undefined) {
      const changed = changedRequest(changes, bytes.subarray(from, to))
      if (changed === undefined) {
        this.#giveUp(entry, RSOCKET_ERROR.invalid, 'WEFT-400 the head of the request is in pieces')
        return
      }
      entry.changes = changes.answer === undefined ? undefined : changes
      entry.awaitsAnswer = entry.changes !== undefined
      this.#send(entry, verdict, responder, changed, 0, changed.length)
    } else this.#send(entry, verdict, responder, bytes, from, to)
  }

  #send(
    entry: StreamEntry,
    verdict: ForwardVerdict,
    responder: Leg,
    bytes: Uint8Array,
    from: number,
    to: number,
  ): void {
    const { interaction, requester } = entry
    entry.requestBytes = to - from
    if (interaction === 'stream' || interaction === 'channel') {
      entry.toRequester = new CreditWindow()
      entry.toRequester.ask(readInitialN(bytes, from))
      writeInitialN(bytes, from, entry.toRequester.grant())
      if (interaction === 'channel') entry.toResponder = new CreditWindow()
    }
    const isWhole = ((bytes[from + 5] as number) & FRAME_FLAG.follows) === 0
    if (
      verdict.retries > 0 &&
      isWhole &&
      interaction !== 'channel' &&
      to - from <= MAX_HELD_BYTES
    ) {
      entry.held = Buffer.from(bytes.subarray(from, to))
      entry.retriesLeft = verdict.retries
      entry.pickAgain = verdict.pick
    }
    hand(entry, responder, bytes, from, to)
    if (entry.watch !== undefined) this.#tries.begin(entry, entry.watch)
    if (isStreamOver(entry.state)) {
      this.#finish(entry, 0)
      return
    }
    requester.streams.set(entry.requesterId, entry)
    if (verdict.timeoutMs === undefined) return
    entry.onTimeout = (late) => this.#onTimeout(late)
    requester.owner.wheel.arm(entry, verdict.timeoutMs, requester.owner.nowMs)
  }

  onFrame(leg: Leg, entry: StreamEntry, view: FrameView): void {
    const { responder } = entry
    if (responder === undefined) {
      this.#onEarlyFrame(entry, view)
      return
    }
    if (entry.filter?.takes(this, leg, view) === true) return
    const fromRequester = leg === entry.requester && view.streamId === entry.requesterId
    const { type, flags } = view
    const step = stepStream(entry.interaction, entry.state, fromRequester, type, flags)
    if ((step & STEP_DROP) !== 0) return
    const problem = fragmentProblem(entry, view, fromRequester)
    if (problem !== undefined) {
      this.breakOff(entry, RSOCKET_ERROR.invalid, problem)
      return
    }
    if (type === FRAME_TYPE.requestN) {
      onRequestN(entry, fromRequester, view.number)
      return
    }
    if (type === FRAME_TYPE.error && !fromRequester) {
      if (this.#tries.again(entry, outcomeOfError(entry, view.number))) return
    }
    if (entry.awaitsAnswer && type === FRAME_TYPE.payload && !fromRequester) {
      this.#onFirstAnswer(leg, entry, view)
      return
    }
    if (type === FRAME_TYPE.payload && !countItem(entry, fromRequester, view, step)) {
      entry.requester.owner.counters.overruns++
      this.breakOff(entry, RSOCKET_ERROR.invalid, 'more items than asked for')
      return
    }
    entry.state = stateOf(step)
    const to = fromRequester ? responder : entry.requester
    writeStreamId(view.bytes, view.from, fromRequester ? entry.responderId : entry.requesterId)
    to.send(view.bytes, view.from, view.to)
    if (isStreamOver(entry.state)) {
      this.#finish(entry, endOf(type, view.number))
      return
    }
    if ((step & STEP_ITEM) !== 0) grantWhenUsed(entry, fromRequester)
  }

  /** The first frame of an answer that somebody wants to see. */
  #onFirstAnswer(leg: Leg, entry: StreamEntry, view: FrameView): void {
    const { changes, watch, responder, responderId } = entry
    entry.awaitsAnswer = false
    if (watch !== undefined) {
      entry.timer?.disarm()
      if (this.#tries.follow(entry, watch, watch.onAnswer(view, entry.held !== undefined))) {
        if ((view.flags & FRAME_FLAG.complete) === 0)
          responder?.sendFrame(renderCancel(responderId))
        return
      }
    }
    entry.changes = undefined
    const said = changes?.answer?.(view)
    if (said === undefined) this.onFrame(leg, entry, view)
    else leg.onFrame(said, 0, said.length)
  }

  /** The stream has no verdict yet, or its metadata is not whole. */
  #onEarlyFrame(entry: StreamEntry, view: FrameView): void {
    const { requester, gathered } = entry
    if (isPaused(entry)) {
      if (view.type === FRAME_TYPE.cancel) this.#finish(entry, RSOCKET_ERROR.canceled)
      else if (view.type === FRAME_TYPE.requestN) onRequestN(entry, true, view.number)
      return
    }
    if (view.type === FRAME_TYPE.cancel) {
      this.#forgetParked(entry)
      requester.streams.delete(entry.requesterId)
      entry.filter?.onEarlyCancel()
      return
    }
    const problem = fragmentProblem(entry, view, true)
    if (problem !== undefined) {
      this.#giveUp(entry, RSOCKET_ERROR.invalid, problem)
      return
    }
    if (!this.#park(entry, view)) return
    if (gathered === undefined) entry.filter?.onParked(view)
    if (gathered === undefined || view.type !== FRAME_TYPE.payload) return
    const why = gathered.add(view)
    if (why !== undefined) this.#giveUp(entry, RSOCKET_ERROR.invalid, why)
    if (why !== undefined || !gathered.isWhole) return
    entry.gathered = undefined
    const { bytes } = gathered
    const call = this.#read(requester, entry.interaction, bytes, 0, bytes.length)
    if (typeof call === 'string') this.#giveUp(entry, RSOCKET_ERROR.invalid, call)
    else {
      const verdict = this.#route(entry, call, view, bytes)
      if (verdict instanceof Promise) this.#await(entry, verdict)
      else this.#unpark(entry, verdict)
    }
  }

  // Ends

  #refuse(leg: Leg, id: number, interaction: Interaction, code: number, message: string): void {
    const { counters } = leg.owner
    counters.refusedRequests++
    if (interaction === 'fnf') counters.droppedRequests++
    else if (leg.facts.isAlibaba) {
      const said = inAlibabaWords(code, message)
      leg.sendError(id, said.code, said.message)
    } else leg.sendError(id, code, message)
  }

  /** Ends a request that no responder has. */
  #giveUp(entry: StreamEntry, code: number, message: string): void {
    this.#forgetParked(entry)
    this.#refuse(entry.requester, entry.requesterId, entry.interaction, code, message)
    this.#finish(entry, code)
  }

  /** The same with what a rule says of it. */
  #end(entry: StreamEntry, refusal: Refusal): void {
    const { requester, requesterId } = entry
    const { code, message, answer } = refusal
    entry.refusal = refusal
    if (answer === undefined || entry.interaction === 'fnf') {
      this.#giveUp(entry, code, message)
      return
    }
    requester.owner.counters.refusedRequests++
    requester.sendFrame(renderPayload(requesterId, answer, FRAME_FLAG.next | FRAME_FLAG.complete))
    this.#finish(entry, code)
  }

  #finish(entry: StreamEntry, code: number): void {
    const { requester, responder, interaction } = entry
    if (requester.streams.get(entry.requesterId) === entry) {
      requester.streams.delete(entry.requesterId)
    }
    requester.waiting.delete(entry)
    leave(entry)
    const { owner } = requester
    if (entry.deadlineTick !== 0) owner.wheel.disarm(entry)
    if (interaction === 'rr' && code === 0 && responder !== undefined) {
      const tookMs = owner.nowMs - entry.startedAtMs
      responder.latencyMs += (tookMs - responder.latencyMs) * RECENT
    }
    entry.held = undefined
    if (entry.watch !== undefined) {
      entry.timer?.disarm()
      entry.watch.onEnd(entry)
    }
    entry.observer?.onEnd(entry, code)
    entry.filter?.end(code)
  }

  #onTimeout(entry: StreamEntry): void {
    entry.requester.owner.counters.timedOutRequests++
    entry.timedOut = true
    if (entry.awaitsAnswer) entry.watch?.onFailure({ kind: 'perTryTimeout' }, false)
    this.breakOff(entry, RSOCKET_ERROR.canceled, 'WEFT-504 timeout')
  }

  /** Ends a stream that a responder has: both sides are told. */
  breakOff(entry: StreamEntry, code: number, message: string): void {
    const { requester, requesterId, responder, responderId, interaction } = entry
    responder?.sendFrame(renderCancel(responderId))
    if (interaction !== 'fnf') requester.sendError(requesterId, code, message)
    this.#finish(entry, code)
  }

  /** Ends everything that a leg has asked for and still waits for: the broker goes. */
  endRequests(leg: Leg, message: string): void {
    for (const [id, entry] of [...leg.streams]) {
      if (entry.requester !== leg || entry.requesterId !== id) continue
      if (entry.responder === undefined && !isPaused(entry)) {
        this.#giveUp(entry, RSOCKET_ERROR.rejected, message)
      } else this.breakOff(entry, RSOCKET_ERROR.canceled, message)
    }
  }

  /** What ran over a connection that is gone. */
  onLegGone(leg: Leg): void {
    for (const [id, entry] of [...leg.streams]) {
      const isRequester = entry.requester === leg && entry.requesterId === id
      if (isRequester) this.#onRequesterGone(entry)
      else this.#onResponderGone(entry)
    }
    leg.streams.clear()
    leg.waiting.clear()
  }

  #onRequesterGone(entry: StreamEntry): void {
    this.#forgetParked(entry)
    entry.responder?.sendFrame(renderCancel(entry.responderId))
    if (entry.responder !== undefined || isPaused(entry)) {
      this.#finish(entry, RSOCKET_ERROR.canceled)
    } else entry.filter?.onEarlyCancel()
  }

  #onResponderGone(entry: StreamEntry): void {
    const { wasHanded } = entry
    if (this.#tries.again(entry, outcomeOfLoss(entry))) return
    const code = wasHanded ? RSOCKET_ERROR.canceled : RSOCKET_ERROR.rejected
    const why = wasHanded ? RESPONDER_GONE : 'WEFT-503 the responder is gone'
    if (entry.interaction !== 'fnf') entry.requester.sendError(entry.requesterId, code, why)
    this.#finish(entry, code)
  }
}

/** 0 for a good end. */
function endOf(type: number, code: number): number {
  if (type === FRAME_TYPE.error) return code
  return type === FRAME_TYPE.cancel ? RSOCKET_ERROR.canceled : 0
}

/** The request as it leaves, and a copy of it for who wants one. */
function changedRequest(changes: MessageChanges, frame: Uint8Array): Uint8Array | undefined {
  const changed = changes.request === undefined ? frame : changes.request(frame)
  if (changed !== undefined) changes.copy?.(changed)
  return changed
}
