/**
 * Requests over a link between two brokers, both ways:
 *
 *     requester ─► Leg of the far instance ─► HopMux ══ link ══ HopMux ─► Forwarder ─► instance's leg
 *                  (no socket of its own)    + hop entry        − hop entry
 *
 * To the rest of this broker an instance that is connected to another one is a leg like any: it is
 * registered, balanced, authorized and counted as those are that came by a socket. What is written
 * to it gets a stream id of the link here, and its requests the entry that says whom they are for.
 */
import type { Socket, SocketHandler } from '@weft/net'
import {
  FRAME_FLAG,
  FRAME_TYPE,
  FrameView,
  fragmentPayload,
  HOP_ALLOWED,
  type Interaction,
  interactionOf,
  LENGTH_PREFIX_BYTES,
  RSOCKET_ERROR,
  RSocketFrameReader,
  readFrame,
  readHop,
  renderHop,
  renderRequest,
  writeUint24,
} from '@weft/wire'
import type { Leg } from '../leg.ts'
import { writeStreamId } from '../rewrite.ts'
import type { Refusal } from '../router.ts'
import type { HopPort } from './hop-port.ts'

export interface HopMuxDeps {
  /** The connection that the other broker means, if it can take a request now; or why it never will. */
  pick(endpointId: string): Leg | Refusal | undefined
  /** The link is being cut. */
  onEnd(why: string): void
}

interface Outgoing {
  readonly remote: RemoteSocket
  /** Of the far instance's leg. */
  readonly id: number
}

/** Streams that one link may have for each that a client's connection may have. */
const CLIENTS = 16
const MAX_FRAME_BYTES = 0xff_ff_ff

export class HopMux implements HopPort {
  readonly link: Leg
  readonly #deps: HopMuxDeps
  /** Streams that we began, by their id on the link. */
  readonly #outgoing = new Map<number, Outgoing>()
  readonly #remotes = new Set<RemoteSocket>()

  constructor(link: Leg, deps: HopMuxDeps) {
    this.link = link
    this.#deps = deps
  }

  /** Streams that we began and that are open. */
  get openStreams(): number {
    return this.#outgoing.size
  }

  /** The socket of the leg of an instance at the other end. */
  open(endpointId: string, host: string): RemoteSocket {
    const remote = new RemoteSocket(this, endpointId, host)
    this.#remotes.add(remote)
    return remote
  }

  // To the other broker

  /** A frame that is meant for an instance at the other end; nothing of it is kept. */
  send(remote: RemoteSocket, view: FrameView): void {
    const { streamId: id, bytes, from, to } = view
    const interaction = interactionOf(view.type)
    if (interaction === undefined) {
      const linkId = remote.linkIds.get(id)
      if (linkId === undefined) return
      writeStreamId(bytes, from, linkId)
      this.link.send(bytes, from, to)
    } else this.#begin(remote, view, interaction)
    this.#forgetIfOver(remote, view)
  }

