/** The few bytes of a frame that a broker changes, in place. Offsets are of the frame without prefix. */
import { FRAME_HEAD_BYTES } from '@weft/wire'

export function writeStreamId(bytes: Uint8Array, from: number, id: number): void {
  writeUint32(bytes, from, id)
}

/** Of REQUEST_STREAM and REQUEST_CHANNEL. */
export function writeInitialN(bytes: Uint8Array, from: number, n: number): void {
  writeUint32(bytes, from + FRAME_HEAD_BYTES, n)
}

export function readInitialN(bytes: Uint8Array, from: number): number {
  const at = from + FRAME_HEAD_BYTES
  return (
    ((bytes[at] as number) << 24) |
    ((bytes[at + 1] as number) << 16) |
    ((bytes[at + 2] as number) << 8) |
    (bytes[at + 3] as number)
  )
}

function writeUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24
  bytes[at + 1] = value >>> 16
  bytes[at + 2] = value >>> 8
  bytes[at + 3] = value
}
