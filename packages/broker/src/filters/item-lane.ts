/**
 * Items of one direction of one stream, on their way through filters: put together of their
 * fragments, asked one after the other, delivered in order. While a filter thinks, what follows
 * waits; its producer gets no credit for it meanwhile, so it is a window at most.
 */
import {
  FRAME_FLAG,
  FRAME_TYPE,
  type FrameView,
  RSOCKET_ERROR,
  renderError,
  renderPayload,
} from '@weft/wire'
import type { FilterDirection, FilterItem, FilterRefusal, StreamFilter } from './filter.ts'
import { viewOf, withoutPrefix } from './frames.ts'
import { FAILED, type LoadedFilter } from './loaded-filter.ts'

/** Fragments below this add next to nothing, and so many of them in one item are too many. */
const SHORT_FRAME_BYTES = 22
const MAX_SHORT_FRAGMENTS = 64

/** A filter that takes part in a stream. */
export interface ActiveFilter {
  readonly loaded: LoadedFilter
  readonly hooks: StreamFilter
}

/** What becomes of a frame. */
export interface LaneOwner {
  /** Passes a frame on, as if it had just come. */
  pass(frame: Uint8Array): void
  /** Nobody gets the item; its credit goes back. */
  drop(frame: Uint8Array): void
  /** Ends the stream: both sides are told. */
  breakOff(refusal: FilterRefusal): void
}

export type ItemOutcome =
  | { readonly kind: 'pass'; readonly item: FilterItem; readonly isChanged: boolean }
  | { readonly kind: 'drop' }
  | { readonly kind: 'end'; readonly refusal: FilterRefusal }

export class ItemLane {
  readonly #direction: FilterDirection
  /** In the order of this direction; only those that look at its items or its end. */
  readonly #filters: readonly ActiveFilter[]
  readonly #wantsItems: boolean
  readonly #owner: LaneOwner
  #fragments: Buffer[] = []
  #fragmentBytes = 0
  #shortFragments = 0
  #waiting: Buffer[] = []
  #isBusy = false
  #isOver = false
  /** Its last frame has come. */
  #isEnded = false
  /** Items that are in here. */
  held = 0

  constructor(direction: FilterDirection, filters: readonly ActiveFilter[], owner: LaneOwner) {
    this.#direction = direction
    const need = direction === 'request' ? 'request-items' : 'response-items'
    this.#wantsItems = filters.some(({ loaded }) => loaded.settings.needs.has(need))
    this.#filters = direction === 'request' ? filters : [...filters].reverse()
    this.#owner = owner
  }

  get wantsItems(): boolean {
    return this.#wantsItems
  }

  /** The stream is over: what waits is nobody's any more. */
  close(): void {
    this.#isOver = true
    this.#waiting = []
    this.#fragments = []
  }

