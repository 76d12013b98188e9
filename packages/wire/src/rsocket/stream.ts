/**
 * One stream of an `RSocketPeer`, seen from the side that holds it: the same object for the four
 * interactions and for both roles. Who may send what follows from `stream-state.ts`; how many
 * items, from the credit that each side gave the other.
 */

import {
  fragmentPayload,
  type RSocketPayload,
  renderCancel,
  renderError,
  renderPayload,
  renderRequestN,
} from './frame-writer.ts'
import {
  addRequestN,
  FRAME_FLAG,
  FRAME_TYPE,
  type Interaction,
  UNBOUNDED_REQUEST_N,
} from './frames.ts'
import type { Reassembler } from './reassembler.ts'
import {
  isRequesterOpen,
  isResponderOpen,
  isStreamOver,
  stateOf,
  stepStream,
} from './stream-state.ts'

/** What the other side does on a stream. After `onComplete`, `onError` or the last item: silence. */
export interface RSocketStreamHandler {
  /** `complete`: the other side's half ends with this item. */
  onItem(payload: RSocketPayload, complete: boolean): void
  onComplete(): void
  onError(code: number, message: string): void
  /** The other side takes `n` items more. */
  onRequestN(n: number): void
  /** The other side wants no more of our items. */
  onCancel(): void
}

/** What a stream needs of its peer. */
export interface StreamOwner {
  readonly sendFrameBytes: number
  write(frame: Uint8Array): void
  forget(stream: RSocketStream): void
}

export class RSocketStream {
  readonly id: number
  readonly interaction: Interaction
  /** We began it. */
  readonly isRequester: boolean
  readonly #owner: StreamOwner
  /**
   * Whom it tells; undefined when it is over. A map of streams that come and go leaves its old
   * tables to the collector, each with a pointer to the next one: once one of them is old, all
   * that they hold survives every young collection, and what a handler holds is most of it.
   */
  handler: RSocketStreamHandler | undefined
  /** Of `stream-state.ts`. */
  state: number
  /** Items that we may still send. */
  credit: number
  /** Items that the other side may still send. */
  granted: number
  /** Fragments of the other side's payload that is under way. */
  fragments: Reassembler | undefined

  constructor(
    id: number,
    interaction: Interaction,
    isRequester: boolean,
    owner: StreamOwner,
    opening: { readonly state: number; readonly credit: number; readonly granted: number },
  ) {
    this.id = id
    this.interaction = interaction
    this.isRequester = isRequester
    this.#owner = owner
    this.state = opening.state
    this.credit = opening.credit
    this.granted = opening.granted
  }

  get closed(): boolean {
    return isStreamOver(this.state)
  }

  /** Our half is open: items may follow when there is credit. */
  get maySend(): boolean {
    return this.isRequester
      ? this.interaction === 'channel' && isRequesterOpen(this.state)
      : isResponderOpen(this.state)
  }

  /**
   * Sends an item. Throws when our half is closed or the other side asked for no more: whoever
   * sends waits for `onRequestN`.
   */
  next(payload: RSocketPayload, complete = false): void {
    if (!this.maySend) throw new Error('Cannot send an item: our half of the stream is closed')
    if (this.credit === 0) throw new Error('Cannot send an item: the other side asked for none')
    if (this.credit < UNBOUNDED_REQUEST_N) this.credit--
    const flags = FRAME_FLAG.next | (complete ? FRAME_FLAG.complete : 0)
    const frames = fragmentPayload(
      this.id,
      payload,
      this.#owner.sendFrameBytes,
      0,
      (part, follows) =>
        renderPayload(this.id, part, follows === 0 ? flags : FRAME_FLAG.next | follows),
      flags,
    )
    for (const frame of frames) this.#owner.write(frame)
    this.#step(FRAME_TYPE.payload, flags)
  }

  /** Ends our half without an item. Does nothing when it is closed already. */
  complete(): void {
    if (!this.maySend) return
    this.#owner.write(renderPayload(this.id, { data: EMPTY }, FRAME_FLAG.complete))
    this.#step(FRAME_TYPE.payload, FRAME_FLAG.complete)
  }

  /** Ends the stream with an error; `code` of `RSOCKET_ERROR` or of the application's range. */
  fail(code: number, message: string): void {
    if (this.closed) return
    if (this.isRequester && this.interaction !== 'channel') this.cancel()
    else {
      this.#owner.write(renderError(this.id, code, message))
      this.#step(FRAME_TYPE.error, 0)
    }
  }

  /** Wants no more of the other side's items. */
  cancel(): void {
    if (this.closed || (!this.isRequester && this.interaction !== 'channel')) return
    this.#owner.write(renderCancel(this.id))
    this.#step(FRAME_TYPE.cancel, 0)
  }

  /** Lets the other side send `n` items more, 1 to 2,147,483,647. */
  requestN(n: number): void {
    const counted = this.interaction === 'stream' || this.interaction === 'channel'
    const open = this.isRequester ? isResponderOpen(this.state) : isRequesterOpen(this.state)
    if (!counted || !open) return
    this.granted = addRequestN(this.granted, n)
    this.#owner.write(renderRequestN(this.id, n))
  }

  #step(type: number, flags: number): void {
    const step = stepStream(this.interaction, this.state, this.isRequester, type, flags)
    this.state = stateOf(step)
    if (!this.closed) return
    this.#owner.forget(this)
    this.handler = undefined
  }
}

const EMPTY = new Uint8Array(0)
