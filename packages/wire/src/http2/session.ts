/**
 * One HTTP/2 connection (RFC 9113), either side, without I/O: streams, both levels of
 * flow control, settings, and the end in good order or at once.
 *
 *     receive ─► FrameReader ─► Http2Session ─┬► HeadReader ────► handler.onHeaders …
 *                                    │        ├► ReceiveSide ───► handler.onData …
 *                                    │        └► ControlFrames ─► handler.onReset …
 *     out     ◄─ SendSide ◄──────────┘          send…, consumed, resetStream
 *
 * What a peer may do a thousand times is counted in `abuse.ts`.
 */
import { LF } from '../http1/bytes.ts'
import { OutBuffer } from '../http1/out-buffer.ts'
import { AbuseGuard } from './abuse.ts'
import {
  H2_ERROR,
  type Http2Counters,
  type Http2Handler,
  type Http2Options,
  type Http2SessionApi,
  newHttp2Counters,
} from './contract.ts'
import { ControlFrames } from './control-frames.ts'
import { FrameReader, type FrameSink } from './frame-reader.ts'
import {
  DEFAULT_WINDOW,
  FLAG,
  FRAME,
  PREFACE,
  SETTING,
  writeGoaway,
  writeNumberFrame,
  writePing,
  writeSettings,
} from './frames.ts'
import { type HeadOwner, HeadReader } from './head-reader.ts'
import { ReceiveSide } from './receive-side.ts'
import { RequestText, readRequestText } from './request-text.ts'
import { SendSide } from './send-side.ts'
import { Http2Stream } from './stream.ts'
import { StreamTable } from './stream-table.ts'

const MAX_STREAM_ID = 0x7fff_ffff
const STREAM_WINDOW_BYTES = 1_048_576
const CONNECTION_WINDOW_BYTES = 16_777_216
const MAX_HEAD_BYTES = 61_440
const MAX_OUT_BYTES = 1_048_576
const MAX_STREAMS = 100
/** Room that every connection has for itself. */
const OUT_BYTES = 1_024
const PING_BYTES = Buffer.from('weftping', 'latin1')
/** Streams we reset lately: frames for them were on their way and are no breach. */
const REMEMBERED = 1_024
/** Of the request that is written at this moment. */
const requestText = new RequestText()

/** `HTTP/1.1 200 …` */
const STATUS_AT = 9

function statusAt(bytes: Buffer, at: number): number {
  const digit = (i: number) => (bytes[at + i] as number) - 0x30
  return digit(0) * 100 + digit(1) * 10 + digit(2)
}

export class Http2Session implements Http2SessionApi, FrameSink, HeadOwner {
  readonly out: OutBuffer
  readonly server: boolean
  readonly handler: Http2Handler
  readonly guard: AbuseGuard
  readonly counters: Http2Counters
  readonly streams = new StreamTable<Http2Stream>()
  closed = false
  goingAway = false
  peerAllowsConnect = false
  /** The highest stream the peer has opened. */
  lastPeerId = 0
  readonly #options: Http2Options
  readonly #reader: FrameReader
  readonly #heads: HeadReader
  readonly #send: SendSide
  readonly #receive: ReceiveSide
  readonly #control: ControlFrames
  readonly #streamWindow: number
  #nextId = 1
  /** When the bytes at hand came; -1: nobody has asked yet. */
  #receivedMs = -1
  #goawayId = MAX_STREAM_ID
  #resetIds: Int32Array | undefined
  #resetNext = 0

  constructor(handler: Http2Handler, options: Http2Options) {
    this.handler = handler
    this.#options = options
    this.out = new OutBuffer(OUT_BYTES, options.memory?.take, options.memory?.give)
    this.server = options.role === 'server'
    this.counters = options.counters ?? newHttp2Counters()
    this.guard = new AbuseGuard(options.limits, this.counters, options.now)
    this.#streamWindow = options.streamWindowBytes ?? STREAM_WINDOW_BYTES
    this.#reader = new FrameReader(this, this.server)
    this.#heads = new HeadReader(this, options.maxHeadBytes ?? MAX_HEAD_BYTES)
    this.#send = new SendSide(this, options.maxOutBytes ?? MAX_OUT_BYTES, options.memory)
    const connectionWindow = options.connectionWindowBytes ?? CONNECTION_WINDOW_BYTES
    this.#receive = new ReceiveSide(this, this.#streamWindow, connectionWindow)
    this.#control = new ControlFrames(this, this.#send)
  }

