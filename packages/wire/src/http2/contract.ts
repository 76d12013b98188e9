/**
 * What an HTTP/2 session and its owner know of each other. The session does no
 * I/O: the owner hands it the bytes that came and writes out what lies in `out`.
 *
 *     socket ─► session.receive ─► Http2Handler.on…          (requests, answers, bodies)
 *     socket ◄─ session.out     ◄─ session.send… / consumed  (flushed once per loop turn)
 */
import type { MessageHead } from '../http1/message-head.ts'
import type { OutBuffer } from '../http1/out-buffer.ts'
import type { Http2Stream } from './stream.ts'

/** Error codes (RFC 9113, section 7). */
export const H2_ERROR = {
  noError: 0,
  protocolError: 1,
  internalError: 2,
  flowControlError: 3,
  settingsTimeout: 4,
  streamClosed: 5,
  frameSizeError: 6,
  refusedStream: 7,
  cancel: 8,
  compressionError: 9,
  connectError: 10,
  enhanceYourCalm: 11,
  inadequateSecurity: 12,
  http11Required: 13,
} as const

/**
 * Where a decoded head is laid out, as text in the form of HTTP/1.1 with every
 * field of `head` set as the parsers of `http1/` would. `headBytes` is replaced by
 * a larger one when it is too small; the head begins at its first byte.
 */
export interface HeadTarget {
  readonly head: MessageHead
  headBytes: Buffer
  headLength: number
}

/** Called from inside `receive`, `drained` and `close`. A handler must not throw. */
export interface Http2Handler {
  /** `out` was empty and is not any more: flush it at the end of the loop turn. */
  onOutput(): void
  /**
   * A head is about to be decoded: of a request (server) or a response, interim ones
   * included (client). Called once per head.
   */
  headTarget(stream: Http2Stream): HeadTarget
  /** The head lies in its target. With `endStream` there is no body. */
  onHeaders(stream: Http2Stream, endStream: boolean): void
  /** Client only: a 1xx answer lies in its target; another head follows. */
  onInterim(stream: Http2Stream): void
  /**
   * Instead of `onHeaders`: the request is one that HTTP/1 would answer too (a head too
   * large, a bad path). `problem` is a `PROBLEM`; answer (`problemStatus`) or reset.
   */
  onRefused(stream: Http2Stream, problem: number): void
  /** The bytes are only valid during the call. Each must be given back by `consumed`. */
  onData(stream: Http2Stream, bytes: Buffer, from: number, to: number, endStream: boolean): void
  /** The stream ends with these fields; lines are laid out as in a head, without the empty line. */
  onTrailers(stream: Http2Stream, trailers: HeadTarget): void
  /**
   * The stream is over before its end, by the peer (`byPeer`) or because the peer broke
   * a rule. It is closed; nothing more comes for it. Not called after `resetStream`.
   */
  onReset(stream: Http2Stream, code: number, byPeer: boolean): void
  /** What `sendData` refused to take more of can be sent again. */
  onWritable(stream: Http2Stream): void
  /** No new streams on this session; those above `lastStreamId` were reset before (`onReset`). */
  onGoaway(lastStreamId: number, code: number): void
  /** The peer's settings changed: `canOpen` may have. */
  onSettings(): void
  onPingAck(): void
  /** A stream is closed on both sides: `activeStreams` went down. */
  onStreamClosed(stream: Http2Stream): void
  /** The session is over: flush `out`, then close. All streams were reset before. */
  onSessionError(code: number, why: string): void
}

export interface Http2Options {
  readonly role: 'server' | 'client'
  /** Monotonic milliseconds; for the windows that floods are counted in. */
  readonly now: () => number
  /** Server: what a client may have open. Default 100. */
  readonly maxConcurrentStreams?: number
  /** What a peer may send per stream before we read. Default 1 MiB. */
  readonly streamWindowBytes?: number
  /** The same for all streams together. Default 16 MiB. */
  readonly connectionWindowBytes?: number
  /** Of one decoded head, 32 for each field included. Default 61,440. */
  readonly maxHeadBytes?: number
  /** Bytes in `out` (plus what the owner reports as unsent) before streams have to wait. Default 1 MiB. */
  readonly maxOutBytes?: number
  /** Server: extended CONNECT is offered (RFC 8441). */
  readonly allowConnect?: boolean
  /** Where `out` has its memory from. */
  readonly memory?: Http2Memory
  readonly limits?: Partial<Http2Limits>
  readonly counters?: Http2Counters
}

export interface Http2Memory {
  /** What a connection may keep waiting before its streams wait. May change at any time. */
  readonly outBytes?: number
  /** At least so many bytes. */
  take(bytes: number): Buffer
  /** Nobody uses them any more. */
  give(memory: Buffer): void
  /** So many bytes, for as long as a stream waits; absent: garbage is made. */
  keep?(bytes: number): Buffer
  /** What `keep` gave. */
  letGo?(memory: Buffer): void
}

