/**
 * The numbers of RSocket 1.0 (Protocol.md, "Framing Format" and "Frame Types") and the view of
 * one frame.
 *
 *     +-+---------------------------------------------+
 *     |0|               stream id (31)                |
 *     +-----------+-+-+-+-+-+---------+---------------+
 *     | type (6)  |I|M|F|C|N|  flags  |
 *     +-----------+-+-+-+-+-+---------+--- …
 *
 * On TCP and TLS a u24 length stands before each frame; on WebSocket each binary message is
 * one frame. This file reads what is there; whether a frame may come now is for `peer.ts` and
 * for the broker to say.
 */
import { readUint32 } from '../http2/frames.ts'

export const FRAME_TYPE = {
  setup: 0x01,
  lease: 0x02,
  keepalive: 0x03,
  requestResponse: 0x04,
  requestFnf: 0x05,
  requestStream: 0x06,
  requestChannel: 0x07,
  requestN: 0x08,
  cancel: 0x09,
  payload: 0x0a,
  error: 0x0b,
  metadataPush: 0x0c,
  resume: 0x0d,
  resumeOk: 0x0e,
  ext: 0x3f,
} as const

/** The ten flag bits; one bit means different things in different types. */
export const FRAME_FLAG = {
  ignore: 0x200,
  metadata: 0x100,
  /** REQUEST_*, PAYLOAD: fragments follow. */
  follows: 0x80,
  /** KEEPALIVE: an answer is wanted. */
  respond: 0x80,
  /** SETUP: the connection wants to be resumable. */
  resume: 0x80,
  /** REQUEST_CHANNEL, PAYLOAD: the sender's half ends. */
  complete: 0x40,
  /** SETUP: leases are honoured. */
  lease: 0x40,
  /** PAYLOAD: an item. */
  next: 0x20,
} as const

/** Error codes (Protocol.md, "Error Codes") and the one of Weft's own range. */
export const RSOCKET_ERROR = {
  invalidSetup: 0x001,
  unsupportedSetup: 0x002,
  rejectedSetup: 0x003,
  rejectedResume: 0x004,
  connectionError: 0x101,
  connectionClose: 0x102,
  applicationError: 0x201,
  /** Certainly not processed: the only code that may be retried blindly. */
  rejected: 0x202,
  /** May have run. */
  canceled: 0x203,
  invalid: 0x204,
  /** Denied by policy; in the application's range, which begins at 0x301. */
  denied: 0x403,
} as const

export const FRAME_HEAD_BYTES = 6
export const LENGTH_PREFIX_BYTES = 3
/** The largest frame on every transport, without its length prefix. */
export const MAX_FRAME_BYTES = 0xff_ff_ff
/** What everyone takes for "no bound". Sums saturate here. */
export const UNBOUNDED_REQUEST_N = 0x7fff_ffff
export const MAX_STREAM_ID = 0x7fff_ffff

export type Interaction = 'rr' | 'fnf' | 'stream' | 'channel'

/** One frame, taken apart by offsets; reused from frame to frame, so keep nothing of it. */
export class FrameView {
  bytes: Uint8Array = new Uint8Array(0)
  from = 0
  to = 0
  streamId = 0
  type = 0
  flags = 0
  /** REQUEST_STREAM, REQUEST_CHANNEL and REQUEST_N: items asked for. ERROR: the code. */
  number = 0
  /** Without its length field; empty (`metadataFrom === metadataTo`) also when absent. */
  metadataFrom = 0
  metadataTo = 0
  dataFrom = 0
  dataTo = 0

  get hasMetadata(): boolean {
    return (this.flags & FRAME_FLAG.metadata) !== 0
  }

  /** Fragments of the same payload follow. A frame that completes does not let more follow. */
  get follows(): boolean {
    const { flags, type } = this
    return (
      (flags & FRAME_FLAG.follows) !== 0 &&
      (type !== FRAME_TYPE.payload || (flags & FRAME_FLAG.complete) === 0)
    )
  }
}

export function readUint24(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] as number) << 16) | ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number)
  )
}

export function writeUint24(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 16
  bytes[at + 1] = value >>> 8
  bytes[at + 2] = value
}

/** Bytes between a frame's head and its metadata length or data, by type. */
const FIXED_BYTES: Readonly<Record<number, number>> = {
  [FRAME_TYPE.requestResponse]: 0,
  [FRAME_TYPE.requestFnf]: 0,
  [FRAME_TYPE.payload]: 0,
  [FRAME_TYPE.requestStream]: 4,
  [FRAME_TYPE.requestChannel]: 4,
  [FRAME_TYPE.requestN]: 4,
  [FRAME_TYPE.error]: 4,
}

/**
 * Takes `bytes[from..to)` apart into `view`. Returns why it is malformed, which breaks the
 * connection (CONNECTION_ERROR), or undefined. The bodies of the connection's own frames
 * (SETUP, LEASE, KEEPALIVE, RESUME, RESUME_OK, EXT) are left to `connection-frames.ts`.
 */
export function readFrame(
  view: FrameView,
  bytes: Uint8Array,
  from: number,
  to: number,
): string | undefined {
  if (to - from < FRAME_HEAD_BYTES) return 'a frame is shorter than its head of 6 bytes'
  const id = readUint32(bytes, from)
  if (id > MAX_STREAM_ID) return 'the top bit of a stream id is set'
  const word = ((bytes[from + 4] as number) << 8) | (bytes[from + 5] as number)
  view.bytes = bytes
  view.from = from
  view.to = to
  view.streamId = id
  view.type = word >>> 10
  view.flags = word & 0x3ff
  view.number = 0
  const fixed = FIXED_BYTES[view.type]
  const body = from + FRAME_HEAD_BYTES
  if (fixed === undefined) return readPush(view, body)
  if (body + fixed > to) return 'a frame ends within its fields'
  if (fixed === 4) view.number = readUint32(bytes, body)
  return readPayload(view, body + fixed)
}

/** METADATA_PUSH is metadata to its end; of other types nothing is read here. */
function readPush(view: FrameView, body: number): undefined {
  view.metadataFrom = body
  view.metadataTo = view.type === FRAME_TYPE.metadataPush ? view.to : body
  view.dataFrom = view.metadataTo
  view.dataTo = view.to
  return undefined
}

function readPayload(view: FrameView, at: number): string | undefined {
  const { bytes, to } = view
  view.metadataFrom = at
  view.metadataTo = at
  view.dataFrom = at
  view.dataTo = to
  const carries = view.type !== FRAME_TYPE.error && view.type !== FRAME_TYPE.requestN
  if (!carries || (view.flags & FRAME_FLAG.metadata) === 0) return undefined
  if (at + 3 > to) return 'a frame ends within the length of its metadata'
  const length = readUint24(bytes, at)
  if (at + 3 + length > to) return 'metadata is longer than its frame'
  view.metadataFrom = at + 3
  view.metadataTo = at + 3 + length
  view.dataFrom = view.metadataTo
  return undefined
}

export function interactionOf(type: number): Interaction | undefined {
  if (type === FRAME_TYPE.requestResponse) return 'rr'
  if (type === FRAME_TYPE.requestStream) return 'stream'
  if (type === FRAME_TYPE.requestFnf) return 'fnf'
  return type === FRAME_TYPE.requestChannel ? 'channel' : undefined
}

/** `a + b` items, never more than everyone can count (Protocol.md, "Reactive Streams Semantics"). */
export function addRequestN(a: number, b: number): number {
  return Math.min(UNBOUNDED_REQUEST_N, a + b)
}
