/**
 * One connection seen from the broker: who dialled in, what it may cost, and the streams that
 * run over it. Frames that describe the connection end here; frames of streams go to
 * `forward.ts`, which knows two legs at a time.
 */
import type { Clock } from '@weft/base'
import type { Socket, SocketHandler, Timed, TimerWheel } from '@weft/net'
import {
  errorMessage,
  FRAME_FLAG,
  FRAME_TYPE,
  FrameView,
  interactionOf,
  keepaliveData,
  LENGTH_PREFIX_BYTES,
  type Lease,
  RSOCKET_ERROR,
  type RSocketFrameSink,
  readFrame,
  readLease,
  readSetup,
  renderError,
  renderKeepalive,
  type Setup,
} from '@weft/wire'
import type { HopPort } from './cluster/hop-port.ts'
import type { BrokerCounters } from './counters.ts'
import { grantWaiting } from './credit-flow.ts'
import type { Forwarder } from './forward.ts'
import { LeaseGrant } from './lease-grant.ts'
import { followingId, setupProblem } from './leg-rules.ts'
import type { BrokerLimits } from './limits.ts'
import { type Framing, Outbox } from './outbox.ts'
import type { PeerFacts } from './peer-facts.ts'
import { RateWindow } from './rate-window.ts'
import type { MetadataForm } from './request-call.ts'
import type { StreamEntry } from './stream-entry.ts'
import { VerdictCache } from './verdict-cache.ts'

/** What turns a connection's bytes into frames; the transport's framing decides. */
export interface FrameSource {
  /** The longest frame that is taken, without prefix. */
  maxFrameBytes: number
  receive(bytes: Uint8Array, length: number): void
}

/** The broker, as a leg sees it. */
export interface LegOwner {
  readonly limits: BrokerLimits
  readonly clock: Clock
  readonly wheel: TimerWheel
  /** Monotonic, as of the read that is being handled: one look at the clock per read. */
  nowMs: number
  readonly counters: BrokerCounters
  readonly forwarder: Forwarder
  schedule(outbox: Outbox): void
  /** Who dialled in, or a text that refuses it: REJECTED_SETUP. */
  admit(leg: Leg, setup: Setup): Promise<PeerFacts | string>
  /** It was let in. */
  onOpen(leg: Leg): void
  onMetadataPush(leg: Leg, metadata: Uint8Array): void
  onGone(leg: Leg): void
}

/** How long a peer may take to hear why its connection ends, in milliseconds. */
const LINGER_MS = 1_000

type LegState = 'new' | 'deciding' | 'open' | 'closed'

export class Leg implements SocketHandler, RSocketFrameSink, Timed {
  readonly socket: Socket
  readonly outbox: Outbox
  readonly owner: LegOwner
  readonly streams = new Map<number, StreamEntry>()
  /** Streams that wait until this leg's outbox has room before their producer gets credit. */
  readonly waiting = new Set<StreamEntry>()
  /** Verdicts on calls that this peer makes again and again. */
  verdicts = new VerdictCache()
  /** Requests under way towards this leg, and how long they take: what balancing looks at. */
  activeRequests = 0
  latencyMs = 0
  /** Requests that this leg allows us; absent: it did not ask for leases, or sent none yet. */
  lease: { requests: number; untilMs: number } | undefined
  /** Requests that we allow this leg; absent: it did not ask for leases. */
  grant: LeaseGrant | undefined
  /** It wants new requests; its own word (`status`). */
  isServing = true
  /** Who answers the calls that it wants to stick, by service key. */
  sticky: Map<string, Leg> | undefined
  /** How far away its instance is, 1 or more: a load there weighs so many times. */
  farness = 1
  /** Of a link to another broker: who asks over it, and answers for what comes over it. */
  hop: HopPort | undefined
  /** No new streams are accepted from this leg. */
  draining = false
  parkedBytes = 0
  deadlineTick = 0
  slotTick = 0
  readonly #source: FrameSource
  readonly #view = new FrameView()
  #state: LegState = 'new'
  #facts: PeerFacts | undefined
  #nextId = 2
  #early: Buffer[] = []
  #earlyBytes = 0
  #heardAtMs: number
  #paused = false
  readonly #keepalives = new RateWindow()
  readonly #pushes = new RateWindow()