export interface Http2Limits {
  /** Streams that end before they are a second old, by reset of either side, within a second. */
  readonly prematureResets: number
  /** Answers to SETTINGS, PING and errors that wait in `out`. */
  readonly outboundControlFrames: number
  /** SETTINGS and PING frames in a second, beyond one for each stream and DATA frame of ours in it. */
  readonly controlFramesPerSecond: number
  /** One after the other: DATA, HEADERS or CONTINUATION without content or end. */
  readonly consecutiveEmptyFrames: number
  readonly priorityFramesPerStream: number
  readonly windowUpdatesPerDataFrame: number
  /** CONTINUATION frames of one head. */
  readonly continuationFrames: number
  /** Small breaches that each are forgiven. */
  readonly glitches: number
}

/** Counted up by sessions; one object may serve many. Envoy's names (`http2.…`). */
export interface Http2Counters {
  rx_reset: number
  tx_reset: number
  rx_messaging_error: number
  header_overflow: number
  trailers: number
  stream_refused_errors: number
  inbound_empty_frames_flood: number
  inbound_priority_frames_flood: number
  inbound_window_update_frames_flood: number
  inbound_control_frames_flood: number
  inbound_continuation_frames_flood: number
  outbound_control_flood: number
  too_many_premature_resets: number
  too_many_glitches: number
  goaway_sent: number
  /** The peer asked us to go elsewhere. */
  goaway_received: number
  /** Open now: goes down again. */
  streams_active: number
  /** A PING without an answer ended the connection. */
  keepalive_timeout: number
  /** The peer never acknowledged our SETTINGS. */
  settings_timeout: number
}

export function newHttp2Counters(): Http2Counters {
  return {
    rx_reset: 0,
    tx_reset: 0,
    rx_messaging_error: 0,
    header_overflow: 0,
    trailers: 0,
    stream_refused_errors: 0,
    inbound_empty_frames_flood: 0,
    inbound_priority_frames_flood: 0,
    inbound_window_update_frames_flood: 0,
    inbound_control_frames_flood: 0,
    inbound_continuation_frames_flood: 0,
    outbound_control_flood: 0,
    too_many_premature_resets: 0,
    too_many_glitches: 0,
    goaway_sent: 0,
    goaway_received: 0,
    streams_active: 0,
    keepalive_timeout: 0,
    settings_timeout: 0,
  }
}

/**
 * What `Http2Session` (`session.ts`) offers: `new Http2Session(handler, options)`.
 * Nothing throws; what is sent on a closed stream is dropped.
 */
export interface Http2SessionApi {
  /** What to write to the socket. After writing: `clear` or `detach`, then `drained`. */
  readonly out: OutBuffer
  /** Bytes that the owner took from `out` and the socket did not take yet. The owner sets it. */
  pendingBytes: number
  readonly activeStreams: number
  /** Client: one more request may be sent now. False after GOAWAY either way. */
  readonly canOpen: boolean
  /** GOAWAY came or went. */
  readonly goingAway: boolean
  /** Over: nothing is read or sent any more. */
  readonly closed: boolean
  /** The peer's first SETTINGS came. */
  readonly settingsSeen: boolean
  /** The peer takes extended CONNECT. */
  readonly peerAllowsConnect: boolean
  /** Writes preface and SETTINGS. Call once, before anything else; a server's expects the client's preface. */
  start(): void
  /** Takes all bytes. */
  receive(bytes: Buffer, length: number): void
  /** `out` was written out (`pendingBytes` is up to date): streams that waited go on. */
  drained(): void
  /**
   * Client: opens a stream. The head lies as text of HTTP/1.1 (start line, lines, empty line) in
   * `bytes[from..to)`; Host becomes `:authority`, and what only HTTP/1.1 has stays here.
   *
   * @returns `undefined` when `canOpen` is false.
   */
  sendRequestText(
    scheme: string,
    bytes: Buffer,
    from: number,
    to: number,
    endStream: boolean,
  ): Http2Stream | undefined
  /** Server: a response, text as above; interim when its status is below 200. */
  sendResponseText(
    stream: Http2Stream,
    bytes: Buffer,
    from: number,
    to: number,
    endStream: boolean,
  ): void
  /**
   * Copies the bytes. All are taken, always; but with `false` the owner has to stop
   * sending until `onWritable`.
   */
  sendData(
    stream: Http2Stream,
    bytes: Buffer,
    from: number,
    to: number,
    endStream: boolean,
  ): boolean
  /** Lines `name: value\r\n`; the stream ends with them. */
  sendTrailers(stream: Http2Stream, lines: Buffer, from: number, to: number): void
  /** DATA given now can only be kept: the peer's windows are shut, or too much waits for it already. */
  keeps(stream: Http2Stream): boolean
  /** The owner is done with `count` bytes of `onData`: the peer may send as many more. */
  consumed(stream: Http2Stream, count: number): void
  /** RST_STREAM, unless both sides have ended. `onReset` is not called, `onStreamClosed` is. */
  resetStream(stream: Http2Stream, code: number): void
  /** Our SETTINGS went long ago: without an acknowledgement the session ends (RFC 9113, section 6.5.3). */
  settingsTimedOut(): void
  /** Keepalive; `onPingAck` follows. */
  ping(): void
  /** First GOAWAY of a graceful end: no new streams, all that are on their way still count. */
  drain(): void
  /** Second GOAWAY (some time after `drain`): streams that were not seen yet are refused. */
  goaway(code: number): void
  /** Ends at once: GOAWAY with `code`, all streams are reset (`onReset`). */
  close(code: number): void
}