  #begin(remote: RemoteSocket, view: FrameView, interaction: Interaction): void {
    // Whoever gave it up in the same turn need not be heard of.
    if (interaction !== 'fnf' && remote.leg?.streams.has(view.streamId) !== true) return
    const linkId = this.#takeId()
    remote.linkIds.set(view.streamId, linkId)
    this.#outgoing.set(linkId, { remote, id: view.streamId })
    this.link.owner.counters.hopsOut++
    this.#sendRequest(view, interaction, linkId, remote.hopEntry)
  }

  #takeId(): number {
    let id = this.link.takeId()
    while (this.#outgoing.has(id)) id = this.link.takeId()
    return id
  }

  #sendRequest(view: FrameView, interaction: Interaction, id: number, hop: Buffer): void {
    const { bytes, from, to, metadataFrom, metadataTo, dataFrom, dataTo } = view
    const more = hop.length + (view.hasMetadata ? 0 : LENGTH_PREFIX_BYTES)
    if (to - from + more <= Math.min(MAX_FRAME_BYTES, this.link.owner.limits.maxFrameBytes)) {
      const frame = Buffer.allocUnsafe(to - from + more)
      const headBytes = (view.hasMetadata ? metadataFrom - LENGTH_PREFIX_BYTES : dataFrom) - from
      frame.set(bytes.subarray(from, from + headBytes), 0)
      writeStreamId(frame, 0, id)
      frame[4] = (frame[4] as number) | (FRAME_FLAG.metadata >>> 8)
      writeUint24(frame, headBytes, hop.length + metadataTo - metadataFrom)
      frame.set(hop, headBytes + LENGTH_PREFIX_BYTES)
      const rest = view.hasMetadata ? metadataFrom : dataFrom
      frame.set(bytes.subarray(rest, to), headBytes + LENGTH_PREFIX_BYTES + hop.length)
      this.link.send(frame, 0, frame.length)
      return
    }
    this.#sendLong(view, interaction, id, {
      metadata: Buffer.concat([hop, bytes.subarray(metadataFrom, metadataTo)]),
      data: bytes.subarray(dataFrom, dataTo),
    })
  }

  /** With the entry it is too long for a frame: it goes in two. */
  #sendLong(
    view: FrameView,
    interaction: Interaction,
    id: number,
    payload: { readonly metadata: Uint8Array; readonly data: Uint8Array },
  ): void {
    const flags = view.flags & (FRAME_FLAG.complete | FRAME_FLAG.follows)
    const max = Math.min(MAX_FRAME_BYTES, this.link.owner.limits.maxFrameBytes)
    const fixedBytes = interaction === 'stream' || interaction === 'channel' ? 4 : 0
    const frames = fragmentPayload(
      ...([id, payload, max, fixedBytes] as const),
      (part, follows) =>
        renderRequest(interaction, id, part, view.number, follows === 0 ? flags : follows),
      flags,
    )
    for (const frame of frames) this.link.sendFrame(frame)
  }

  /** A stream that is over for the leg is over here; of fragments the last one has to pass. */
  #forgetIfOver(remote: RemoteSocket, { streamId, follows }: FrameView): void {
    if (follows || remote.leg?.streams.has(streamId) === true) return
    this.#forget(remote, streamId)
  }

  #forget(remote: RemoteSocket, id: number): void {
    const linkId = remote.linkIds.get(id)
    if (linkId === undefined) return
    remote.linkIds.delete(id)
    this.#outgoing.delete(linkId)
  }

  /** An answer to what we asked. */
  onFrame(view: FrameView): boolean {
    const outgoing = this.#outgoing.get(view.streamId)
    if (outgoing === undefined) return false
    const { remote, id } = outgoing
    writeStreamId(view.bytes, view.from, id)
    remote.leg?.onLocalFrame(view.bytes, view.from, view.to)
    if (remote.leg?.streams.has(id) !== true) this.#forget(remote, id)
    return true
  }

  // From the other broker

  onRequest(view: FrameView, interaction: Interaction): void {
    const { link } = this
    const { counters, limits, forwarder } = link.owner
    counters.requests++
    counters.hopsIn++
    const hop = readHop(view.bytes, view.metadataFrom, view.metadataTo)
    const refusal =
      link.streams.size >= limits.maxStreams * CLIENTS
        ? { code: RSOCKET_ERROR.rejected, message: 'WEFT-429 too many open streams' }
        : refusalOf(hop)
    if (hop === undefined || refusal !== undefined) {
      counters.refusedRequests++
      if (interaction === 'fnf') counters.droppedRequests++
      else if (refusal !== undefined) {
        link.sendError(view.streamId, refusal.code, refusal.message)
      }
      return
    }
    takeOff(view, hop.bytes)
    const { endpointId } = hop
    forwarder.deliver(link, view, interaction, {
      kind: 'forward',
      isLasting: false,
      retries: 0,
      pick: (tried) => (tried.length === 0 ? this.#deps.pick(endpointId) : undefined),
    })
  }

  onRoom(): void {
    for (const remote of this.#remotes) remote.handler.onDrain()
  }

  onEnd(why: string): void {
    this.#deps.onEnd(why)
  }

  closed(remote: RemoteSocket): void {
    this.#remotes.delete(remote)
    for (const id of [...remote.linkIds.keys()]) this.#forget(remote, id)
  }

  /** The link is gone, and with it the way to everybody at its other end. */
  close(): void {
    for (const remote of [...this.#remotes]) remote.leg?.abort('the link to its broker is gone')
  }
}

function refusalOf(hop: ReturnType<typeof readHop>) {
  if (hop === undefined) {
    return { code: RSOCKET_ERROR.invalid, message: 'WEFT-400 a request between brokers has no hop' }
  }
  if (hop.hops !== 1) {
    return {
      code: RSOCKET_ERROR.rejected,
      message: `WEFT-508 a request passes two brokers at most, this one ${hop.hops + 1}`,
    }
  }
  return hop.verdict === HOP_ALLOWED
    ? undefined
    : { code: RSOCKET_ERROR.denied, message: 'RBAC: access denied' }
}

/** Takes the first entry off, in place: the frame begins so many bytes later then. */
function takeOff(view: FrameView, entryBytes: number): void {
  const { bytes, from, metadataFrom, metadataTo } = view
  const lengthAt = metadataFrom - LENGTH_PREFIX_BYTES
  bytes.copyWithin(from + entryBytes, from, lengthAt)
  writeUint24(bytes, lengthAt + entryBytes, metadataTo - metadataFrom - entryBytes)
  view.from = from + entryBytes
  view.metadataFrom = metadataFrom + entryBytes
}

/** Takes what the broker writes to an instance that is connected to another one. */
export class RemoteSocket implements Socket {
  handler: SocketHandler = NOBODY
  readonly remoteAddress: Socket['remoteAddress']
  readonly localAddress: Socket['localAddress']
  readonly copiesWrites = true
  closed = false
  /** Set by who opens it. */
  leg: Leg | undefined
  readonly hopEntry: Buffer
  /** Ids on the link by those of the leg. */
  readonly linkIds = new Map<number, number>()
  readonly #mux: HopMux
  readonly #reader: RSocketFrameReader
  readonly #view = new FrameView()

  constructor(mux: HopMux, endpointId: string, host: string) {
    this.#mux = mux
    this.remoteAddress = { host, port: 0 }
    this.localAddress = { host, port: 0 }
    this.hopEntry = renderHop({ endpointId, verdict: HOP_ALLOWED, hops: 1 })
    this.#reader = new RSocketFrameReader(
      {
        closed: false,
        onFrame: (bytes, from, to) => this.#onFrame(bytes, from, to),
        onFrameError: () => this.leg?.abort('a frame of ours is broken'),
      },
      MAX_FRAME_BYTES,
    )
  }

  /** What waits on the link waits for everybody behind it. */
  get pendingBytes(): number {
    return this.#mux.link.outbox.bytes
  }

  write(bytes: Uint8Array): boolean {
    if (!this.closed) this.#reader.receive(bytes, bytes.length)
    return true
  }

  #onFrame(bytes: Uint8Array, from: number, to: number): void {
    const view = this.#view
    if (readFrame(view, bytes, from, to) !== undefined) return
    if (view.streamId !== 0 && view.type !== FRAME_TYPE.keepalive) this.#mux.send(this, view)
  }

  pause(): void {}
  resume(): void {}

  bulkReads(): boolean {
    return false
  }

  end(): void {
    this.close()
  }

  close(): void {
    if (this.closed) return
    this.closed = true
    this.#mux.closed(this)
  }

  reset(): void {
    this.close()
  }
}

const NOBODY: SocketHandler = {
  onOpen() {},
  onData() {},
  onEnd() {},
  onDrain() {},
  onClose() {},
}