  constructor(
    socket: Socket,
    framing: Framing,
    source: (leg: Leg) => FrameSource,
    owner: LegOwner,
  ) {
    this.socket = socket
    this.owner = owner
    this.outbox = new Outbox(socket, framing, owner.schedule)
    this.#source = source(this)
    this.#heardAtMs = owner.clock.monotonicMs()
    owner.wheel.arm(this, owner.limits.setupTimeoutMs, this.#heardAtMs)
  }

  get closed(): boolean {
    return this.#state === 'closed'
  }

  get isOpen(): boolean {
    return this.#state === 'open'
  }

  /** It was let in, whether it is still there or not. */
  get wasAdmitted(): boolean {
    return this.#facts !== undefined
  }

  /** Who dialled in. Only asked after it was let in. */
  get facts(): PeerFacts {
    if (this.#facts === undefined) throw new Error('Cannot tell who dialled in: nobody was let in')
    return this.#facts
  }

  /** What it said of itself changed; verdicts on its calls are made anew. */
  set facts(facts: PeerFacts) {
    this.#facts = facts
    this.verdicts = new VerdictCache()
  }

  get metadataForm(): MetadataForm {
    return this.facts.metadataForm
  }

  /** Lets it in without a SETUP: a peer of our own process, or one that we have dialled (`isFar`). */
  openAs(facts: PeerFacts, isFar = false): void {
    this.#facts = facts
    this.#state = 'open'
    if (isFar) this.#armLifetime()
    else this.owner.wheel.disarm(this)
  }

  /** A frame that came by no socket. */
  onLocalFrame(bytes: Uint8Array, from: number, to: number): void {
    if (this.closed) return
    this.owner.nowMs = this.owner.clock.monotonicMs()
    this.onFrame(bytes, from, to)
  }

  /** An id of ours that no stream of either side uses. */
  takeId(): number {
    let id = this.#nextId
    while (this.streams.has(id)) id = followingId(id)
    this.#nextId = followingId(id)
    return id
  }

  /** Begins ids elsewhere: of connections that we dialled at 1. Their parity stays. */
  beginIdsAt(id: number): void {
    this.#nextId = id
  }

  /** Sends `bytes[from..to)`, a frame without prefix; it is copied. */
  send(bytes: Uint8Array, from: number, to: number): void {
    if (this.#state === 'closed') return
    this.outbox.append(bytes, from, to)
    this.#watch()
  }

  /** Sends bytes that are no frame: of a handshake, a pong. */
  sendRaw(bytes: Uint8Array): void {
    if (this.#state === 'closed') return
    this.outbox.appendRaw(bytes)
    this.#watch()
  }

  #watch(): void {
    const { outbox, owner } = this
    const waiting = outbox.bytes
    if (waiting <= owner.limits.softOutboxBytes) return
    if (waiting > owner.limits.hardOutboxBytes || !this.isOpen) {
      owner.counters.slowPeers++
      this.abort('takes its bytes too slowly')
    } else this.#pause()
  }

  /** Sends a rendered frame, which has its prefix. */
  sendFrame(frame: Uint8Array): void {
    this.send(frame, LENGTH_PREFIX_BYTES, frame.length)
  }

  sendError(streamId: number, code: number, message: string): void {
    this.sendFrame(renderError(streamId, code, message))
  }

  /** Whether another item for this leg should wait. */
  get isFull(): boolean {
    return this.outbox.bytes > this.owner.limits.softOutboxBytes
  }

  #pause(): void {
    if (this.#paused) return
    this.#paused = true
    // The kernel may take all of it at once, and then no drain follows.
    this.outbox.whenEmpty = this.#onRoom
    // Two brokers that wait for each other to read would wait for ever.
    if (this.hop === undefined) this.socket.pause()
    this.owner.counters.pauses++
    // Its keepalives are not seen meanwhile: the same time counts for taking what waits.
    this.#armLifetime()
  }

  // SocketHandler

  onOpen(): void {}

  onData(bytes: Uint8Array, length: number): void {
    const nowMs = this.owner.clock.monotonicMs()
    this.owner.nowMs = nowMs
    this.#heardAtMs = nowMs
    this.owner.counters.bytesReceived += length
    this.#source.receive(bytes, length)
    // What else it sends before it was let in may wait in the kernel.
    if (this.#state === 'deciding') this.socket.pause()
  }

  onEnd(): void {
    if (this.closed) this.socket.close()
    else this.close()
  }

  onDrain(): void {
    this.outbox.onDrain()
    this.#onRoom()
  }

  readonly #onRoom = (): void => {
    if (!this.#paused || this.closed) return
    if (this.outbox.bytes > this.owner.limits.softOutboxBytes / 2) return
    this.#paused = false
    this.outbox.whenEmpty = undefined
    this.#heardAtMs = this.owner.clock.monotonicMs()
    this.#armLifetime()
    this.socket.resume()
    grantWaiting(this)
    this.hop?.onRoom()
  }

  onClose(_error: Error | undefined): void {
    this.#gone()
    this.owner.wheel.disarm(this)
  }

  // Timed

  onDeadline(): void {
    if (this.closed) {
      this.socket.close()
      return
    }
    if (this.#state === 'new' || this.#state === 'deciding') {
      this.owner.counters.setupTimeouts++
      this.fail(RSOCKET_ERROR.invalidSetup, 'no SETUP in time')
      return
    }
    const nowMs = this.owner.clock.monotonicMs()
    const silentMs = nowMs - this.#heardAtMs
    const { maxLifetimeMs } = this.facts.setup
    if (this.#paused || silentMs >= maxLifetimeMs) {
      this.owner.counters.lifetimesOver++
      this.fail(RSOCKET_ERROR.connectionError, 'no keepalive within the announced lifetime')
    } else this.owner.wheel.arm(this, maxLifetimeMs - silentMs, nowMs)
  }

  #armLifetime(): void {
    const { maxLifetimeMs } = this.facts.setup
    this.owner.wheel.arm(this, maxLifetimeMs, this.owner.clock.monotonicMs())
  }

  // RSocketFrameSink

  onFrame(bytes: Uint8Array, from: number, to: number): void {
    if (this.#state === 'deciding') {
      this.#keepEarly(bytes, from, to)
      return
    }
    const view = this.#view
    const why = readFrame(view, bytes, from, to)
    if (why !== undefined) this.onFrameError(why)
    else if (this.#state === 'new') this.#onFirst(view)
    else if (view.streamId === 0) this.#onConnectionFrame(view)
    else this.#onStreamFrame(view)
  }

  onFrameError(why: string): void {
    this.owner.counters.malformedFrames++
    this.fail(RSOCKET_ERROR.connectionError, why)
  }

  /** Frames that came right behind SETUP wait for its verdict, within bounds. */
  #keepEarly(bytes: Uint8Array, from: number, to: number): void {
    this.#earlyBytes += to - from
    if (this.#earlyBytes > this.owner.limits.maxParkedBytes) {
      this.fail(RSOCKET_ERROR.rejectedSetup, 'too many bytes before SETUP was accepted')
      return
    }
    this.#early.push(Buffer.from(bytes.subarray(from, to)))
  }

  #onFirst(view: FrameView): void {
    // Clients of the 0.0.27 generation lease before they introduce themselves.
    if (view.streamId === 0 && view.type === FRAME_TYPE.lease) {
      this.#onLease(readLease(view))
      return
    }
    if (view.streamId === 0 && view.type === FRAME_TYPE.resume) {
      this.owner.counters.rejectedSetups++
      this.fail(RSOCKET_ERROR.rejectedResume, 'resumption is not supported')
      return
    }
    if (view.streamId !== 0 || view.type !== FRAME_TYPE.setup) {
      this.fail(RSOCKET_ERROR.invalidSetup, 'the first frame must be SETUP')
      return
    }
    const setup = readSetup(view)
    const why = typeof setup === 'string' ? setup : setupProblem(setup)
    if (why !== undefined || typeof setup === 'string') {
      this.fail(RSOCKET_ERROR.invalidSetup, why ?? '')
      return
    }
    if (setup.resumeToken !== undefined) {
      this.owner.counters.rejectedSetups++
      this.fail(RSOCKET_ERROR.rejectedSetup, 'resumption is not supported')
      return
    }
    this.#state = 'deciding'
    this.#source.maxFrameBytes = this.owner.limits.maxFrameBytes
    this.owner.admit(this, setup).then(
      (facts) => this.#onVerdict(facts),
      (error: unknown) => this.#onVerdict(`could not be decided: ${String(error)}`),
    )
  }

  #onVerdict(facts: PeerFacts | string): void {
    if (this.#state !== 'deciding') return
    if (typeof facts === 'string') {
      this.owner.counters.rejectedSetups++
      this.fail(RSOCKET_ERROR.rejectedSetup, facts)
      return
    }
    this.#facts = facts
    this.#state = 'open'
    this.socket.resume()
    this.#armLifetime()
    if (facts.setup.lease) {
      const { maxStreams } = this.owner.limits
      this.grant = new LeaseGrant(this, maxStreams, facts.setup.maxLifetimeMs)
      this.grant.grant(this.owner.clock.monotonicMs())
    }
    this.owner.onOpen(this)
    const early = this.#early
    this.#early = []
    for (const frame of early) if (!this.closed) this.onFrame(frame, 0, frame.length)
  }

  #onConnectionFrame(view: FrameView): void {
    switch (view.type) {
      case FRAME_TYPE.keepalive:
        this.#onKeepalive(view)
        return
      case FRAME_TYPE.lease:
        this.#onLease(readLease(view))
        return
      case FRAME_TYPE.metadataPush:
        this.#onMetadataPush(view)
        return
      case FRAME_TYPE.error:
        this.owner.counters.peerErrors++
        this.abort(errorMessage(view))
        return
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
    if (data === undefined) {
      this.onFrameError('KEEPALIVE is shorter than its position')
      return
    }
    const announced = 2000 / this.facts.setup.keepaliveMs
    const max = Math.max(announced, this.owner.limits.maxKeepalivesPerSecond)
    if (!this.#keepalives.allows(this.#heardAtMs, max)) {
      this.owner.counters.keepaliveFloods++
      this.fail(RSOCKET_ERROR.connectionError, 'more keepalives than announced')
      return
    }
    if ((view.flags & FRAME_FLAG.respond) !== 0) this.sendFrame(renderKeepalive(false, 0, data))
    this.grant?.onKeepalive(this.#heardAtMs)
  }

  #onMetadataPush(view: FrameView): void {
    if (this.#pushes.allows(this.#heardAtMs, this.owner.limits.maxPushesPerSecond)) {
      this.owner.onMetadataPush(this, view.bytes.subarray(view.metadataFrom, view.metadataTo))
      return
    }
    this.owner.counters.pushFloods++
    this.fail(RSOCKET_ERROR.connectionError, 'too many METADATA_PUSH frames')
  }

  #onLease(lease: Lease | undefined): void {
    if (lease === undefined) {
      this.onFrameError('LEASE is shorter than its numbers')
      return
    }
    const untilMs = this.owner.clock.monotonicMs() + lease.ttlMs
    this.lease = { requests: lease.requests, untilMs }
  }

  #onStreamFrame(view: FrameView): void {
    const { forwarder } = this.owner
    const interaction = interactionOf(view.type)
    const entry = this.streams.get(view.streamId)
    if (interaction !== undefined) {
      if (entry !== undefined) return
      if (this.hop === undefined) forwarder.onRequest(this, view, interaction)
      else this.hop.onRequest(view, interaction)
    } else if (entry !== undefined) forwarder.onFrame(this, entry, view)
    else if (this.hop?.onFrame(view) === true) return
    else if (view.type < FRAME_TYPE.requestN || view.type > FRAME_TYPE.error) {
      // Late frames of streams that are over are dropped; types that nobody knows are an error.
      if ((view.flags & FRAME_FLAG.ignore) === 0) {
        this.onFrameError(`a frame of type 0x${view.type.toString(16)} on a stream`)
      }
    }
  }

  // The end

  /** Says why on stream 0 and closes. */
  fail(code: number, message: string): void {
    if (this.closed) return
    this.sendFrame(renderError(0, code, message))
    this.close()
  }

  /** Sends what waits and our end; the socket goes when the peer ends its side, or a little later. */
  close(): void {
    if (this.closed) return
    this.outbox.flush()
    this.#gone()
    this.socket.end()
    this.socket.resume()
    this.owner.wheel.arm(this, LINGER_MS, this.owner.clock.monotonicMs())
  }

  /** Closes at once. */
  abort(why: string): void {
    if (this.closed) return
    this.hop?.onEnd(why)
    this.#gone()
    this.owner.wheel.disarm(this)
    this.socket.close()
  }

  #gone(): void {
    if (this.closed) return
    const wasOpen = this.isOpen
    this.#state = 'closed'
    this.#early = []
    if (wasOpen) this.owner.forwarder.onLegGone(this)
    this.owner.onGone(this)
  }
}
