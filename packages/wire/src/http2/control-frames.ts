/**
 * The frames of a peer that are neither DATA nor heads: their rules, what they change,
 * and the answers to them. Each may be sent without end: `abuse.ts` counts.
 */
import type { OutBuffer } from '../http1/out-buffer.ts'
import type { AbuseGuard } from './abuse.ts'
import { H2_ERROR, type Http2Counters, type Http2Handler } from './contract.ts'
import { FLAG, MAX_WINDOW, readUint32, SETTING, writePing, writeSettingsAck } from './frames.ts'
import type { SendSide } from './send-side.ts'
import type { Http2Stream, OpenStreams } from './stream.ts'

interface Session {
  readonly out: OutBuffer
  readonly server: boolean
  readonly handler: Http2Handler
  readonly guard: AbuseGuard
  readonly counters: Http2Counters
  readonly streams: OpenStreams
  readonly closed: boolean
  goingAway: boolean
  peerAllowsConnect: boolean
  isIdle(id: number): boolean
  answer(write: () => void): void
  countReset(openedMs: number): void
  end(stream: Http2Stream): void
  fail(code: number, why: string): void
  streamError(stream: Http2Stream, code: number): void
}

export class ControlFrames {
  settingsSeen = false
  settingsAcked = false
  peerMaxStreams = Number.MAX_SAFE_INTEGER
  /** Of ours, not answered yet. */
  pingsOut = 0
  readonly #session: Session
  readonly #send: SendSide

  constructor(session: Session, send: SendSide) {
    this.#session = session
    this.#send = send
  }

  onWindowUpdate(id: number, bytes: Buffer, from: number, to: number): void {
    const session = this.#session
    if (to - from !== 4) {
      session.fail(H2_ERROR.frameSizeError, 'WINDOW_UPDATE has not four bytes')
      return
    }
    if (session.guard.windowUpdate()) {
      session.fail(H2_ERROR.enhanceYourCalm, 'too many WINDOW_UPDATE frames')
      return
    }
    const more = readUint32(bytes, from) % 0x8000_0000
    const stream = session.streams.get(id)
    if (id === 0) {
      if (more === 0) session.fail(H2_ERROR.protocolError, 'WINDOW_UPDATE of nothing')
      else if (this.#send.window + more > MAX_WINDOW) {
        session.fail(H2_ERROR.flowControlError, 'the connection window is too large')
      } else this.#send.open(more)
    } else if (stream === undefined) {
      if (session.isIdle(id))
        session.fail(H2_ERROR.protocolError, 'WINDOW_UPDATE on an idle stream')
    } else if (more === 0) session.streamError(stream, H2_ERROR.protocolError)
    else if (stream.sendWindow + more > MAX_WINDOW) {
      session.streamError(stream, H2_ERROR.flowControlError)
    } else {
      stream.sendWindow += more
      this.#send.pumpStream(stream)
    }
  }

  onRstStream(id: number, bytes: Buffer, from: number, to: number): void {
    const session = this.#session
    if (to - from !== 4) {
      session.fail(H2_ERROR.frameSizeError, 'RST_STREAM has not four bytes')
      return
    }
    const stream = session.streams.get(id)
    if (stream === undefined) {
      if (session.isIdle(id)) session.fail(H2_ERROR.protocolError, 'RST_STREAM on an idle stream')
      else if (session.guard.strayReset())
        session.fail(H2_ERROR.enhanceYourCalm, 'too many RST_STREAM')
      return
    }
    session.counters.rx_reset++
    const { openedMs } = stream
    session.end(stream)
    session.handler.onReset(stream, readUint32(bytes, from), true)
    session.handler.onStreamClosed(stream)
    session.countReset(openedMs)
  }