  /**
   * Takes a PAYLOAD or an ERROR. False: the frame goes on at once.
   *
   * @param maxBytes What the fragments of one item may come to.
   */
  take(view: FrameView, maxBytes: number): boolean {
    if (this.#isOver || this.#isEnded) return true
    this.#isEnded = view.type === FRAME_TYPE.error || isLast(view)
    if (view.type === FRAME_TYPE.payload && !this.#wantsItems) {
      if (isLast(view)) this.#tellComplete()
      return false
    }
    const asksError = this.#filters.some(({ hooks }) => hooks.onError !== undefined)
    if (view.type === FRAME_TYPE.error && !asksError && !this.#isBusy) return false
    const frame = Buffer.from(view.bytes.subarray(view.from, view.to))
    if (view.follows) {
      const why = this.#gather(frame, maxBytes)
      if (why !== undefined) this.#end({ refuse: why, code: RSOCKET_ERROR.invalid })
      return true
    }
    const whole = this.#fragments.length === 0 ? frame : this.#joined(frame)
    if (this.#isBusy) {
      this.held += weightOf(whole)
      this.#waiting.push(whole)
    } else this.#begin(whole)
    return true
  }

  /** A text: it is too much. */
  #gather(frame: Buffer, maxBytes: number): string | undefined {
    this.#fragments.push(frame)
    this.#fragmentBytes += frame.length
    if (frame.length < SHORT_FRAME_BYTES) this.#shortFragments++
    if (this.#shortFragments > MAX_SHORT_FRAGMENTS) return 'fragments that add next to nothing'
    if (this.#fragmentBytes <= maxBytes) return undefined
    return `an item of more than ${maxBytes} bytes in fragments, which filters look at`
  }

  #joined(last: Buffer): Buffer {
    const frames = [...this.#fragments, last]
    this.#fragments = []
    this.#fragmentBytes = 0
    this.#shortFragments = 0
    const metadata: Uint8Array[] = []
    const data: Uint8Array[] = []
    for (const frame of frames) {
      const view = viewOf(frame)
      if (view.hasMetadata) metadata.push(frame.subarray(view.metadataFrom, view.metadataTo))
      data.push(frame.subarray(view.dataFrom, view.dataTo))
    }
    const payload = {
      data: Buffer.concat(data),
      metadata: metadata.length === 0 ? undefined : Buffer.concat(metadata),
    }
    const { streamId, flags } = viewOf(last)
    const complete = flags & FRAME_FLAG.complete
    return Buffer.from(withoutPrefix(renderPayload(streamId, payload, FRAME_FLAG.next | complete)))
  }

  #begin(frame: Buffer): void {
    const done = this.#handle(frame)
    if (done === undefined) return
    this.#isBusy = true
    this.held += weightOf(frame)
    void done.then(() => this.#next())
  }

  #next(): void {
    this.#isBusy = false
    while (!this.#isBusy && !this.#isOver) {
      const frame = this.#waiting.shift()
      if (frame === undefined) return
      this.held -= weightOf(frame)
      this.#begin(frame)
    }
  }

  /** A promise: a filter thinks. */
  #handle(frame: Buffer): Promise<void> | undefined {
    const view = viewOf(frame)
    if (view.type === FRAME_TYPE.error) return this.#handleError(frame, view)
    const hasItem = (view.flags & FRAME_FLAG.next) !== 0 || view.dataTo > view.metadataFrom
    if (!hasItem) {
      this.#deliver(frame, undefined)
      return undefined
    }
    const item = itemOf(view)
    const outcome = judgeItem(this.#filters, this.#direction, item)
    if (outcome instanceof Promise) return outcome.then((said) => this.#deliver(frame, said))
    this.#deliver(frame, outcome)
    return undefined
  }

  #deliver(frame: Buffer, outcome: ItemOutcome | undefined): void {
    if (this.#isBusy) this.held -= weightOf(frame)
    if (this.#isOver) return
    if (outcome?.kind === 'end') {
      this.#end(outcome.refusal)
      return
    }
    const view = viewOf(frame)
    const completes = isLast(view)
    if (outcome?.kind === 'drop') this.#owner.drop(frame)
    else if (outcome?.isChanged === true) this.#passChanged(view, outcome.item)
    else this.#owner.pass(frame)
    if (completes) this.#tellComplete()
  }

  #passChanged({ streamId, flags }: FrameView, item: FilterItem): void {
    try {
      const kept = flags & (FRAME_FLAG.next | FRAME_FLAG.complete)
      this.#owner.pass(withoutPrefix(renderPayload(streamId, item, kept)))
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      this.#end({ refuse: `WEFT-500 ${why}` })
    }
  }

  #handleError(frame: Buffer, view: FrameView): Promise<void> | undefined {
    const text = Buffer.from(frame.subarray(view.dataFrom, view.dataTo)).toString('utf8')
    const { streamId, number: code } = view
    const done = (said: { readonly code: number; readonly message: string }): void => {
      if (this.#isOver) return
      const isSame = said.code === code && said.message === text
      const changed = () => withoutPrefix(renderError(streamId, said.code, said.message))
      this.#owner.pass(isSame ? frame : changed())
    }
    const said = this.#judgeError({ code, message: text }, 0)
    if (said instanceof Promise) return said.then(done)
    done(said)
    return undefined
  }

  #judgeError(
    error: { readonly code: number; readonly message: string },
    from: number,
  ): typeof error | Promise<typeof error> {
    let now = error
    for (let i = from; i < this.#filters.length; i++) {
      const { loaded, hooks } = this.#filters[i] as ActiveFilter
      if (hooks.onError === undefined) continue
      const said = loaded.call(() => hooks.onError?.(now, this.#direction))
      const use = (value: Awaited<typeof said>) =>
        value === undefined || value === FAILED || loaded.settings.phase === 'observe' ? now : value
      if (said instanceof Promise) return said.then((v) => this.#judgeError(use(v), i + 1))
      now = use(said)
    }
    return now
  }

  #tellComplete(): void {
    for (const { loaded, hooks } of this.#filters) {
      if (hooks.onComplete === undefined) continue
      loaded.tell(() => hooks.onComplete?.(this.#direction))
    }
  }

  #end(refusal: FilterRefusal): void {
    this.close()
    this.#owner.breakOff(refusal)
  }
}

/** What the producer needed credit for, or should have: only its last frame may be no item. */
function weightOf(frame: Uint8Array): number {
  const { type, flags } = viewOf(frame)
  if (type !== FRAME_TYPE.payload) return 0
  return (flags & (FRAME_FLAG.next | FRAME_FLAG.complete)) === FRAME_FLAG.complete ? 0 : 1
}

function isLast(view: FrameView): boolean {
  return (view.flags & FRAME_FLAG.complete) !== 0
}

function itemOf(view: FrameView): FilterItem {
  const { bytes } = view
  return {
    data: bytes.subarray(view.dataFrom, view.dataTo),
    metadata: view.hasMetadata ? bytes.subarray(view.metadataFrom, view.metadataTo) : undefined,
  }
}

/** What the filters say of an item; undefined: nobody changes it. */
export function judgeItem(
  filters: readonly ActiveFilter[],
  direction: FilterDirection,
  first: FilterItem,
  from = 0,
  wasChanged = false,
): ItemOutcome | Promise<ItemOutcome> {
  let item = first
  let isChanged = wasChanged
  const need = direction === 'request' ? 'request-items' : 'response-items'
  for (let i = from; i < filters.length; i++) {
    const { loaded, hooks } = filters[i] as ActiveFilter
    if (hooks.onItem === undefined || !loaded.settings.needs.has(need)) continue
    const now = item
    const said = loaded.call(() => hooks.onItem?.(now, direction))
    if (said instanceof Promise) {
      return said.then((value) => {
        const step = stepOf(loaded, now, value)
        return step.kind === 'pass'
          ? judgeItem(filters, direction, step.item, i + 1, isChanged || step.isChanged)
          : step
      })
    }
    const step = stepOf(loaded, now, said)
    if (step.kind !== 'pass') return step
    item = step.item
    isChanged ||= step.isChanged
  }
  return { kind: 'pass', item, isChanged }
}

type Said = Awaited<ReturnType<NonNullable<StreamFilter['onItem']>>> | typeof FAILED

function stepOf({ settings, health }: LoadedFilter, item: FilterItem, said: Said): ItemOutcome {
  if (said === FAILED) {
    return { kind: 'end', refusal: { refuse: `WEFT-500 the filter ${settings.name} failed` } }
  }
  if (said === undefined || settings.phase === 'observe') {
    return { kind: 'pass', item, isChanged: false }
  }
  if ('drop' in said) {
    health.drops++
    return { kind: 'drop' }
  }
  if ('refuse' in said) {
    health.refusals++
    return { kind: 'end', refusal: said }
  }
  health.changes++
  const { data = item.data, metadata = item.metadata } = said.replace
  return { kind: 'pass', item: { data, metadata }, isChanged: true }
}
