/** Room for a head that arrives in pieces: doubles, and keeps what is there. */
export function roomFor(buffer: Buffer, used: number, needed: number): Buffer {
  if (needed <= buffer.length) return buffer
  const grown = Buffer.allocUnsafeSlow(Math.max(needed, buffer.length * 2))
  buffer.copy(grown, 0, 0, used)
  return grown
}
