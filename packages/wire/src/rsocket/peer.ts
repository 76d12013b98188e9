/**
 * One side of an RSocket connection without I/O: frames in, frames out, streams between. It is
 * what an application has on its end (the Node SDK, the agent, tests); the broker forwards
 * frames and does not build on it. Timers, reconnecting, leases and promises are for its users.
 */
import {
  errorMessage,
  keepaliveData,
  type Lease,
  readLease,
  readSetup,
  renderKeepalive,
  type Setup,
} from './connection-frames.ts'
import { fragmentPayload, type RSocketPayload, renderError, renderRequest } from './frame-writer.ts'
import {
  addRequestN,
  FRAME_FLAG,
  FRAME_TYPE,
  FrameView,
  type Interaction,
  interactionOf,
  MAX_STREAM_ID,
  RSOCKET_ERROR,
  readFrame,
  UNBOUNDED_REQUEST_N,
} from './frames.ts'
import { Reassembler } from './reassembler.ts'
import { RSocketStream, type RSocketStreamHandler } from './stream.ts'
import {
  isRequesterOpen,
  openStream,
  STEP_DROP,
  STEP_ITEM,
  stateOf,
  stepStream,
} from './stream-state.ts'

export interface RSocketPeerOptions {
  /** The side that dialled begins odd streams, the other one even streams. */
  readonly role: 'connecting' | 'accepting'
  /** Frames that we send are no longer than this (without prefix): 64 to 16,777,215 bytes. */
  readonly sendFrameBytes: number
  /** The longest payload that is taken, in one frame or in fragments, in bytes. */
  readonly maxPayloadBytes: number
  /** Streams that the other side may have open; further ones are REJECTED. */
  readonly maxStreams: number
  /** Bytes of payloads that are not whole yet, of all streams; default 128 MiB. What is above is REJECTED. */
  readonly maxHeldBytes?: number
}

/** Many peers send in fragments; few have so much under way. */
const MAX_HELD_BYTES = 134_217_728

export interface RSocketPeerHandler {
  /** A frame with its length prefix; it belongs to the taker. */
  write(frame: Uint8Array): void
  /** The first frame, on the accepting side. A text refuses it: REJECTED_SETUP. */
  onSetup(setup: Setup): string | undefined
  /**
   * The other side asks. Give `stream.handler` before returning. A stream or a channel may be
   * answered with as many items as `stream.credit` says.
   */
  onRequest(stream: RSocketStream, payload: RSocketPayload): void
  onLease(lease: Lease): void
  onMetadataPush(metadata: Uint8Array): void
  /** The connection is to be closed: the other side said so, or broke the protocol. */
  onFatal(code: number, message: string): void
}

export class RSocketPeer {
  readonly sendFrameBytes: number
  readonly #options: RSocketPeerOptions
  readonly #handler: RSocketPeerHandler
  readonly #streams = new Map<number, RSocketStream>()
  readonly #view = new FrameView()
  #nextId: number
  #theirs = 0
  /** Of fragments. */
  #held = 0
  #begun: boolean
  #closed = false

