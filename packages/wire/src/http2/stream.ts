/** One stream of a session: two windows, two ends. Owners read it; only the session writes it. */

/**
 * What went over the wire for one stream, headers of frames included. As Envoy counts: of what
 * came the heads and DATA, of what was sent the windows that were opened for it besides.
 */
export interface StreamBytes {
  readonly receivedBytes: number
  readonly sentBytes: number
  /** Of these HEADERS and CONTINUATION. */
  readonly receivedHeadBytes: number
  readonly sentHeadBytes: number
  /** DATA that waits for a window: it is in no frame yet. */
  readonly queuedBytes: number
}

export class Http2Stream implements StreamBytes {
  readonly id: number
  /** The owner's: whatever belongs to this stream. The session never looks at it. */
  user: unknown = undefined
  /** The peer may send this many bytes. */
  receiveWindow: number
  /** We may send this many bytes; negative after the peer shrank its window. */
  sendWindow: number
  receivedBytes = 0
  sentBytes = 0
  receivedHeadBytes = 0
  sentHeadBytes = 0
  /** Received, not yet given back by `consumed`. */
  unconsumed = 0
  /** Given back, not yet told to the peer. */
  credit = 0
  /** A final head came. */
  headDone = false
  remoteEnded = false
  localEnded = false
  /** Gone from the session: nothing may be sent. */
  closed = false
  /** Server: the request is an extended CONNECT, laid out as GET with Upgrade; answer 200 for 101. */
  extendedConnect = false
  /** Client: the answer to it has no body whatever its fields say. */
  headRequest = false
  /** DATA that the content-length still allows; -1 when it said nothing. */
  bodyLeft = -1
  /** Bytes that wait for a window, from `queueFrom` to `queueTo`; `undefined` when none do. */
  queue: Buffer | undefined = undefined
  queueFrom = 0
  queueTo = 0
  /** The end follows the queue. */
  queueEnds = false
  /** Fields that follow the queue. */
  queueTrailers: Buffer | undefined = undefined
  /** The owner was told to wait. */
  waiting = false
  /** Monotonic milliseconds. */
  readonly openedMs: number

  constructor(id: number, receiveWindow: number, sendWindow: number, openedMs: number) {
    this.id = id
    this.receiveWindow = receiveWindow
    this.sendWindow = sendWindow
    this.openedMs = openedMs
  }

  /** Bytes that wait for a window. */
  get queuedBytes(): number {
    return this.queue === undefined ? 0 : this.queueTo - this.queueFrom
  }
}

/** The streams of a session that are not closed. */
export interface OpenStreams {
  get(id: number): Http2Stream | undefined
  values(): Http2Stream[]
}
