/**
 * Frames to bytes. Every frame is rendered with its u24 length prefix, as TCP and TLS send it;
 * a WebSocket sends the same bytes without the first three (`LENGTH_PREFIX_BYTES`).
 *
 * A frame that would not fit 16,777,215 bytes throws: whoever sends cuts into fragments first
 * (`fragmentPayload`).
 */
import { writeUint32 } from '../http2/frames.ts'
import {
  FRAME_FLAG,
  FRAME_HEAD_BYTES,
  FRAME_TYPE,
  type Interaction,
  LENGTH_PREFIX_BYTES,
  MAX_FRAME_BYTES,
  writeUint24,
} from './frames.ts'

/** What travels with a request or an item; metadata may be absent, which is not the same as empty. */
export interface RSocketPayload {
  readonly data: Uint8Array
  readonly metadata?: Uint8Array | undefined
}

const EMPTY = new Uint8Array(0)
const HEAD = LENGTH_PREFIX_BYTES + FRAME_HEAD_BYTES

/** A buffer of one frame with its prefix and head written; `bodyBytes` follow at offset 9. */
export function renderHead(
  type: number,
  flags: number,
  streamId: number,
  bodyBytes: number,
): Buffer {
  const length = FRAME_HEAD_BYTES + bodyBytes
  if (length > MAX_FRAME_BYTES) {
    throw new RangeError(`Cannot render a frame: at most ${MAX_FRAME_BYTES} bytes, got ${length}`)
  }
  const frame = Buffer.allocUnsafe(LENGTH_PREFIX_BYTES + length)
  writeUint24(frame, 0, length)
  writeUint32(frame, LENGTH_PREFIX_BYTES, streamId)
  const word = (type << 10) | flags
  frame[LENGTH_PREFIX_BYTES + 4] = word >>> 8
  frame[LENGTH_PREFIX_BYTES + 5] = word
  return frame
}

const REQUEST_TYPE: Readonly<Record<Interaction, number>> = {
  rr: FRAME_TYPE.requestResponse,
  fnf: FRAME_TYPE.requestFnf,
  stream: FRAME_TYPE.requestStream,
  channel: FRAME_TYPE.requestChannel,
}

/** `initialN` (1 to 2,147,483,647 items) is written for streams and channels only. */
export function renderRequest(
  interaction: Interaction,
  streamId: number,
  payload: RSocketPayload,
  initialN: number,
  flags = 0,
): Buffer {
  const counted = interaction === 'stream' || interaction === 'channel'
  const frame = renderCarrier(REQUEST_TYPE[interaction], flags, streamId, payload, counted ? 4 : 0)
  if (counted) writeUint32(frame, HEAD, initialN)
  return frame
}

/** `flags`: any of next, complete and follows. */
export function renderPayload(streamId: number, payload: RSocketPayload, flags: number): Buffer {
  return renderCarrier(FRAME_TYPE.payload, flags, streamId, payload, 0)
}

function renderCarrier(
  type: number,
  flags: number,
  streamId: number,
  payload: RSocketPayload,
  fixedBytes: number,
): Buffer {
  const { data, metadata } = payload
  const metadataBytes = metadata === undefined ? 0 : 3 + metadata.length
  const withMetadata = metadata === undefined ? flags : flags | FRAME_FLAG.metadata
  const frame = renderHead(type, withMetadata, streamId, fixedBytes + metadataBytes + data.length)
  let at = HEAD + fixedBytes
  if (metadata !== undefined) {
    writeUint24(frame, at, metadata.length)
    frame.set(metadata, at + 3)
    at += metadataBytes
  }
  frame.set(data, at)
  return frame
}

export function renderRequestN(streamId: number, n: number): Buffer {
  const frame = renderHead(FRAME_TYPE.requestN, 0, streamId, 4)
  writeUint32(frame, HEAD, n)
  return frame
}

export function renderCancel(streamId: number): Buffer {
  return renderHead(FRAME_TYPE.cancel, 0, streamId, 0)
}

/** An ERROR on a stream, or on the connection when `streamId` is 0. The text is cut at 4,096 bytes. */
export function renderError(streamId: number, code: number, message: string): Buffer {
  const text = Buffer.from(message).subarray(0, 4096)
  const frame = renderHead(FRAME_TYPE.error, 0, streamId, 4 + text.length)
  writeUint32(frame, HEAD, code)
  frame.set(text, HEAD + 4)
  return frame
}

/**
 * A request or an item as the frames that carry it, none longer than `maxFrameBytes` (at least
 * 64, without prefix): all metadata first, then the data (Protocol.md, "Fragmentation and
 * Reassembly"). `first` renders the first frame with the flags to add.
 */
export function fragmentPayload(
  streamId: number,
  payload: RSocketPayload,
  maxFrameBytes: number,
  fixedBytes: number,
  first: (part: RSocketPayload, follows: number) => Buffer,
  lastFlags: number,
): Buffer[] {
  const { data, metadata } = payload
  const metadataBytes = metadata === undefined ? 0 : 3 + metadata.length
  if (FRAME_HEAD_BYTES + fixedBytes + metadataBytes + data.length <= maxFrameBytes) {
    return [first(payload, 0)]
  }
  const frames: Buffer[] = []
  const cut: Cut = { metadataAt: 0, metadataDone: metadata === undefined, dataAt: 0 }
  while (frames.length === 0 || hasMore(payload, cut)) {
    const room = maxFrameBytes - FRAME_HEAD_BYTES - (frames.length === 0 ? fixedBytes : 0)
    const part = takePart(payload, cut, room)
    const more = hasMore(payload, cut)
    const follows = more ? FRAME_FLAG.follows : 0
    if (frames.length === 0) frames.push(first(part, follows))
    else frames.push(renderPayload(streamId, part, FRAME_FLAG.next | (more ? follows : lastFlags)))
  }
  return frames
}

interface Cut {
  metadataAt: number
  metadataDone: boolean
  dataAt: number
}

function hasMore(payload: RSocketPayload, cut: Cut): boolean {
  return !cut.metadataDone || cut.dataAt < payload.data.length
}

function takePart(payload: RSocketPayload, cut: Cut, room: number): RSocketPayload {
  const { data, metadata } = payload
  let left = room
  let part: Uint8Array | undefined
  if (metadata !== undefined && !cut.metadataDone) {
    part = metadata.subarray(cut.metadataAt, cut.metadataAt + left - 3)
    left -= 3 + part.length
    cut.metadataAt += part.length
    cut.metadataDone = cut.metadataAt === metadata.length
    if (!cut.metadataDone) return { data: EMPTY, metadata: part }
  }
  const taken = data.subarray(cut.dataAt, cut.dataAt + left)
  cut.dataAt += taken.length
  return part === undefined ? { data: taken } : { data: taken, metadata: part }
}