  keeps(stream: Http2Stream): boolean {
    return this.#send.keeps(stream)
  }

  get pendingBytes(): number {
    return this.#send.pendingBytes
  }

  set pendingBytes(bytes: number) {
    this.#send.pendingBytes = bytes
  }

  get activeStreams(): number {
    return this.streams.size
  }

  get canOpen(): boolean {
    if (this.server || this.closed || this.goingAway || this.#nextId > MAX_STREAM_ID) return false
    return this.streams.size < this.#control.peerMaxStreams
  }

  get settingsSeen(): boolean {
    return this.#control.settingsSeen
  }

  settingsTimedOut(): void {
    if (this.closed || this.#control.settingsAcked) return
    this.counters.settings_timeout++
    this.fail(H2_ERROR.settingsTimeout, 'SETTINGS were not acknowledged')
  }

  start(): void {
    const options = this.#options
    const settings: [number, number][] = [
      [SETTING.initialWindowSize, this.#streamWindow],
      [SETTING.maxHeaderListSize, options.maxHeadBytes ?? MAX_HEAD_BYTES],
    ]
    if (this.server) {
      settings.push([SETTING.maxConcurrentStreams, this.maxStreams])
      if (options.allowConnect === true) settings.push([SETTING.enableConnectProtocol, 1])
    } else {
      this.out.append(PREFACE)
      settings.push([SETTING.enablePush, 0])
    }
    writeSettings(this.out, settings)
    this.#receive.start()
    this.handler.onOutput()
  }

  get maxStreams(): number {
    return this.#options.maxConcurrentStreams ?? MAX_STREAMS
  }

  get allowConnect(): boolean {
    return this.#options.allowConnect === true
  }

  receive(bytes: Buffer, length: number): void {
    if (this.closed) return
    this.#receivedMs = -1
    this.#reader.receive(bytes, length)
  }

  drained(): void {
    this.guard.drained()
    if (!this.closed) this.#send.pump()
  }

  /** Every way to write begins here. @returns Whether `out` was empty. */
  touch(): void {
    if (this.out.length === 0) this.handler.onOutput()
  }

  // ---- frames that came

  onFrame(type: number, flags: number, id: number, bytes: Buffer, from: number, to: number): void {
    if (!this.#control.settingsSeen && (type !== FRAME.settings || (flags & FLAG.ack) !== 0)) {
      this.fail(H2_ERROR.protocolError, 'the first frame is not SETTINGS')
      return
    }
    if (this.#heads.open && (type !== FRAME.continuation || id !== this.#heads.streamId)) {
      this.fail(H2_ERROR.protocolError, 'a head is interrupted by another frame')
      return
    }
    switch (type) {
      case FRAME.headers:
        this.#heads.onHeaders(flags, id, bytes, from, to)
        return
      case FRAME.continuation:
        this.#heads.onContinuation(flags, bytes, from, to)
        return
      case FRAME.windowUpdate:
        this.#control.onWindowUpdate(id, bytes, from, to)
        return
      case FRAME.rstStream:
        this.#control.onRstStream(id, bytes, from, to)
        return
      case FRAME.settings:
        this.#control.onSettings(flags, id, bytes, from, to)
        return
      case FRAME.ping:
        this.#control.onPing(flags, id, bytes, from, to)
        return
      case FRAME.goaway:
        this.#control.onGoaway(id, bytes, from, to)
        return
      case FRAME.priority:
        this.#control.onPriority(id, bytes, from, to)
        return
      case FRAME.pushPromise:
        this.fail(H2_ERROR.protocolError, 'PUSH_PROMISE was not asked for')
        return
      default:
      // Unknown frames are ignored (RFC 9113, section 5.5).
    }
  }

  onDataBegin(flags: number, id: number, length: number, padding: number): void {
    if (!this.#control.settingsSeen || this.#heads.open || id === 0) {
      this.fail(H2_ERROR.protocolError, 'DATA where it may not be')
    } else this.#receive.begin(flags, id, length, padding)
  }

  onDataPart(bytes: Buffer, from: number, to: number, last: boolean): void {
    this.#receive.part(bytes, from, to, last)
  }

  onFrameError(code: number, why: string): void {
    this.fail(code, why)
  }

  /** The client, or what it made us do, ended a stream early (Rapid Reset, MadeYouReset). */
  countReset(openedMs: number): void {
    if (this.server && this.guard.reset(openedMs)) {
      this.fail(H2_ERROR.enhanceYourCalm, 'too many streams end before they are answered')
    }
  }

  /** Writes what the peer provoked, unless too much of that waits already. */
  answer(write: () => void): void {
    if (this.guard.outboundControl()) {
      this.fail(H2_ERROR.enhanceYourCalm, 'too many answers wait to be read')
      return
    }
    this.touch()
    write()
  }

  // ---- what heads need (head-reader.ts)

  get refusing(): boolean {
    return this.streams.size >= this.maxStreams
  }

  /** Streams above the one our final GOAWAY named are nobody's. */
  get lastAccepted(): number {
    return this.#goawayId
  }

  openPeerStream(id: number): Http2Stream {
    const stream = this.#newStream(id)
    this.lastPeerId = id
    return stream
  }

  skipPeerStream(id: number): void {
    this.lastPeerId = id
  }

  #newStream(id: number): Http2Stream {
    const window = this.#control.settingsAcked
      ? this.#streamWindow
      : Math.max(this.#streamWindow, DEFAULT_WINDOW)
    const nowMs = this.#openingMs()
    const stream = new Http2Stream(id, window, this.#send.initialWindow, nowMs)
    this.streams.add(stream)
    this.counters.streams_active++
    this.guard.opened(nowMs)
    return stream
  }

  /** Streams that the peer opened with the bytes of one `receive` came at one time. */
  #openingMs(): number {
    if (!this.server) return this.#options.now()
    if (this.#receivedMs < 0) this.#receivedMs = this.#options.now()
    return this.#receivedMs
  }

  isIdle(id: number): boolean {
    return (id & 1) === 1 ? id > (this.server ? this.lastPeerId : this.#nextId - 2) : true
  }

  wasReset(id: number): boolean {
    return this.#resetIds?.includes(id) === true
  }

  /** A frame for a stream that is not there. */
  onStray(id: number): void {
    if (this.isIdle(id)) this.fail(H2_ERROR.protocolError, 'a frame for an idle stream')
    else if (!this.wasReset(id)) this.refuse(id, H2_ERROR.streamClosed)
  }

  /** RST_STREAM for a stream that we do not have; counts as one that ended early. */
  refuse(id: number, code: number): void {
    this.#rst(id, code)
    if (code === H2_ERROR.refusedStream && !this.#control.settingsAcked) {
      // The client cannot know yet how many streams it may open.
      if (this.guard.control()) this.fail(H2_ERROR.enhanceYourCalm, 'too many streams')
      return
    }
    this.countReset(this.#options.now())
    this.glitch()
  }

  glitch(): void {
    if (!this.closed && this.guard.glitch()) {
      this.fail(H2_ERROR.enhanceYourCalm, 'too many breaches of the protocol')
    }
  }

  /** The peer broke a rule within one stream: only that one ends. */
  streamError(stream: Http2Stream, code: number): void {
    const { openedMs } = stream
    this.end(stream)
    this.#rst(stream.id, code)
    this.handler.onReset(stream, code, false)
    this.handler.onStreamClosed(stream)
    this.countReset(openedMs)
    this.glitch()
  }

  #rst(id: number, code: number): void {
    if (this.closed) return
    this.#noteReset(id)
    this.answer(() => writeNumberFrame(this.out, FRAME.rstStream, id, code))
  }

  #noteReset(id: number): void {
    this.#resetIds ??= new Int32Array(REMEMBERED)
    this.#resetIds[this.#resetNext++ & (REMEMBERED - 1)] = id
    this.counters.tx_reset++
  }

  maybeClose(stream: Http2Stream): void {
    if (!stream.remoteEnded || !stream.localEnded || stream.closed) return
    this.end(stream)
    this.handler.onStreamClosed(stream)
  }

  /** Takes the stream out; what it received and nobody consumed goes back to the connection. */
  end(stream: Http2Stream): void {
    stream.closed = true
    if (this.streams.delete(stream.id)) this.counters.streams_active--
    this.#send.forget(stream)
    this.#receive.giveBack(stream.unconsumed)
    stream.unconsumed = 0
  }

  /** The peer broke a rule of the connection. */
  fail(code: number, why: string): void {
    if (this.closed) return
    this.close(code)
    this.handler.onSessionError(code, why)
  }

  // ---- what the owner calls

  sendRequestText(
    scheme: string,
    bytes: Buffer,
    from: number,
    to: number,
    endStream: boolean,
  ): Http2Stream | undefined {
    if (!this.canOpen) return undefined
    readRequestText(requestText, bytes, from, to)
    const stream = this.#newStream(this.#nextId)
    this.#nextId += 2
    stream.headRequest = requestText.head
    this.#send.request(stream, scheme, requestText, bytes, to, endStream)
    return stream
  }

  sendResponseText(
    stream: Http2Stream,
    bytes: Buffer,
    from: number,
    to: number,
    endStream: boolean,
  ): void {
    if (stream.closed || stream.localEnded) return
    const status = statusAt(bytes, from + STATUS_AT)
    let at = from + STATUS_AT
    while (bytes[at] !== LF) at++
    this.#send.response(stream, status, bytes, at + 1, to, endStream)
  }

  sendData(
    stream: Http2Stream,
    bytes: Buffer,
    from: number,
    to: number,
    endStream: boolean,
  ): boolean {
    if (stream.closed || stream.localEnded) return true
    return this.#send.data(stream, bytes, from, to, endStream)
  }

  sendTrailers(stream: Http2Stream, lines: Buffer, from: number, to: number): void {
    if (stream.closed || stream.localEnded) return
    this.#send.trailers(stream, lines, from, to)
  }

  consumed(stream: Http2Stream, count: number): void {
    this.#receive.consumed(stream, count)
  }

  resetStream(stream: Http2Stream, code: number): void {
    if (stream.closed || this.closed) return
    this.end(stream)
    // Nothing is left to end: the peer may have forgotten the stream.
    if (stream.remoteEnded && stream.localEnded) {
      this.handler.onStreamClosed(stream)
      return
    }
    this.#noteReset(stream.id)
    this.touch()
    writeNumberFrame(this.out, FRAME.rstStream, stream.id, code)
    this.handler.onStreamClosed(stream)
  }

  ping(): void {
    if (this.closed) return
    this.#control.pingsOut++
    this.touch()
    writePing(this.out, PING_BYTES, 0, 0)
  }

  drain(): void {
    if (!this.closed && !this.goingAway) this.#goaway(MAX_STREAM_ID, H2_ERROR.noError)
  }

  goaway(code: number): void {
    if (this.closed) return
    this.#goawayId = this.lastPeerId
    this.#goaway(this.lastPeerId, code)
  }

  #goaway(lastId: number, code: number): void {
    this.goingAway = true
    this.counters.goaway_sent++
    this.touch()
    writeGoaway(this.out, lastId, code)
  }

  close(code: number): void {
    if (this.closed) return
    this.#goaway(this.lastPeerId, code)
    this.closed = true
    for (const stream of this.streams.values()) {
      if (stream.closed) continue
      this.end(stream)
      this.handler.onReset(stream, code, false)
      this.handler.onStreamClosed(stream)
    }
  }
}
