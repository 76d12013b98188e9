/**
 * One HTTP/2 connection (RFC 9113), either side, without I/O: streams, both levels of
 * flow control, settings, and the end in good order or at once.
 *
 *     receive ─► FrameReader ─► Http2Session ─► HeadReader ─► handler.onHeaders …
 *                                    │
 *     out     ◄─ SendSide ◄──────────┘          send…, consumed, resetStream
 *
 * What a peer may do a thousand times is counted in `abuse.ts`.
 */
import type { MessageHead } from '../http1/message-head.ts'
import { OutBuffer } from '../http1/out-buffer.ts'
import { AbuseGuard } from './abuse.ts'
import {
  H2_ERROR,
  type Http2Counters,
  type Http2Handler,
  type Http2Options,
  type Http2SessionApi,
  newHttp2Counters,
  type PseudoFields,
} from './contract.ts'
import { FrameReader, type FrameSink } from './frame-reader.ts'
import {
  DEFAULT_WINDOW,
  FLAG,
  FRAME,
  MAX_WINDOW,
  PREFACE,
  readUint32,
  SETTING,
  writeGoaway,
  writeNumberFrame,
  writePing,
  writeSettings,
  writeSettingsAck,
} from './frames.ts'
import { type HeadOwner, HeadReader } from './head-reader.ts'
import { readRequestText } from './request-text.ts'
import { SendSide } from './send-side.ts'
import { Http2Stream } from './stream.ts'

const MAX_STREAM_ID = 0x7fff_ffff
const STREAM_WINDOW_BYTES = 1_048_576
const CONNECTION_WINDOW_BYTES = 16_777_216
const MAX_HEAD_BYTES = 61_440
const MAX_OUT_BYTES = 1_048_576
const MAX_STREAMS = 100
const PING_BYTES = Buffer.from('weftping', 'latin1')
/** Streams we reset lately: frames for them were on their way and are no breach. */
const REMEMBERED = 128
const NO_BYTES = Buffer.alloc(0)
const NO_CUTS = new Uint8Array(0)

export class Http2Session implements Http2SessionApi, FrameSink, HeadOwner {
  readonly out = new OutBuffer(1_024)
  readonly server: boolean
  readonly handler: Http2Handler
  readonly guard: AbuseGuard
  readonly counters: Http2Counters
  readonly streams = new Map<number, Http2Stream>()
  closed = false
  goingAway = false
  peerAllowsConnect = false
  /** The highest stream the peer has opened. */
  lastPeerId = 0
  readonly #options: Http2Options
  readonly #reader: FrameReader
  readonly #heads: HeadReader
  readonly #send: SendSide
  readonly #streamWindow: number
  readonly #connectionWindow: number
  #nextId = 1
  #settingsSeen = false
  #settingsAcked = false
  #peerMaxStreams = Number.MAX_SAFE_INTEGER
  #receiveWindow = DEFAULT_WINDOW
  #credit = 0
  /** The stream of the DATA frame at hand; `undefined` when its bytes are dropped. */
  #dataStream: Http2Stream | undefined
  #dataEnds = false
  #pingsOut = 0
  #goawayId = MAX_STREAM_ID
  readonly #resetIds = new Int32Array(REMEMBERED)
  #resetNext = 0

  constructor(handler: Http2Handler, options: Http2Options) {
    this.handler = handler
    this.#options = options
    this.server = options.role === 'server'
    this.counters = options.counters ?? newHttp2Counters()
    this.guard = new AbuseGuard(options.limits, this.counters, options.now)
    this.#streamWindow = options.streamWindowBytes ?? STREAM_WINDOW_BYTES
    this.#connectionWindow = options.connectionWindowBytes ?? CONNECTION_WINDOW_BYTES
    this.#reader = new FrameReader(this, this.server)
    this.#heads = new HeadReader(this, options.maxHeadBytes ?? MAX_HEAD_BYTES)
    this.#send = new SendSide(this, options.maxOutBytes ?? MAX_OUT_BYTES)
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
    return this.streams.size < this.#peerMaxStreams
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
    const more = this.#connectionWindow - DEFAULT_WINDOW
    if (more > 0) {
      writeNumberFrame(this.out, FRAME.windowUpdate, 0, more)
      this.#receiveWindow += more
    }
    this.handler.onOutput()
  }

