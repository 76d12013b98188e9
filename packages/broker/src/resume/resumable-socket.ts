/**
 * A connection that outlives its carrier. A leg takes it for its socket and knows nothing else: what
 * it writes is numbered and held for a while, what comes in is counted, and when the carrier breaks the
 * leg only sees a socket that takes no more, until the peer comes back with RESUME or time is over
 * (Protocol.md, "Resuming Operation").
 *
 *     first ─► plain                       no resume token: out of the way from here on
 *           ├► carried ⇄ lost ─► over      SETUP with a token
 *           └► over                        RESUME: its carrier goes to the one that lost its own
 */
import type { Socket, SocketHandler } from '@weft/net'
import {
  FRAME_FLAG,
  FRAME_TYPE,
  FrameView,
  isResumable,
  RSOCKET_ERROR,
  RSocketFrameReader,
  type RSocketFrameSink,
  readFrame,
  readResume,
  readSetup,
  receivedPosition,
  renderKeepalive,
  renderResumeOk,
  renderSetup,
} from '@weft/wire'
import { FrameRing } from './frame-ring.ts'

/** The leg on top, and who finds others by their tokens. */
export interface ResumeHome {
  readonly windowMs: number
  readonly maxBytes: number
  readonly maxSetupBytes: number
  readonly maxFrameBytes: number
  after(delayMs: number, fire: () => void): () => void
  /** Whether the leg was let in. */
  isOpen(): boolean
  /** Ends the leg with an ERROR on stream 0. */
  fail(code: number, why: string): void
  /** A text says why there can be no such session. */
  keep(token: Uint8Array, socket: ResumableSocket): string | undefined
  find(token: Uint8Array): ResumableSocket | undefined
  forget(token: Uint8Array): void
  onLost(): void
  onResumed(): void
}

const PREFIX_BYTES = 3
/** A length prefix and the head of a frame. */
const HEAD_BYTES = 9
const DEAF: SocketHandler = { onOpen() {}, onData() {}, onEnd() {}, onDrain() {}, onClose() {} }

type State = 'first' | 'plain' | 'carried' | 'lost' | 'over'

export class ResumableSocket implements Socket, SocketHandler, RSocketFrameSink {
  /** The leg. */
  handler: SocketHandler = DEAF
  /** The last one, gone or not. */
  #carrier: Socket
  #state: State = 'first'
  readonly #home: ResumeHome
  #head: Buffer | undefined
  #in: RSocketFrameReader | undefined
  #out: RSocketFrameReader | undefined
  #ring: FrameRing | undefined
  readonly #view = new FrameView()
  #token: Uint8Array | undefined
  /** Who the peer proved to be, as far as its socket says. */
  #proof = ''
  #receivedBytes = 0
  /** Of the write that is being looked at. */
  #leaving: Buffer[] = []
  #isPaused = false
  #cancel: () => void = () => undefined

  constructor(carrier: Socket, home: ResumeHome) {
    this.#carrier = carrier
    this.#home = home
  }

  // What the carrier reports.

  onOpen(): void {}

  onData(bytes: Uint8Array, length: number): void {
    if (this.#state === 'first') this.#onFirst(bytes.subarray(0, length))
    else this.#in?.receive(bytes, length)
  }

  /** Looks at the head of the first frame, and steps aside unless it is about resumption. */
  #onFirst(bytes: Uint8Array): void {
    const head = this.#head === undefined ? bytes : Buffer.concat([this.#head, bytes])
    if (head.length < HEAD_BYTES) {
      this.#head = Buffer.from(head)
      return
    }
    this.#head = undefined
    const word = ((head[7] ?? 0) << 8) | (head[8] ?? 0)
    const type = word >>> 10
    const asks = type === FRAME_TYPE.setup && (word & FRAME_FLAG.resume) !== 0
    if (!asks && type !== FRAME_TYPE.resume) {
      this.#state = 'plain'
      this.#carrier.handler = this.handler
      this.handler.onData(head, head.length)
      return
    }
    this.#in = new RSocketFrameReader(this, this.#home.maxSetupBytes)
    this.#in.receive(head, head.length)
  }

