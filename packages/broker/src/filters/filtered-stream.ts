/**
 * One stream that filters look at. Its request passes them before it is routed; what comes after
 * passes them before the forwarder sees it, so that routes, credit, repeats and limits act on
 * what the filters let through.
 *
 *     request ─► onRequest, in chain order ─► router ─► responder
 *     items   ─► ItemLane (both directions) ─► forwarder
 */
import {
  FRAME_FLAG,
  FRAME_TYPE,
  FrameView,
  openStream,
  RSOCKET_ERROR,
  readFrame,
  renderPayload,
} from '@weft/wire'
import { giveBack } from '../credit-flow.ts'
import type { Forwarder } from '../forward.ts'
import type { Leg } from '../leg.ts'
import { type RequestCall, readRequestCall, type ServiceHashes } from '../request-call.ts'
import type { RouteVerdict, Router as WholeRouter } from '../router.ts'
import type { StreamEntry } from '../stream-entry.ts'
import { ChangedRequest } from './changed-request.ts'
import type { FilterDirection, FilterRefusal, RequestVerdict, StreamFilter } from './filter.ts'
import { joinedRequest, payloadOf, viewOf, withoutPrefix, withPayload } from './frames.ts'
import { type ActiveFilter, ItemLane, judgeItem } from './item-lane.ts'
import { FAILED, type LoadedFilter } from './loaded-filter.ts'

const EMPTY = new Uint8Array(0)

type Router = Pick<WholeRouter, 'route'>

interface Parts {
  readonly entry: StreamEntry
  readonly filters: readonly ActiveFilter[]
  readonly hashes: ServiceHashes
}

/** A direction: where its frames come from, and what looks at them on the way. */
interface Side {
  readonly direction: FilterDirection
  readonly leg: Leg
  readonly id: number
  readonly lane: ItemLane
}

export class FilteredStream {
  readonly #hashes: ServiceHashes
  readonly #entry: StreamEntry
  readonly #filters: readonly ActiveFilter[]
  readonly #needsWhole: boolean
  /** Whether anybody looks at what comes after the request. */
  readonly #looksOn: boolean
  readonly #startedAtMs: number
  #request: ChangedRequest | undefined
  #forwarder: Forwarder | undefined
  #requestSide: Side | undefined
  #responseSide: Side | undefined
  #onWhole: (() => void) | undefined
  #isPassing = false
  #isOver = false
  #isCancelled = false
  #requestItems = 0
  #responseItems = 0
  #requestBytes = 0
  #responseBytes = 0

