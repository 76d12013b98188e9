/** CRC-32C (Castagnoli), the checksum of the PROXY protocol's version 2 (RFC 4960, appendix B). */

const REVERSED_POLYNOMIAL = 0x82f63b78

const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ REVERSED_POLYNOMIAL : crc >>> 1
  return crc >>> 0
})

/** @param skipped Offset of four bytes that count as zero: where the sum itself stands. */
export function crc32c(bytes: Uint8Array, skipped: number): number {
  let crc = 0xffffffff
  for (const [i, byte] of bytes.entries()) {
    const value = i >= skipped && i < skipped + 4 ? 0 : byte
    crc = (table[(crc ^ value) & 255] as number) ^ (crc >>> 8)
  }
  return ~crc >>> 0
}