  constructor(options: RSocketPeerOptions, handler: RSocketPeerHandler) {
    this.#options = options
    this.#handler = handler
    this.sendFrameBytes = options.sendFrameBytes
    this.#nextId = options.role === 'connecting' ? 1 : 2
    this.#begun = options.role === 'connecting'
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Streams of both sides that are open. */
  get openStreams(): number {
    return this.#streams.size
  }

  write(frame: Uint8Array): void {
    if (!this.#closed) this.#handler.write(frame)
  }

  /** Called by streams. */
  forget(stream: RSocketStream): void {
    this.#drop(stream)
    this.#remove(stream)
  }

  #remove(stream: RSocketStream): void {
    if (this.#streams.delete(stream.id) && !stream.isRequester) this.#theirs--
  }

  /**
   * Begins a stream. `initialN` (streams and channels): items wanted at first, at least 1.
   * `complete`: a channel whose only item is this payload.
   */
  request(
    interaction: Interaction,
    payload: RSocketPayload,
    handler: RSocketStreamHandler,
    options: { readonly initialN?: number; readonly complete?: boolean } = {},
  ): RSocketStream {
    const { initialN = UNBOUNDED_REQUEST_N, complete = false } = options
    const id = this.#takeId()
    const flags = complete && interaction === 'channel' ? FRAME_FLAG.complete : 0
    const granted = interaction === 'rr' ? 1 : interaction === 'fnf' ? 0 : initialN
    const state = openStream(interaction, flags)
    const stream = new RSocketStream(id, interaction, true, this, { state, credit: 0, granted })
    stream.handler = handler
    if (state !== 0) this.#streams.set(id, stream)
    const counted = interaction === 'stream' || interaction === 'channel'
    const frames = fragmentPayload(
      id,
      payload,
      this.sendFrameBytes,
      counted ? 4 : 0,
      (part, follows) =>
        renderRequest(interaction, id, part, initialN, follows === 0 ? flags : follows),
      flags,
    )
    for (const frame of frames) this.write(frame)
    return stream
  }

  #takeId(): number {
    let id = this.#nextId
    while (this.#streams.has(id)) id = following(id)
    this.#nextId = following(id)
    return id
  }

  /** Takes one frame, `bytes[from..to)` without its length prefix; keeps nothing of it. */
  onFrame(bytes: Uint8Array, from: number, to: number): void {
    if (this.#closed) return
    const view = this.#view
    const why = readFrame(view, bytes, from, to)
    if (why !== undefined) this.onFrameError(why)
    else if (!this.#begun) this.#begin(view)
    else if (view.streamId === 0) this.#onConnectionFrame(view)
    else this.#onStreamFrame(view)
  }

  onFrameError(why: string): void {
    this.#end(RSOCKET_ERROR.connectionError, why)
  }

  /** Ends every stream: what was asked may have run. Nothing is sent or taken afterwards. */
  close(message: string): void {
    if (this.#closed) return
    this.#closed = true
    const streams = [...this.#streams.values()]
    this.#streams.clear()
    for (const stream of streams) {
      stream.state = 0
      this.#drop(stream)
      stream.handler?.onError(RSOCKET_ERROR.canceled, message)
    }
  }

  #end(code: number, message: string): void {
    this.write(renderError(0, code, message))
    this.close(message)
    this.#handler.onFatal(code, message)
  }

  #begin(view: FrameView): void {
    if (view.streamId !== 0 || view.type !== FRAME_TYPE.setup) {
      if (view.type === FRAME_TYPE.lease) return
      const resume = view.type === FRAME_TYPE.resume
      if (resume) this.#end(RSOCKET_ERROR.rejectedResume, 'resumption is not supported')
      else this.#end(RSOCKET_ERROR.invalidSetup, 'the first frame must be SETUP')
      return
    }
    const setup = readSetup(view)
    if (typeof setup === 'string') {
      this.#end(RSOCKET_ERROR.invalidSetup, setup)
      return
    }
    const refusal = this.#handler.onSetup(setup)
    if (refusal === undefined) this.#begun = true
    else this.#end(RSOCKET_ERROR.rejectedSetup, refusal)
  }

  #onConnectionFrame(view: FrameView): void {
    switch (view.type) {
      case FRAME_TYPE.keepalive:
        this.#onKeepalive(view)
        return
      case FRAME_TYPE.lease: {
        const lease = readLease(view)
        if (lease === undefined) this.onFrameError('LEASE is shorter than its numbers')
        else this.#handler.onLease(lease)
        return
      }
      case FRAME_TYPE.metadataPush:
        this.#handler.onMetadataPush(
          Buffer.from(view.bytes.subarray(view.metadataFrom, view.metadataTo)),
        )
        return
      case FRAME_TYPE.error: {
        const message = errorMessage(view)
        this.close(message)
        this.#handler.onFatal(view.number, message)
        return
      }
      case FRAME_TYPE.setup:
        return
      default:
        if ((view.flags & FRAME_FLAG.ignore) === 0) {
          this.onFrameError(`a frame of type 0x${view.type.toString(16)} on stream 0`)
        }
    }
  }

  #onKeepalive(view: FrameView): void {
    const data = keepaliveData(view)
    if (data === undefined) this.onFrameError('KEEPALIVE is shorter than its position')
    else if ((view.flags & FRAME_FLAG.respond) !== 0) this.write(renderKeepalive(false, 0, data))
  }

  #onStreamFrame(view: FrameView): void {
    const stream = this.#streams.get(view.streamId)
    const interaction = interactionOf(view.type)
    if (interaction !== undefined) {
      if (stream === undefined) this.#onRequest(view, interaction)
      return
    }
    if (stream === undefined) {
      this.#onStray(view)
      return
    }
    const { type, flags } = view
    const wasRequest = !stream.isRequester && stream.handler === undefined
    const step = stepStream(stream.interaction, stream.state, !stream.isRequester, type, flags)
    stream.state = stateOf(step)
    if ((step & STEP_DROP) !== 0) return
    if (stream.closed) this.#remove(stream)
    if (type === FRAME_TYPE.payload) this.#onPayload(stream, view, step, wasRequest)
    else if (type === FRAME_TYPE.error) stream.handler?.onError(view.number, errorMessage(view))
    else if (type === FRAME_TYPE.cancel) stream.handler?.onCancel()
    else if (type === FRAME_TYPE.requestN) this.#onRequestN(stream, view.number)
    if (!stream.closed) return
    stream.handler = undefined
    this.#drop(stream)
  }

