/**
 * The frames that describe one connection and never travel further: SETUP, LEASE, KEEPALIVE,
 * RESUME and RESUME_OK (Protocol.md, "Setup Frame" to "Resume OK Frame"), read from a
 * `FrameView` and written.
 */
import { readUint32, writeUint32 } from '../http2/frames.ts'
import { type RSocketPayload, renderHead } from './frame-writer.ts'
import {
  FRAME_FLAG,
  FRAME_HEAD_BYTES,
  FRAME_TYPE,
  type FrameView,
  LENGTH_PREFIX_BYTES,
  readUint24,
  writeUint24,
} from './frames.ts'

const BODY = LENGTH_PREFIX_BYTES + FRAME_HEAD_BYTES

export interface Setup {
  readonly majorVersion: number
  readonly minorVersion: number
  /** How often the connecting side promises to send KEEPALIVE, in milliseconds, > 0. */
  readonly keepaliveMs: number
  /** Silence after which a side is dead, in milliseconds, > 0. */
  readonly maxLifetimeMs: number
  /** Asks for a resumable connection. */
  readonly resumeToken: Uint8Array | undefined
  /** Both requesters wait for a LEASE. */
  readonly lease: boolean
  readonly metadataMime: string
  readonly dataMime: string
  readonly payload: RSocketPayload
}

/** Reads a SETUP. A text says why it is none: INVALID_SETUP. */
export function readSetup(view: FrameView): Setup | string {
  const { bytes, from, to, flags } = view
  const at = from + FRAME_HEAD_BYTES
  if (at + 12 > to) return 'SETUP ends within its versions and times'
  const cursor = { at: at + 12 }
  let resumeToken: Uint8Array | undefined
  if ((flags & FRAME_FLAG.resume) !== 0) {
    resumeToken = takeLengthed(view, cursor, 2)
    if (resumeToken === undefined) return 'SETUP ends within its resume token'
  }
  const metadataMime = takeLengthed(view, cursor, 1)
  const dataMime = metadataMime && takeLengthed(view, cursor, 1)
  if (metadataMime === undefined || dataMime === undefined)
    return 'SETUP ends within its MIME types'
  let metadata: Uint8Array | undefined
  if ((flags & FRAME_FLAG.metadata) !== 0) {
    metadata = takeLengthed(view, cursor, 3)
    if (metadata === undefined) return 'the metadata of SETUP is longer than the frame'
  }
  return {
    majorVersion: readUint16(bytes, at),
    minorVersion: readUint16(bytes, at + 2),
    keepaliveMs: readUint32(bytes, at + 4) & 0x7fff_ffff,
    maxLifetimeMs: readUint32(bytes, at + 8) & 0x7fff_ffff,
    resumeToken: resumeToken && Buffer.from(resumeToken),
    lease: (flags & FRAME_FLAG.lease) !== 0,
    metadataMime: Buffer.from(metadataMime).toString('latin1'),
    dataMime: Buffer.from(dataMime).toString('latin1'),
    payload: {
      data: Buffer.from(bytes.subarray(cursor.at, to)),
      metadata: metadata && Buffer.from(metadata),
    },
  }
}

/** The next field whose length stands before it in `width` bytes, or undefined past the end. */
function takeLengthed(
  view: FrameView,
  cursor: { at: number },
  width: 1 | 2 | 3,
): Uint8Array | undefined {
  const { bytes, to } = view
  const start = cursor.at + width
  if (start > to) return undefined
  const length =
    width === 3
      ? readUint24(bytes, cursor.at)
      : width === 2
        ? readUint16(bytes, cursor.at)
        : (bytes[cursor.at] as number)
  if (start + length > to) return undefined
  cursor.at = start + length
  return bytes.subarray(start, start + length)
}

/** MIME types are 1 to 255 ASCII characters; the resume token at most 65,535 bytes. */
export function renderSetup(setup: Setup): Buffer {
  const { payload, resumeToken } = setup
  const metadataMime = Buffer.from(setup.metadataMime, 'latin1')
  const dataMime = Buffer.from(setup.dataMime, 'latin1')
  const tokenBytes = resumeToken === undefined ? 0 : 2 + resumeToken.length
  const metadataBytes = payload.metadata === undefined ? 0 : 3 + payload.metadata.length
  const mimeBytes = 2 + metadataMime.length + dataMime.length
  const flags =
    (resumeToken === undefined ? 0 : FRAME_FLAG.resume) |
    (setup.lease ? FRAME_FLAG.lease : 0) |
    (payload.metadata === undefined ? 0 : FRAME_FLAG.metadata)
  const body = 12 + tokenBytes + mimeBytes + metadataBytes + payload.data.length
  const frame = renderHead(FRAME_TYPE.setup, flags, 0, body)
  frame.writeUInt16BE(setup.majorVersion, BODY)
  frame.writeUInt16BE(setup.minorVersion, BODY + 2)
  writeUint32(frame, BODY + 4, setup.keepaliveMs)
  writeUint32(frame, BODY + 8, setup.maxLifetimeMs)
  let at = BODY + 12
  if (resumeToken !== undefined) {
    frame.writeUInt16BE(resumeToken.length, at)
    frame.set(resumeToken, at + 2)
    at += tokenBytes
  }
  for (const mime of [metadataMime, dataMime]) {
    frame.writeUInt8(mime.length, at)
    frame.set(mime, at + 1)
    at += 1 + mime.length
  }
  if (payload.metadata !== undefined) {
    writeUint24(frame, at, payload.metadata.length)
    frame.set(payload.metadata, at + 3)
    at += metadataBytes
  }
  frame.set(payload.data, at)
  return frame
}

/** So many requests may be sent within so many milliseconds; 0 of either stops them. */
export interface Lease {
  readonly ttlMs: number
  readonly requests: number
}

export function readLease(view: FrameView): Lease | undefined {
  const at = view.from + FRAME_HEAD_BYTES
  if (at + 8 > view.to) return undefined
  return {
    ttlMs: readUint32(view.bytes, at) & 0x7fff_ffff,
    requests: readUint32(view.bytes, at + 4) & 0x7fff_ffff,
  }
}

export function renderLease(lease: Lease): Buffer {
  const frame = renderHead(FRAME_TYPE.lease, 0, 0, 8)
  writeUint32(frame, BODY, lease.ttlMs)
  writeUint32(frame, BODY + 4, lease.requests)
  return frame
}

/** `position`: bytes received so far of resumable frames; 0 unless the connection is resumable. */
export function renderKeepalive(respond: boolean, position: number, data: Uint8Array): Buffer {
  const flags = respond ? FRAME_FLAG.respond : 0
  const frame = renderHead(FRAME_TYPE.keepalive, flags, 0, 8 + data.length)
  frame.writeBigUInt64BE(BigInt(position), BODY)
  frame.set(data, BODY + 8)
  return frame
}

/** What KEEPALIVE carries, or undefined when the frame is too short for one. */
export function keepaliveData(view: FrameView): Uint8Array | undefined {
  const at = view.from + FRAME_HEAD_BYTES + 8
  return at > view.to ? undefined : view.bytes.subarray(at, view.to)
}

export function renderMetadataPush(metadata: Uint8Array): Buffer {
  const frame = renderHead(FRAME_TYPE.metadataPush, FRAME_FLAG.metadata, 0, metadata.length)
  frame.set(metadata, BODY)
  return frame
}

/** The text of an ERROR. */
export function errorMessage(view: FrameView): string {
  return Buffer.from(view.bytes.subarray(view.dataFrom, view.dataTo)).toString('utf8')
}

function readUint16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number)
}