  get maxStreams(): number {
    return this.#options.maxConcurrentStreams ?? MAX_STREAMS
  }

  get allowConnect(): boolean {
    return this.#options.allowConnect === true
  }

  receive(bytes: Buffer, length: number): void {
    if (!this.closed) this.#reader.receive(bytes, length)
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
    if (!this.#settingsSeen && (type !== FRAME.settings || (flags & FLAG.ack) !== 0)) {
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
        this.#onWindowUpdate(id, bytes, from, to)
        return
      case FRAME.rstStream:
        this.#onRstStream(id, bytes, from, to)
        return
      case FRAME.settings:
        this.#onSettings(flags, id, bytes, from, to)
        return
      case FRAME.ping:
        this.#onPing(flags, id, bytes, from, to)
        return
      case FRAME.goaway:
        this.#onGoaway(id, bytes, from, to)
        return
      case FRAME.priority:
        this.#onPriority(id, bytes, from, to)
        return
      case FRAME.pushPromise:
        this.fail(H2_ERROR.protocolError, 'PUSH_PROMISE was not asked for')
        return
      default:
      // Unknown frames are ignored (RFC 9113, section 5.5).
    }
  }

  onDataBegin(flags: number, id: number, length: number, padding: number): void {
    this.#dataStream = undefined
    if (!this.#settingsSeen || this.#heads.open || id === 0) {
      this.fail(H2_ERROR.protocolError, 'DATA where it may not be')
      return
    }
    this.#receiveWindow -= length
    if (this.#receiveWindow < 0) {
      this.fail(H2_ERROR.flowControlError, 'more DATA than the connection window allows')
      return
    }
    const stream = this.streams.get(id)
    const content = length - padding
    const ends = (flags & FLAG.endStream) !== 0
    if (stream === undefined) {
      this.#giveBack(length)
      this.onStray(id)
      return
    }
    if (content === 0 && !ends) {
      if (this.guard.emptyFrame()) {
        this.fail(H2_ERROR.enhanceYourCalm, 'too many empty frames')
        return
      }
    } else this.guard.fullFrame()
    const code = this.#dataError(stream, length, content, ends)
    if (code !== H2_ERROR.noError) {
      this.#giveBack(length)
      this.streamError(stream, code)
      return
    }
    stream.receiveWindow -= length
    stream.unconsumed += length
    if (stream.bodyLeft >= 0) stream.bodyLeft -= content
    this.#dataStream = stream
    this.#dataEnds = ends
    if (padding > 0) this.consumed(stream, padding)
  }

