/**
 * Base64 that comes in pieces, cut anywhere. Each part that was encoded on its own ends with its
 * padding, and others may follow (the text form of gRPC-Web).
 */

const PAD = 0x3d
const NO_DIGIT = 0xff
const DIGITS = new Uint8Array(256).fill(NO_DIGIT)
for (const [value, digit] of [
  ...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/',
].entries()) {
  DIGITS[digit.charCodeAt(0)] = value
}

export class Base64Decoder {
  /** What came was no base64: nothing is decoded any more. */
  failed = false
  #bits = 0
  /** Of the group of four at hand, padding included. */
  #inGroup = 0
  #padding = 0

  take(bytes: Uint8Array, from: number, end: number): Buffer {
    const plain = Buffer.allocUnsafe(Math.ceil(((end - from + 3) * 3) / 4))
    let length = 0
    for (let at = from; at < end && !this.failed; at++) {
      const byte = bytes[at] as number
      if (byte === PAD && this.#inGroup >= 2) this.#padding++
      else {
        const value = DIGITS[byte] as number
        if (value === NO_DIGIT || this.#padding > 0) this.failed = true
        this.#bits = (this.#bits << 6) | value
      }
      if (++this.#inGroup < 4 || this.failed) continue
      length = this.#endGroup(plain, length)
    }
    return plain.subarray(0, length)
  }

  /** The last group has to be whole. */
  end(): void {
    if (this.#inGroup !== 0) this.failed = true
  }

  #endGroup(plain: Buffer, at: number): number {
    const bits = this.#bits << (6 * this.#padding)
    const count = 3 - this.#padding
    plain[at] = (bits >> 16) & 0xff
    if (count > 1) plain[at + 1] = (bits >> 8) & 0xff
    if (count > 2) plain[at + 2] = bits & 0xff
    // Bits beyond the last byte that are not zero are another spelling of the same bytes.
    if ((bits & (0xff_ff_ff >> (8 * count))) !== 0) this.failed = true
    this.#bits = 0
    this.#inGroup = 0
    this.#padding = 0
    return at + count
  }
}