  constructor({ entry, filters, hashes }: Parts) {
    this.#hashes = hashes
    this.#entry = entry
    this.#filters = filters
    this.#startedAtMs = entry.requester.owner.nowMs
    this.#looksOn = filters.some(
      ({ hooks }) =>
        hooks.onItem !== undefined || hooks.onError !== undefined || hooks.onComplete !== undefined,
    )
    this.#needsWhole = filters.some(
      ({ loaded }) =>
        loaded.settings.needs.has('data') || loaded.settings.needs.has('request-items'),
    )
    for (const { loaded } of filters) loaded.begin()
  }

  // The request

  /**
   * Asks the filters, then the router.
   *
   * @param view The first frame, or the one that ended the metadata: the data begins in it.
   * @param gathered All metadata, when it came in pieces.
   */
  route(
    router: Router,
    call: RequestCall,
    view: FrameView,
    gathered?: Uint8Array,
  ): RouteVerdict | Promise<RouteVerdict> {
    this.#requestBytes += view.to - view.from
    const kept = Buffer.from(gathered ?? view.bytes.subarray(view.metadataFrom, view.metadataTo))
    if (!this.#needsWhole) return this.#ask(call, kept, undefined, router)
    if (!view.follows) {
      const data = Buffer.from(view.bytes.subarray(view.dataFrom, view.dataTo))
      return this.#ask(call, kept, data, router)
    }
    // The fragments are parked with the entry.
    return new Promise<void>((resolve) => {
      this.#onWhole = resolve
    }).then(() => {
      const frames = this.#entry.parked ?? []
      const data = payloadOf(viewOf(joinedRequest(wholeOf(frames).request))).data
      return this.#ask(call, kept, data, router)
    })
  }

  /** A frame of the requester came while the request waits for its verdict. */
  onParked(view: FrameView): void {
    this.#requestBytes += view.to - view.from
    if (view.type === FRAME_TYPE.payload && !view.follows) this.#onWhole?.()
  }

  /** The frames that wait, as they go on: a request that was put together is one frame. */
  arrange(parked: Buffer[]): Buffer[] {
    if (parked.length === 1 || !(this.#needsWhole || this.#request?.isChanged === true)) {
      return parked
    }
    const { request, rest } = wholeOf(parked)
    const joined = Buffer.from(joinedRequest(request))
    this.#entry.state = openStream(this.#entry.interaction, viewOf(joined).flags)
    return [joined, ...rest]
  }

  #ask(
    call: RequestCall,
    metadata: Uint8Array,
    data: Uint8Array | undefined,
    router: Router,
  ): RouteVerdict | Promise<RouteVerdict> {
    const request = new ChangedRequest(call, this.#entry.requester.metadataForm, metadata, data)
    this.#request = request
    const said = this.#askFrom(request, 0)
    return said instanceof Promise
      ? said.then((verdict) => this.#follow(verdict, call, router))
      : this.#follow(said, call, router)
  }

  #askFrom(
    request: ChangedRequest,
    from: number,
  ): RouteVerdict | undefined | Promise<RouteVerdict | undefined> {
    for (let i = from; i < this.#filters.length; i++) {
      const { loaded, hooks } = this.#filters[i] as ActiveFilter
      const said = this.#askOne(request, loaded, hooks)
      if (said instanceof Promise) {
        return said.then((value) => verdictOf(loaded, value) ?? this.#askFrom(request, i + 1))
      }
      const verdict = verdictOf(loaded, said)
      if (verdict !== undefined) return verdict
    }
    return this.#judgePayload(request)
  }

  #askOne(request: ChangedRequest, loaded: LoadedFilter, hooks: StreamFilter) {
    if (hooks.onRequest === undefined) return undefined
    const wasChanged = request.isChanged
    request.isReadOnly = loaded.settings.phase === 'observe'
    const said = loaded.call(() => hooks.onRequest?.(request))
    if (!wasChanged && request.isChanged) loaded.health.changes++
    return said
  }

  /** The request's own payload is the first item of its direction. */
  #judgePayload(
    request: ChangedRequest,
  ): RouteVerdict | undefined | Promise<RouteVerdict | undefined> {
    const filters = this.#filters.filter(({ loaded }) => loaded.settings.needs.has('request-items'))
    if (filters.length === 0) return undefined
    request.isReadOnly = false
    const { data, metadata } = request
    const outcome = judgeItem(filters, 'request', { data, metadata })
    const use = (said: Awaited<typeof outcome>): RouteVerdict | undefined => {
      if (said.kind === 'drop') return refused({ refuse: 'WEFT-403 dropped by a filter' })
      if (said.kind === 'end') return refused(said.refusal)
      const { item } = said
      if (!said.isChanged) return undefined
      request.replacePayload(item.data, item.metadata === metadata ? undefined : item.metadata)
      return undefined
    }
    return outcome instanceof Promise ? outcome.then(use) : use(outcome)
  }

  #follow(
    verdict: RouteVerdict | undefined,
    call: RequestCall,
    router: Router,
  ): RouteVerdict | Promise<RouteVerdict> {
    if (verdict !== undefined) return verdict
    if (this.#isOver) return refused({ refuse: 'WEFT-499 the caller has left' })
    const changed = this.#changedCall(call)
    if (typeof changed === 'string')
      return { kind: 'refuse', code: RSOCKET_ERROR.invalid, message: changed }
    const routed = router.route(this.#entry.requester, changed)
    return routed instanceof Promise
      ? routed.then((found) => this.#withChanges(found))
      : this.#withChanges(routed)
  }

  #changedCall(call: RequestCall): RequestCall | string {
    const request = this.#request
    if (request === undefined || !request.isMetadataChanged) return call
    const { metadata } = request
    const { requester, interaction } = this.#entry
    const { limits } = requester.owner
    if (metadata.length > limits.maxMetadataBytes) return 'the metadata is too long'
    const hashes = requester.facts.isAlibaba ? this.#hashes : undefined
    const form = requester.metadataForm
    return readRequestCall(interaction, metadata, 0, metadata.length, form, hashes)
  }

  #withChanges(verdict: RouteVerdict): RouteVerdict {
    const request = this.#request
    if (verdict.kind !== 'forward') return verdict
    if (request?.isChanged !== true) return { ...verdict, isLasting: false }
    const { changes } = verdict
    const metadata = request.isMetadataChanged ? request.metadata : undefined
    const data = request.changedData
    return {
      ...verdict,
      isLasting: false,
      changes: {
        ...changes,
        request: (frame) => {
          const changed = withPayload(frame, metadata, data)
          return changes?.request === undefined ? changed : changes.request(changed)
        },
      },
    }
  }

  // What comes after

  /** False: the frame goes on as it is, at once. */
  takes(forwarder: Forwarder, leg: Leg, view: FrameView): boolean {
    if (this.#isPassing) return false
    const { type, from, to } = view
    if (type === FRAME_TYPE.requestN) return false
    const isRequester = leg === this.#entry.requester && view.streamId === this.#entry.requesterId
    const direction = isRequester ? 'request' : 'response'
    if (type === FRAME_TYPE.cancel) {
      this.#onCancel(isRequester ? 'response' : 'request')
      return false
    }
    if (type !== FRAME_TYPE.payload && type !== FRAME_TYPE.error) return false
    const items = !view.follows && (view.flags & FRAME_FLAG.next) !== 0 ? 1 : 0
    if (isRequester) {
      this.#requestBytes += to - from
      this.#requestItems += items
    } else {
      this.#responseBytes += to - from
      this.#responseItems += items
    }
    if (!this.#looksOn) return false
    this.#forwarder = forwarder
    const { lane } = this.#side(direction, leg, view.streamId)
    if (this.#overruns(direction, lane)) return false
    return lane.take(view, this.#entry.requester.owner.limits.maxParkedBytes)
  }

  /** Another responder, after a repeat, begins anew. */
  #side(direction: FilterDirection, leg: Leg, id: number): Side {
    const known = direction === 'request' ? this.#requestSide : this.#responseSide
    if (known !== undefined && known.leg === leg && known.id === id) return known
    known?.lane.close()
    const lane: ItemLane = new ItemLane(direction, this.#filters, {
      pass: (frame) => this.#pass(side, frame),
      drop: (frame) => this.#drop(side, frame),
      breakOff: (refusal) => this.#breakOff(refusal),
    })
    const side: Side = { direction, leg, id, lane }
    if (direction === 'request') this.#requestSide = side
    else this.#responseSide = side
    return side
  }

  /** More waits here than was asked for: the forwarder ends such streams. */
  #overruns(direction: FilterDirection, { held }: ItemLane): boolean {
    if (held === 0) return false
    const { toRequester, toResponder } = this.#entry
    const credit = direction === 'request' ? toResponder : toRequester
    const isTooMuch = credit === undefined ? held > 1 : held > credit.outstanding
    if (isTooMuch)
      this.#breakOff({ refuse: 'more items than asked for', code: RSOCKET_ERROR.invalid })
    return isTooMuch
  }

  /** Its producer gets the credit back; what else the frame says is passed on. */
  #drop(side: Side, frame: Uint8Array): void {
    const { flags, streamId } = viewOf(frame)
    const { interaction } = this.#entry
    if ((flags & FRAME_FLAG.complete) !== 0 || interaction === 'rr') {
      const end = renderPayload(streamId, { data: EMPTY }, FRAME_FLAG.complete)
      this.#pass(side, withoutPrefix(end))
      return
    }
    const { leg, id, direction } = side
    if (leg.streams.get(id) === this.#entry) {
      giveBack(this.#entry, direction === 'request', frame.length)
    }
  }

  #pass({ leg, id }: Side, frame: Uint8Array): void {
    if (leg.closed || leg.streams.get(id) !== this.#entry) return
    const view = new FrameView()
    readFrame(view, frame, 0, frame.length)
    const wasPassing = this.#isPassing
    this.#isPassing = true
    try {
      this.#forwarder?.onFrame(leg, this.#entry, view)
    } finally {
      this.#isPassing = wasPassing
    }
  }

  #breakOff({ refuse, code = RSOCKET_ERROR.applicationError }: FilterRefusal): void {
    if (!this.#isOver) this.#forwarder?.breakOff(this.#entry, code, refuse)
  }

  #onCancel(direction: FilterDirection): void {
    if (direction === 'response') this.#isCancelled = true
    for (const { loaded, hooks } of this.#filters) {
      if (hooks.onCancel === undefined) continue
      loaded.tell(() => hooks.onCancel?.(direction))
    }
  }

  /** The stream is over: 0, or the code of its error. */
  end(code: number): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#requestSide?.lane.close()
    this.#responseSide?.lane.close()
    this.#tellEnd(code)
    for (const { loaded } of this.#filters) loaded.end()
  }

  #tellEnd(code: number): void {
    const { owner } = this.#entry.requester
    for (const { loaded, hooks } of this.#filters) {
      if (hooks.onEnd === undefined) continue
      const end = {
        code,
        isCancelled: this.#isCancelled,
        durationMs: owner.clock.monotonicMs() - this.#startedAtMs,
        requestItems: this.#requestItems,
        responseItems: this.#responseItems,
        requestBytes: this.#requestBytes,
        responseBytes: this.#responseBytes,
      }
      loaded.tell(() => hooks.onEnd?.(end))
    }
  }

  onEarlyCancel(): void {
    this.#onCancel('response')
    this.end(RSOCKET_ERROR.canceled)
  }
}

/** The frames of the request itself, and those behind it. */
function wholeOf(frames: readonly Buffer[]): { request: Buffer[]; rest: Buffer[] } {
  const last = frames.findIndex((frame) => !viewOf(frame).follows)
  const count = last === -1 ? frames.length : last + 1
  return { request: frames.slice(0, count), rest: frames.slice(count) }
}

function verdictOf(
  { settings, health }: LoadedFilter,
  said: RequestVerdict | undefined | typeof FAILED,
): RouteVerdict | undefined {
  if (said === undefined) return undefined
  if (said === FAILED) return refused({ refuse: `WEFT-503 the filter ${settings.name} failed` })
  if (settings.phase === 'observe') return undefined
  if ('answer' in said) {
    health.answers++
    const { data, metadata } = said.answer
    return { kind: 'answer', data, ...(metadata === undefined ? {} : { metadata }) }
  }
  health.refusals++
  return refused(said)
}

function refused({ refuse, code = RSOCKET_ERROR.rejected }: FilterRefusal): RouteVerdict {
  return { kind: 'refuse', code, message: refuse }
}
