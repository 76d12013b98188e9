/**
 * The buffers that reads go into. One buffer serves all connections of a thread,
 * because whoever gets bytes finishes with them before returning: no allocation
 * per read and a buffer that stays in the cache. Bulk transfers get a larger one
 * of their own from a bounded pool (fewer system calls per megabyte).
 *
 * A bulk buffer may be part of a write that is still pending when its connection
 * is done with it; it goes back to the pool only after that write too.
 */

export const SHARED_READ_BYTES = 65_536
const BULK_BYTES = 262_144
const MAX_BULK_BUFFERS = 16

export interface BulkBuffer {
  readonly bytes: Uint8Array
  pendingWrites: number
  released: boolean
}

const free: BulkBuffer[] = []
const lent = new Map<ArrayBufferLike, BulkBuffer>()

/** A large buffer, or `undefined` when as many are in use as there may be. */
export function takeBulkBuffer(): BulkBuffer | undefined {
  if (lent.size >= MAX_BULK_BUFFERS) return undefined
  const buffer = free.pop() ?? {
    bytes: Buffer.allocUnsafeSlow(BULK_BYTES),
    pendingWrites: 0,
    released: false,
  }
  buffer.released = false
  lent.set(buffer.bytes.buffer, buffer)
  return buffer
}

export function releaseBulkBuffer(buffer: BulkBuffer): void {
  buffer.released = true
  giveBack(buffer)
}

/** A write of `bytes` stays pending; the buffer they may lie in must wait for it. */
export function holdForWrite(bytes: Uint8Array): void {
  const buffer = lent.get(bytes.buffer)
  if (buffer !== undefined) buffer.pendingWrites++
}

/** The write that `holdForWrite` announced is over. */
export function letGoAfterWrite(bytes: Uint8Array): void {
  const buffer = lent.get(bytes.buffer)
  if (buffer === undefined) return
  buffer.pendingWrites--
  giveBack(buffer)
}

function giveBack(buffer: BulkBuffer): void {
  if (!buffer.released || buffer.pendingWrites > 0) return
  lent.delete(buffer.bytes.buffer)
  free.push(buffer)
}
