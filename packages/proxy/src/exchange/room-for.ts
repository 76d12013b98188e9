/** Room for a head that arrives in pieces: doubles, and keeps what is there. */
export function roomFor(buffer: Buffer, used: number, needed: number): Buffer {
  if (needed <= buffer.length) return buffer
  const grown = Buffer.allocUnsafeSlow(Math.max(needed, buffer.length * 2))
  buffer.copy(grown, 0, 0, used)
  return grown
}

/** What every exchange has for a head, and what it keeps of a longer one's for the next. */
export const FIRST_BYTES = 2_048
export const MAX_KEPT_BYTES = 16_384

/** Lets go of memory that only an unusual request needed. */
export function shrunk(bytes: Buffer): Buffer {
  return bytes.length > MAX_KEPT_BYTES ? Buffer.allocUnsafeSlow(FIRST_BYTES) : bytes
}