  #dataError(stream: Http2Stream, length: number, content: number, ends: boolean): number {
    if (stream.remoteEnded) return H2_ERROR.streamClosed
    if (!stream.headDone) return H2_ERROR.protocolError
    if (length > stream.receiveWindow) return H2_ERROR.flowControlError
    if (stream.bodyLeft >= 0) {
      const left = stream.bodyLeft - content
      if (left < 0 || (ends && left !== 0)) {
        this.counters.rx_messaging_error++
        return H2_ERROR.protocolError
      }
    }
    return H2_ERROR.noError
  }

  onDataPart(bytes: Buffer, from: number, to: number, last: boolean): void {
    const stream = this.#dataStream
    // Reset while its bytes came: what was not consumed was given back then.
    if (stream === undefined || stream.closed) return
    const ends = last && this.#dataEnds
    if (to === from && !ends) return
    if (ends) stream.remoteEnded = true
    this.handler.onData(stream, bytes, from, to, ends)
    if (ends) this.maybeClose(stream)
  }

  onFrameError(code: number, why: string): void {
    this.fail(code, why)
  }

  #onWindowUpdate(id: number, bytes: Buffer, from: number, to: number): void {
    if (to - from !== 4) {
      this.fail(H2_ERROR.frameSizeError, 'WINDOW_UPDATE has not four bytes')
      return
    }
    if (this.guard.windowUpdate()) {
      this.fail(H2_ERROR.enhanceYourCalm, 'too many WINDOW_UPDATE frames')
      return
    }
    const more = readUint32(bytes, from) % 0x8000_0000
    const stream = this.streams.get(id)
    if (id === 0) {
      if (more === 0) this.fail(H2_ERROR.protocolError, 'WINDOW_UPDATE of nothing')
      else if (this.#send.window + more > MAX_WINDOW) {
        this.fail(H2_ERROR.flowControlError, 'the connection window is too large')
      } else this.#send.open(more)
    } else if (stream === undefined) {
      if (this.isIdle(id)) this.fail(H2_ERROR.protocolError, 'WINDOW_UPDATE on an idle stream')
    } else if (more === 0) this.streamError(stream, H2_ERROR.protocolError)
    else if (stream.sendWindow + more > MAX_WINDOW) {
      this.streamError(stream, H2_ERROR.flowControlError)
    } else {
      stream.sendWindow += more
      this.#send.pumpStream(stream)
    }
  }

  #onRstStream(id: number, bytes: Buffer, from: number, to: number): void {
    if (to - from !== 4) {
      this.fail(H2_ERROR.frameSizeError, 'RST_STREAM has not four bytes')
      return
    }
    const stream = this.streams.get(id)
    if (stream === undefined) {
      if (this.isIdle(id)) this.fail(H2_ERROR.protocolError, 'RST_STREAM on an idle stream')
      else if (this.guard.control()) this.fail(H2_ERROR.enhanceYourCalm, 'too many RST_STREAM')
      return
    }
    this.counters.rx_reset++
    const { openedMs } = stream
    this.end(stream)
    this.handler.onReset(stream, readUint32(bytes, from), true)
    this.handler.onStreamClosed(stream)
    this.#countReset(openedMs)
  }

  /** The client, or what it made us do, ended a stream early (Rapid Reset, MadeYouReset). */
  #countReset(openedMs: number): void {
    if (this.server && this.guard.reset(openedMs)) {
      this.fail(H2_ERROR.enhanceYourCalm, 'too many streams end before they are answered')
    }
  }

  #onSettings(flags: number, id: number, bytes: Buffer, from: number, to: number): void {
    const ack = (flags & FLAG.ack) !== 0
    if (id !== 0) {
      this.fail(H2_ERROR.protocolError, 'SETTINGS on a stream')
      return
    }
    if ((to - from) % 6 !== 0 || (ack && to !== from)) {
      this.fail(H2_ERROR.frameSizeError, 'SETTINGS has a wrong length')
      return
    }
    if (this.guard.control()) {
      this.fail(H2_ERROR.enhanceYourCalm, 'too many SETTINGS')
      return
    }
    if (ack) {
      this.#settingsAcked = true
      return
    }
    this.#settingsSeen = true
    for (let at = from; at < to && !this.closed; at += 6) {
      const setting = ((bytes[at] as number) << 8) | (bytes[at + 1] as number)
      const code = this.#apply(setting, readUint32(bytes, at + 2))
      if (code !== H2_ERROR.noError) this.fail(code, 'SETTINGS has a value that is not allowed')
    }
    if (this.closed) return
    this.#answer(() => writeSettingsAck(this.out))
    this.#send.pump()
    this.handler.onSettings()
  }

  #apply(setting: number, value: number): number {
    switch (setting) {
      case SETTING.headerTableSize:
        this.#send.heads.limitTable(value)
        return H2_ERROR.noError
      case SETTING.enablePush:
        return value > 1 || (!this.server && value === 1)
          ? H2_ERROR.protocolError
          : H2_ERROR.noError
      case SETTING.maxConcurrentStreams:
        this.#peerMaxStreams = value
        return H2_ERROR.noError
      case SETTING.initialWindowSize:
        if (value > MAX_WINDOW) return H2_ERROR.flowControlError
        return this.#send.resizeWindows(value) ? H2_ERROR.noError : H2_ERROR.flowControlError
      case SETTING.maxFrameSize:
        return value < 16_384 || value > 16_777_215 ? H2_ERROR.protocolError : H2_ERROR.noError
      case SETTING.enableConnectProtocol:
        if (value > 1) return H2_ERROR.protocolError
        this.peerAllowsConnect = value === 1
        return H2_ERROR.noError
      default:
        return H2_ERROR.noError
    }
  }

  /** Writes what the peer provoked, unless too much of that waits already. */
  #answer(write: () => void): void {
    if (this.guard.outboundControl()) {
      this.fail(H2_ERROR.enhanceYourCalm, 'too many answers wait to be read')
      return
    }
    this.touch()
    write()
  }

  #onPing(flags: number, id: number, bytes: Buffer, from: number, to: number): void {
    if (id !== 0) this.fail(H2_ERROR.protocolError, 'PING on a stream')
    else if (to - from !== 8) this.fail(H2_ERROR.frameSizeError, 'PING has not eight bytes')
    else if ((flags & FLAG.ack) !== 0 && this.#pingsOut > 0) {
      this.#pingsOut--
      this.handler.onPingAck()
    } else if (this.guard.control()) this.fail(H2_ERROR.enhanceYourCalm, 'too many PING')
    else if ((flags & FLAG.ack) === 0)
      this.#answer(() => writePing(this.out, bytes, from, FLAG.ack))
  }

  #onGoaway(id: number, bytes: Buffer, from: number, to: number): void {
    if (id !== 0 || to - from < 8) {
      this.fail(id === 0 ? H2_ERROR.frameSizeError : H2_ERROR.protocolError, 'malformed GOAWAY')
      return
    }
    const lastId = readUint32(bytes, from) % 0x8000_0000
    this.goingAway = true
    if (!this.server) {
      for (const stream of [...this.streams.values()]) {
        if (stream.id <= lastId || stream.closed) continue
        this.end(stream)
        this.handler.onReset(stream, H2_ERROR.refusedStream, true)
        this.handler.onStreamClosed(stream)
      }
    }
    this.handler.onGoaway(lastId, readUint32(bytes, from + 4))
  }

  /** Ignored, but for its rules (RFC 9113, section 5.3.2). */
  #onPriority(id: number, bytes: Buffer, from: number, to: number): void {
    const stream = this.streams.get(id)
    if (id === 0) this.fail(H2_ERROR.protocolError, 'PRIORITY without a stream')
    else if (this.guard.priority()) this.fail(H2_ERROR.enhanceYourCalm, 'too many PRIORITY')
    else if (to - from !== 5) {
      if (stream !== undefined) this.streamError(stream, H2_ERROR.frameSizeError)
      else this.fail(H2_ERROR.frameSizeError, 'PRIORITY has not five bytes')
    } else if (stream !== undefined && readUint32(bytes, from) % 0x8000_0000 === id) {
      this.streamError(stream, H2_ERROR.protocolError)
    }
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
    const window = this.#settingsAcked
      ? this.#streamWindow
      : Math.max(this.#streamWindow, DEFAULT_WINDOW)
    const stream = new Http2Stream(id, window, this.#send.initialWindow, this.#options.now())
    this.streams.set(id, stream)
    this.guard.opened()
    return stream
  }

  isIdle(id: number): boolean {
    return (id & 1) === 1 ? id > (this.server ? this.lastPeerId : this.#nextId - 2) : true
  }

  wasReset(id: number): boolean {
    return this.#resetIds.includes(id)
  }

  /** A frame for a stream that is not there. */
  onStray(id: number): void {
    if (this.isIdle(id)) this.fail(H2_ERROR.protocolError, 'a frame for an idle stream')
    else if (!this.wasReset(id)) this.refuse(id, H2_ERROR.streamClosed)
  }

  /** RST_STREAM for a stream that we do not have; counts as one that ended early. */
  refuse(id: number, code: number): void {
    this.#rst(id, code)
    this.#countReset(this.#options.now())
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
    this.#countReset(openedMs)
    this.glitch()
  }

  #rst(id: number, code: number): void {
    if (this.closed) return
    this.#resetIds[this.#resetNext++ & (REMEMBERED - 1)] = id
    this.counters.tx_reset++
    this.#answer(() => writeNumberFrame(this.out, FRAME.rstStream, id, code))
  }

  maybeClose(stream: Http2Stream): void {
    if (!stream.remoteEnded || !stream.localEnded || stream.closed) return
    this.end(stream)
    this.handler.onStreamClosed(stream)
  }

  /** Takes the stream out; what it received and nobody consumed goes back to the connection. */
  end(stream: Http2Stream): void {
    stream.closed = true
    this.streams.delete(stream.id)
    this.#send.forget(stream)
    this.#giveBack(stream.unconsumed)
    stream.unconsumed = 0
  }

  /** The peer broke a rule of the connection. */
  fail(code: number, why: string): void {
    if (this.closed) return
    this.close(code)
    this.handler.onSessionError(code, why)
  }

  // ---- what the owner calls

  sendRequest(
    pseudo: PseudoFields,
    head: MessageHead,
    bytes: Buffer,
    cuts: Uint8Array,
    extra: Buffer,
    extraLength: number,
    endStream: boolean,
  ): Http2Stream | undefined {
    if (!this.canOpen) return undefined
    const stream = this.#newStream(this.#nextId)
    this.#nextId += 2
    stream.headRequest = pseudo.method === 'HEAD'
    this.#send.request(stream, pseudo, head, bytes, cuts, extra, extraLength, endStream)
    return stream
  }

  sendRequestText(
    scheme: string,
    bytes: Buffer,
    from: number,
    to: number,
    endStream: boolean,
  ): Http2Stream | undefined {
    if (!this.canOpen) return undefined
    const { pseudo, linesFrom } = readRequestText(scheme, bytes, from, to)
    const stream = this.#newStream(this.#nextId)
    this.#nextId += 2
    stream.headRequest = pseudo.method === 'HEAD'
    const lines = bytes.subarray(linesFrom, to)
    const { length } = lines
    this.#send.request(stream, pseudo, undefined, NO_BYTES, NO_CUTS, lines, length, endStream)
    return stream
  }

  sendResponse(
    stream: Http2Stream,
    status: number,
    head: MessageHead | undefined,
    bytes: Buffer,
    cuts: Uint8Array,
    extra: Buffer,
    extraLength: number,
    endStream: boolean,
  ): void {
    if (stream.closed || stream.localEnded) return
    this.#send.response(stream, status, head, bytes, cuts, extra, extraLength, endStream)
  }

  sendResponseText(
    stream: Http2Stream,
    bytes: Buffer,
    from: number,
    to: number,
    endStream: boolean,
  ): void {
    if (stream.closed || stream.localEnded) return
    // `HTTP/1.1 200 …`
    const status = Number(bytes.toString('latin1', from + 9, from + 12))
    const lines = bytes.subarray(bytes.indexOf(0x0a, from) + 1, to)
    const { length } = lines
    this.#send.response(stream, status, undefined, NO_BYTES, NO_CUTS, lines, length, endStream)
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
    this.#send.trailers(stream, lines.subarray(from, to))
  }

  consumed(stream: Http2Stream, count: number): void {
    if (stream.closed || this.closed) return
    const given = Math.min(count, stream.unconsumed)
    stream.unconsumed -= given
    this.#giveBack(given)
    stream.credit += given
    if (stream.remoteEnded || stream.credit * 2 < this.#streamWindow) return
    this.touch()
    writeNumberFrame(this.out, FRAME.windowUpdate, stream.id, stream.credit)
    stream.receiveWindow += stream.credit
    stream.credit = 0
  }

  #giveBack(count: number): void {
    this.#credit += count
    if (this.closed || this.#credit * 2 < this.#connectionWindow) return
    this.touch()
    writeNumberFrame(this.out, FRAME.windowUpdate, 0, this.#credit)
    this.#receiveWindow += this.#credit
    this.#credit = 0
  }

  resetStream(stream: Http2Stream, code: number): void {
    if (stream.closed || this.closed) return
    this.end(stream)
    this.#resetIds[this.#resetNext++ & (REMEMBERED - 1)] = stream.id
    this.counters.tx_reset++
    this.touch()
    writeNumberFrame(this.out, FRAME.rstStream, stream.id, code)
    this.handler.onStreamClosed(stream)
  }

  ping(): void {
    if (this.closed) return
    this.#pingsOut++
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
    for (const stream of [...this.streams.values()]) {
      if (stream.closed) continue
      this.end(stream)
      this.handler.onReset(stream, code, false)
      this.handler.onStreamClosed(stream)
    }
  }
}
