/**
 * The buffers that reads go into. One buffer serves all connections of a thread,
 * because whoever gets bytes finishes with them before returning: no allocation
 * per read and a buffer that stays in the cache. Bulk transfers get a larger one
 * of their own from a bounded pool (fewer system calls per megabyte).
 */

export const SHARED_READ_BYTES = 65_536
const BULK_BYTES = 262_144
const MAX_BULK_BUFFERS = 16

const free: Uint8Array[] = []
let lent = 0

/** A large buffer, or `undefined` when as many are in use as there may be. */
export function takeBulkBuffer(): Uint8Array | undefined {
  if (lent >= MAX_BULK_BUFFERS) return undefined
  lent++
  return free.pop() ?? Buffer.allocUnsafeSlow(BULK_BYTES)
}

export function returnBulkBuffer(buffer: Uint8Array): void {
  lent--
  free.push(buffer)
}