  onFrame(bytes: Uint8Array, from: number, to: number): void {
    const view = this.#view
    const why = readFrame(view, bytes, from, to)
    if (this.#state === 'first') this.#begin(view)
    else if (why === undefined && !this.#count(view)) return
    else this.#deliver(bytes, from, to)
  }

  onFrameError(why: string): void {
    this.#home.fail(RSOCKET_ERROR.connectionError, why)
  }

  #deliver(bytes: Uint8Array, from: number, to: number): void {
    const frame = bytes.subarray(from - PREFIX_BYTES, to)
    this.handler.onData(frame, frame.length)
  }

  /** False: the peer says that it has what was never sent. */
  #count(view: FrameView): boolean {
    if (isResumable(view)) this.#receivedBytes += view.to - view.from
    else if (view.streamId === 0 && view.type === FRAME_TYPE.keepalive) {
      const position = receivedPosition(view)
      const ring = this.#ring
      if (position === undefined || ring === undefined) return true
      // Behind what was forgotten to make room: nothing to drop.
      if (position > ring.position || (ring.has(position) && !ring.dropTo(position))) {
        this.#home.fail(RSOCKET_ERROR.connectionError, 'KEEPALIVE has an impossible position')
        return false
      }
    }
    return true
  }

  #begin(view: FrameView): void {
    if (view.type === FRAME_TYPE.resume) {
      this.#handOver(view)
      return
    }
    const setup = readSetup(view)
    const token = typeof setup === 'string' ? undefined : setup.resumeToken
    const refused = token && this.#home.keep(token, this)
    if (refused !== undefined) {
      this.#home.fail(RSOCKET_ERROR.rejectedSetup, refused)
      return
    }
    this.#state = 'carried'
    this.#token = token
    this.#proof = proofOf(this.#carrier)
    this.#ring = new FrameRing(this.#home.maxBytes)
    const leaving: RSocketFrameSink = {
      closed: false,
      onFrame: (bytes, from, to) => this.#onLeaving(bytes, from, to),
      onFrameError: (why) => this.#home.fail(RSOCKET_ERROR.connectionError, why),
    }
    this.#out = new RSocketFrameReader(leaving, 0xff_ff_ff)
    if (this.#in !== undefined) this.#in.maxFrameBytes = this.#home.maxFrameBytes
    if (typeof setup === 'string') this.#deliver(view.bytes, view.from, view.to)
    else {
      const plain = renderSetup({ ...setup, resumeToken: undefined })
      this.handler.onData(plain, plain.length)
    }
  }

