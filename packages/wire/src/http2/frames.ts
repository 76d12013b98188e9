/** Frames as bytes (RFC 9113, sections 4 and 6): numbers, and writing the small ones. */
import type { OutBuffer } from '../http1/out-buffer.ts'

export const FRAME = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const

export const FLAG = { endStream: 1, ack: 1, endHeaders: 4, padded: 8, priority: 0x20 } as const

export const SETTING = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
  maxHeaderListSize: 6,
  enableConnectProtocol: 8,
} as const

export const PREFACE: Uint8Array = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1')
export const HEADER_BYTES = 9
/** What every endpoint takes and what we take. */
export const MAX_FRAME_BYTES = 16_384
export const DEFAULT_WINDOW = 65_535
export const MAX_WINDOW = 0x7fff_ffff

export function readUint32(bytes: Uint8Array, at: number): number {
  const high = (bytes[at] as number) * 0x1_00_00_00
  const rest =
    ((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number)
  return high + rest
}

export function writeUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24
  bytes[at + 1] = value >>> 16
  bytes[at + 2] = value >>> 8
  bytes[at + 3] = value
}

export function writeFrameHeader(
  bytes: Uint8Array,
  at: number,
  length: number,
  type: number,
  flags: number,
  id: number,
): void {
  bytes[at] = length >>> 16
  bytes[at + 1] = length >>> 8
  bytes[at + 2] = length
  bytes[at + 3] = type
  bytes[at + 4] = flags
  writeUint32(bytes, at + 5, id)
}

export function beginFrame(
  out: OutBuffer,
  length: number,
  type: number,
  flags: number,
  id: number,
): void {
  out.reserve(HEADER_BYTES + length)
  writeFrameHeader(out.bytes, out.length, length, type, flags, id)
  out.length += HEADER_BYTES
}

/** RST_STREAM and WINDOW_UPDATE: one number. */
export function writeNumberFrame(out: OutBuffer, type: number, id: number, value: number): void {
  beginFrame(out, 4, type, 0, id)
  writeUint32(out.bytes, out.length, value)
  out.length += 4
}

export function writeSettings(
  out: OutBuffer,
  settings: readonly (readonly [id: number, value: number])[],
): void {
  beginFrame(out, settings.length * 6, FRAME.settings, 0, 0)
  for (const [id, value] of settings) {
    out.bytes[out.length] = 0
    out.bytes[out.length + 1] = id
    writeUint32(out.bytes, out.length + 2, value)
    out.length += 6
  }
}

export function writeSettingsAck(out: OutBuffer): void {
  beginFrame(out, 0, FRAME.settings, FLAG.ack, 0)
}

export function writePing(out: OutBuffer, bytes: Buffer, from: number, flags: number): void {
  beginFrame(out, 8, FRAME.ping, flags, 0)
  out.copy(bytes, from, from + 8)
}

export function writeGoaway(out: OutBuffer, lastStreamId: number, code: number): void {
  beginFrame(out, 8, FRAME.goaway, 0, 0)
  writeUint32(out.bytes, out.length, lastStreamId)
  writeUint32(out.bytes, out.length + 4, code)
  out.length += 8
}

/**
 * The header block that was written behind the frame header at `headerAt` gets its
 * frame header; what is longer than one frame goes on in CONTINUATION frames.
 */
export function endHeaders(
  out: OutBuffer,
  headerAt: number,
  flags: number,
  id: number,
  maxFrameBytes: number,
): void {
  const from = headerAt + HEADER_BYTES
  const length = out.length - from
  if (length <= maxFrameBytes) {
    writeFrameHeader(out.bytes, headerAt, length, FRAME.headers, flags | FLAG.endHeaders, id)
    return
  }
  const block = Buffer.from(out.bytes.subarray(from, out.length))
  out.length = from + maxFrameBytes
  writeFrameHeader(out.bytes, headerAt, maxFrameBytes, FRAME.headers, flags, id)
  for (let at = maxFrameBytes; at < length; at += maxFrameBytes) {
    const end = Math.min(at + maxFrameBytes, length)
    beginFrame(out, end - at, FRAME.continuation, end === length ? FLAG.endHeaders : 0, id)
    out.copy(block, at, end)
  }
}
