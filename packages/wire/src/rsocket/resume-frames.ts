/**
 * RESUME and RESUME_OK, and the positions that both sides count (Protocol.md, "Resuming Operation"):
 * the bytes, without length prefix, of all frames that belong to streams.
 */
import { renderHead } from './frame-writer.ts'
import { FRAME_HEAD_BYTES, FRAME_TYPE, type FrameView, LENGTH_PREFIX_BYTES } from './frames.ts'

const BODY = LENGTH_PREFIX_BYTES + FRAME_HEAD_BYTES

export interface Resume {
  readonly token: Uint8Array
  /** What the resuming side has received of the other. */
  readonly lastReceivedServerPosition: number
  /** From where on the resuming side can send again what it sent. */
  readonly firstAvailableClientPosition: number
}

/** Reads a RESUME; a text says why it is none. */
export function readResume(view: FrameView): Resume | string {
  const { bytes, from, to } = view
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const at = from + FRAME_HEAD_BYTES
  if (at + 6 > to) return 'RESUME ends within its versions'
  const version = buffer.readUInt16BE(at)
  if (version > 1) return `version ${version} is not supported`
  const tokenTo = at + 6 + buffer.readUInt16BE(at + 4)
  if (tokenTo + 16 > to) return 'RESUME ends within its token or positions'
  const lastReceivedServerPosition = Number(buffer.readBigUInt64BE(tokenTo))
  const firstAvailableClientPosition = Number(buffer.readBigUInt64BE(tokenTo + 8))
  if (!Number.isSafeInteger(lastReceivedServerPosition + firstAvailableClientPosition)) {
    return 'a position of RESUME is out of range'
  }
  return {
    token: Buffer.from(buffer.subarray(at + 6, tokenTo)),
    lastReceivedServerPosition,
    firstAvailableClientPosition,
  }
}

export function renderResume(resume: Resume): Buffer {
  const { token } = resume
  const frame = renderHead(FRAME_TYPE.resume, 0, 0, 22 + token.length)
  frame.writeUInt16BE(1, BODY)
  frame.writeUInt16BE(0, BODY + 2)
  frame.writeUInt16BE(token.length, BODY + 4)
  frame.set(token, BODY + 6)
  const at = BODY + 6 + token.length
  frame.writeBigUInt64BE(BigInt(resume.lastReceivedServerPosition), at)
  frame.writeBigUInt64BE(BigInt(resume.firstAvailableClientPosition), at + 8)
  return frame
}

/** @param position What was received of the side that resumes. */
export function renderResumeOk(position: number): Buffer {
  const frame = renderHead(FRAME_TYPE.resumeOk, 0, 0, 8)
  frame.writeBigUInt64BE(BigInt(position), BODY)
  return frame
}

/** Of a RESUME_OK, or of a KEEPALIVE: what its sender has received; undefined when it is too short. */
export function receivedPosition(view: FrameView): number | undefined {
  const { bytes, from, to } = view
  const at = from + FRAME_HEAD_BYTES
  if (at + 8 > to) return undefined
  return Number(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).readBigUInt64BE(at))
}

/** Whether a frame counts, and is sent again: those of streams, not those of the connection. */
export function isResumable(view: FrameView): boolean {
  return (
    view.streamId !== 0 && view.type >= FRAME_TYPE.requestResponse && view.type <= FRAME_TYPE.error
  )
}