  /** RESUME: this carrier is another's. */
  #handOver(view: FrameView): void {
    const resume = readResume(view)
    if (typeof resume === 'string') {
      this.#home.fail(RSOCKET_ERROR.rejectedResume, resume)
      return
    }
    const carrier = this.#carrier
    const session = this.#home.find(resume.token)
    const why =
      session === undefined
        ? 'WEFT-404 there is no such session, or its time is over'
        : session.#problem(carrier, resume)
    if (session === undefined || why !== undefined) {
      this.#home.fail(RSOCKET_ERROR.rejectedResume, why ?? '')
      return
    }
    this.#state = 'over'
    this.handler.onClose(undefined)
    session.#attach(carrier)
  }

  #problem(
    carrier: Socket,
    resume: { lastReceivedServerPosition: number; firstAvailableClientPosition: number },
  ): string | undefined {
    if (proofOf(carrier) !== this.#proof) return 'WEFT-403 the session is somebody else’s'
    if (resume.firstAvailableClientPosition > this.#receivedBytes) {
      return 'frames of the client are lost'
    }
    const position = resume.lastReceivedServerPosition
    return this.#ring?.dropTo(position) === true ? undefined : 'frames of the broker are lost'
  }

  #attach(carrier: Socket): void {
    this.#cancel()
    if (this.#state === 'carried') this.#drop()
    this.#state = 'carried'
    this.#carrier = carrier
    carrier.handler = this
    this.#in = new RSocketFrameReader(this, this.#home.maxFrameBytes)
    const again = this.#ring?.all() ?? Buffer.alloc(0)
    carrier.write(Buffer.concat([renderResumeOk(this.#receivedBytes), again]))
    if (this.#isPaused) carrier.pause()
    this.#home.onResumed()
    // What the leg has kept back; with much to send again that is after it.
    if (carrier.pendingBytes === 0) this.handler.onDrain()
  }

  onEnd(): void {
    if (this.#state === 'carried' && this.#home.isOpen()) this.#lose(undefined)
    else this.handler.onEnd()
  }

  onDrain(): void {
    this.handler.onDrain()
  }

  onClose(error: Error | undefined): void {
    if (this.#state === 'carried' && this.#home.isOpen()) this.#lose(error)
    else this.#end(error)
  }

  #lose(error: Error | undefined): void {
    this.#drop()
    this.#state = 'lost'
    this.#cancel = this.#home.after(this.#home.windowMs, () => this.#end(error))
    this.#home.onLost()
  }

  #drop(): void {
    this.#carrier.handler = DEAF
    this.#carrier.close()
  }

  #end(error: Error | undefined): void {
    this.#over()
    this.handler.onClose(error)
  }

  #over(): void {
    this.#state = 'over'
    this.#cancel()
    if (this.#token !== undefined) this.#home.forget(this.#token)
    this.#token = undefined
  }

  // What the leg asks for.

  get closed(): boolean {
    return this.#state === 'over'
  }

  get copiesWrites(): boolean {
    return this.#ring !== undefined || this.#carrier.copiesWrites === true
  }

  get pendingBytes(): number {
    return this.#state === 'lost' ? (this.#ring?.bytes ?? 0) : this.#carrier.pendingBytes
  }

  write(bytes: Uint8Array): boolean {
    if (this.#out === undefined) return this.#carrier.write(bytes)
    if (this.closed) return true
    this.#out.receive(bytes, bytes.length)
    const leaving = this.#leaving
    this.#leaving = []
    if (this.#state === 'lost') return false
    const [only] = leaving
    if (only === undefined) return true
    return this.#carrier.write(leaving.length === 1 ? only : Buffer.concat(leaving))
  }

  #onLeaving(bytes: Uint8Array, from: number, to: number): void {
    const view = this.#view
    if (readFrame(view, bytes, from, to) !== undefined) return
    if (isResumable(view)) {
      const frame = Buffer.from(bytes.subarray(from - PREFIX_BYTES, to))
      this.#ring?.push(frame, this.#state === 'carried')
      this.#leaving.push(frame)
    } else if (view.type === FRAME_TYPE.keepalive) {
      const data = bytes.subarray(from + 14, to)
      const isAsking = (view.flags & FRAME_FLAG.respond) !== 0
      this.#leaving.push(renderKeepalive(isAsking, this.#receivedBytes, data))
    } else this.#leaving.push(Buffer.from(bytes.subarray(from - PREFIX_BYTES, to)))
  }

  pause(): void {
    this.#isPaused = true
    if (this.#state !== 'lost') this.#carrier.pause()
  }

  resume(): void {
    this.#isPaused = false
    if (this.#state !== 'lost') this.#carrier.resume()
  }

  bulkReads(on: boolean): boolean {
    return !on
  }

  end(): void {
    this.#leave((carrier) => carrier.end())
  }

  close(): void {
    this.#leave((carrier) => carrier.close())
  }

  reset(): void {
    this.#leave((carrier) => carrier.reset())
  }

  /** For good: nobody can come back. */
  #leave(how: (carrier: Socket) => void): void {
    const wasLost = this.#state === 'lost'
    this.#over()
    if (wasLost) queueMicrotask(() => this.handler.onClose(undefined))
    else how(this.#carrier)
  }

  get remoteAddress() {
    return this.#carrier.remoteAddress
  }

  get directAddress() {
    return this.#carrier.directAddress
  }

  get localAddress() {
    return this.#carrier.localAddress
  }

  get tls() {
    return this.#carrier.tls
  }
}

/** A session goes on only for who shows the same certificate names, and never in plaintext after TLS. */
function proofOf({ tls }: Socket): string {
  return tls === undefined
    ? 'plain'
    : JSON.stringify([tls.peer?.uriSans ?? [], tls.peer?.dnsSans ?? []])
}