  #drop(stream: RSocketStream): void {
    this.#held -= stream.fragments?.bytes ?? 0
    stream.fragments = undefined
  }

  /** PAYLOAD, CANCEL, ERROR and REQUEST_N on a stream that is over are late; others are wrong. */
  #onStray(view: FrameView): void {
    const late = view.type >= FRAME_TYPE.requestN && view.type <= FRAME_TYPE.error
    if (!late && (view.flags & FRAME_FLAG.ignore) === 0) {
      this.onFrameError(`a frame of type 0x${view.type.toString(16)} on a stream`)
    }
  }

  #onRequest(view: FrameView, interaction: Interaction): void {
    const counted = interaction === 'stream' || interaction === 'channel'
    if (counted && (view.number === 0 || view.number > UNBOUNDED_REQUEST_N)) {
      this.write(renderError(view.streamId, RSOCKET_ERROR.invalid, 'initial request n must be > 0'))
      return
    }
    if (this.#theirs >= this.#options.maxStreams) {
      this.write(renderError(view.streamId, RSOCKET_ERROR.rejected, 'too many open streams'))
      return
    }
    const state = openStream(interaction, view.flags)
    const credit = counted ? view.number : interaction === 'rr' ? 1 : 0
    const opening = { state, credit, granted: 0 }
    const stream = new RSocketStream(view.streamId, interaction, false, this, opening)
    if (!stream.closed) {
      this.#streams.set(stream.id, stream)
      this.#theirs++
    }
    const payload = this.#whole(stream, view)
    if (payload !== undefined) this.#deliver(stream, payload)
  }

  #deliver(stream: RSocketStream, payload: RSocketPayload): void {
    const isOnlyItem = stream.interaction === 'channel' && !isRequesterOpen(stream.state)
    this.#handler.onRequest(stream, payload)
    if (isOnlyItem) stream.handler?.onComplete()
  }

  #onPayload(stream: RSocketStream, view: FrameView, step: number, wasRequest: boolean): void {
    const payload = this.#whole(stream, view)
    if (payload === undefined) return
    if (wasRequest) {
      this.#deliver(stream, payload)
      return
    }
    const ended = (view.flags & FRAME_FLAG.complete) !== 0 || stream.interaction === 'rr'
    if ((step & STEP_ITEM) === 0) {
      if (ended) stream.handler?.onComplete()
      return
    }
    if (stream.granted === 0) {
      const { handler } = stream
      stream.cancel()
      if (!stream.closed) stream.fail(RSOCKET_ERROR.invalid, 'more items than asked for')
      handler?.onError(RSOCKET_ERROR.invalid, 'more items than asked for')
      return
    }
    if (stream.granted < UNBOUNDED_REQUEST_N) stream.granted--
    stream.handler?.onItem(payload, ended)
  }

  /** The payload when this frame ends it; breaks the stream when its fragments cannot be taken. */
  #whole(stream: RSocketStream, view: FrameView): RSocketPayload | undefined {
    const { maxPayloadBytes, maxHeldBytes = MAX_HELD_BYTES } = this.#options
    if (stream.fragments === undefined && !view.follows) {
      if (bytesOf(view) <= maxPayloadBytes) return copyOf(view)
      this.#refuse(stream, `a payload of more than ${maxPayloadBytes} bytes`)
      return undefined
    }
    stream.fragments ??= new Reassembler(maxPayloadBytes)
    const { fragments } = stream
    const before = fragments.bytes
    const why = fragments.add(view)
    this.#held += fragments.bytes - before
    if (why !== undefined) {
      this.#refuse(stream, why)
      return undefined
    }
    if (view.follows) {
      if (this.#held > maxHeldBytes) this.#refuse(stream, CROWDED, RSOCKET_ERROR.rejected)
      return undefined
    }
    this.#drop(stream)
    return fragments.take()
  }

  #refuse(stream: RSocketStream, why: string, code: number = RSOCKET_ERROR.invalid): void {
    const { handler } = stream
    if (stream.isRequester) stream.cancel()
    else this.write(renderError(stream.id, code, why))
    stream.state = 0
    this.forget(stream)
    handler?.onError(RSOCKET_ERROR.invalid, why)
  }

  #onRequestN(stream: RSocketStream, n: number): void {
    if (n === 0 || n > UNBOUNDED_REQUEST_N) return
    stream.credit = addRequestN(stream.credit, n)
    stream.handler?.onRequestN(n)
  }
}

const CROWDED = 'too many payloads are under way in fragments'

function bytesOf({ metadataFrom, metadataTo, dataFrom, dataTo }: FrameView): number {
  return metadataTo - metadataFrom + dataTo - dataFrom
}

function copyOf(view: FrameView): RSocketPayload {
  const { bytes, metadataFrom, metadataTo, dataFrom, dataTo } = view
  return {
    data: Buffer.from(bytes.subarray(dataFrom, dataTo)),
    metadata: view.hasMetadata ? Buffer.from(bytes.subarray(metadataFrom, metadataTo)) : undefined,
  }
}

function following(id: number): number {
  return id + 2 > MAX_STREAM_ID ? id & 1 || 2 : id + 2
}