  onSettings(flags: number, id: number, bytes: Buffer, from: number, to: number): void {
    const session = this.#session
    const ack = (flags & FLAG.ack) !== 0
    if (id !== 0) {
      session.fail(H2_ERROR.protocolError, 'SETTINGS on a stream')
      return
    }
    if ((to - from) % 6 !== 0 || (ack && to !== from)) {
      session.fail(H2_ERROR.frameSizeError, 'SETTINGS has a wrong length')
      return
    }
    if (session.guard.control()) {
      session.fail(H2_ERROR.enhanceYourCalm, 'too many SETTINGS')
      return
    }
    if (ack) {
      this.settingsAcked = true
      return
    }
    this.settingsSeen = true
    for (let at = from; at < to && !session.closed; at += 6) {
      const setting = ((bytes[at] as number) << 8) | (bytes[at + 1] as number)
      const code = this.#apply(setting, readUint32(bytes, at + 2))
      if (code !== H2_ERROR.noError) session.fail(code, 'SETTINGS has a value that is not allowed')
    }
    if (session.closed) return
    session.answer(() => writeSettingsAck(session.out))
    this.#send.pump()
    session.handler.onSettings()
  }

  #apply(setting: number, value: number): number {
    const session = this.#session
    switch (setting) {
      case SETTING.headerTableSize:
        this.#send.heads.limitTable(value)
        return H2_ERROR.noError
      case SETTING.enablePush:
        return value > 1 || (!session.server && value === 1)
          ? H2_ERROR.protocolError
          : H2_ERROR.noError
      case SETTING.maxConcurrentStreams:
        this.peerMaxStreams = value
        return H2_ERROR.noError
      case SETTING.initialWindowSize:
        if (value > MAX_WINDOW) return H2_ERROR.flowControlError
        return this.#send.resizeWindows(value) ? H2_ERROR.noError : H2_ERROR.flowControlError
      case SETTING.maxFrameSize:
        return value < 16_384 || value > 16_777_215 ? H2_ERROR.protocolError : H2_ERROR.noError
      case SETTING.enableConnectProtocol:
        if (value > 1) return H2_ERROR.protocolError
        session.peerAllowsConnect = value === 1
        return H2_ERROR.noError
      default:
        return H2_ERROR.noError
    }
  }

  onPing(flags: number, id: number, bytes: Buffer, from: number, to: number): void {
    const session = this.#session
    if (id !== 0) session.fail(H2_ERROR.protocolError, 'PING on a stream')
    else if (to - from !== 8) session.fail(H2_ERROR.frameSizeError, 'PING has not eight bytes')
    else if ((flags & FLAG.ack) !== 0 && this.pingsOut > 0) {
      this.pingsOut--
      session.handler.onPingAck()
    } else if (session.guard.control()) session.fail(H2_ERROR.enhanceYourCalm, 'too many PING')
    else if ((flags & FLAG.ack) === 0)
      session.answer(() => writePing(session.out, bytes, from, FLAG.ack))
  }

  onGoaway(id: number, bytes: Buffer, from: number, to: number): void {
    const session = this.#session
    if (id !== 0 || to - from < 8) {
      session.fail(id === 0 ? H2_ERROR.frameSizeError : H2_ERROR.protocolError, 'malformed GOAWAY')
      return
    }
    const lastId = readUint32(bytes, from) % 0x8000_0000
    session.goingAway = true
    session.counters.goaway_received++
    if (!session.server) {
      for (const stream of session.streams.values()) {
        if (stream.id <= lastId || stream.closed) continue
        session.end(stream)
        session.handler.onReset(stream, H2_ERROR.refusedStream, true)
        session.handler.onStreamClosed(stream)
      }
    }
    session.handler.onGoaway(lastId, readUint32(bytes, from + 4))
  }

  /** Ignored, but for its rules (RFC 9113, section 5.3.2). */
  onPriority(id: number, bytes: Buffer, from: number, to: number): void {
    const session = this.#session
    const stream = session.streams.get(id)
    if (id === 0) session.fail(H2_ERROR.protocolError, 'PRIORITY without a stream')
    else if (session.guard.priority()) session.fail(H2_ERROR.enhanceYourCalm, 'too many PRIORITY')
    else if (to - from !== 5) {
      if (stream !== undefined) session.streamError(stream, H2_ERROR.frameSizeError)
      else session.fail(H2_ERROR.frameSizeError, 'PRIORITY has not five bytes')
    } else if (stream !== undefined && readUint32(bytes, from) % 0x8000_0000 === id) {
      session.streamError(stream, H2_ERROR.protocolError)
    }
  }
}
