/**
 * The Huffman code of RFC 7541, appendix B, decoded ten bits at a look. The code is
 * canonical: the lengths alone give it.
 */

/** Bits of each byte's code. */
// biome-ignore format: a table
const LENGTHS = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
  28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
  6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
  5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
  7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
  15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
  6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
  20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
  24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
  22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
  21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
  26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
  19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
  20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
  26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
  30,
]
const EOS = 256
const MAX_BITS = 30
/** Bits that one look into `fast` covers; nearly every byte of a real head has a shorter code. */
const LOOK = 10

/** For each run of `LOOK` bits: symbol and length of the code it begins with; 0 when that is longer. */
const fast = new Uint16Array(1 << LOOK)
/** Per length: the first code, how many, and where their symbols begin in `symbols`. */
const firstCode = new Int32Array(MAX_BITS + 1)
const codeCount = new Int32Array(MAX_BITS + 1)
const firstSymbol = new Int32Array(MAX_BITS + 1)
const symbols = new Uint16Array(LENGTHS.length)

let code = 0
let filled = 0
for (let bits = 1; bits <= MAX_BITS; bits++) {
  code <<= 1
  firstCode[bits] = code
  firstSymbol[bits] = filled
  for (const [symbol, length] of LENGTHS.entries()) {
    if (length !== bits) continue
    if (bits <= LOOK) {
      const from = code << (LOOK - bits)
      fast.fill((symbol << 4) | bits, from, from + (1 << (LOOK - bits)))
    }
    symbols[filled++] = symbol
    code++
  }
  codeCount[bits] = filled - (firstSymbol[bits] as number)
}

/** How many bytes `length` coded bytes can become. */
export function decodedBound(length: number): number {
  return Math.floor((length * 8) / 5)
}

/**
 * Decodes `source[from..to)` into `into` from `at` on, which must have room for
 * `decodedBound`.
 *
 * @returns Where the decoded bytes end, or -1 when the code or its padding is wrong.
 */
// biome-ignore lint/complexity/noExcessiveCognitiveComplexity: one loop over bits; calls per byte would cost more than they explain
export function decodeHuffman(
  source: Uint8Array,
  from: number,
  to: number,
  into: Uint8Array,
  at: number,
): number {
  let bits = 0
  let held = 0
  let next = from
  let end = at
  for (;;) {
    while (bits <= 16 && next < to) {
      held = (held << 8) | (source[next++] as number)
      bits += 8
    }
    if (bits < 8 && next === to) {
      const ones = (1 << bits) - 1
      if ((held & ones) === ones) return end
    }
    const look = bits >= LOOK ? held >>> (bits - LOOK) : held << (LOOK - bits)
    const entry = fast[look & ((1 << LOOK) - 1)] as number
    const length = entry & 15
    if (length !== 0) {
      if (length > bits) return -1
      into[end++] = entry >>> 4
      bits -= length
      continue
    }
    // A long code: bit by bit from where it begins.
    let bitAt = next * 8 - bits
    let long = 0
    let symbol = -1
    for (let size = 1; size <= MAX_BITS && symbol < 0; size++) {
      if (bitAt >= to * 8) return -1
      long = (long << 1) | (((source[bitAt >> 3] as number) >> (7 - (bitAt & 7))) & 1)
      bitAt++
      const nth = long - (firstCode[size] as number)
      if (nth < (codeCount[size] as number)) {
        symbol = symbols[(firstSymbol[size] as number) + nth] as number
      }
    }
    if (symbol < 0 || symbol === EOS) return -1
    into[end++] = symbol
    next = bitAt >> 3
    bits = 0
    if ((bitAt & 7) !== 0) {
      held = source[next++] as number
      bits = 8 - (bitAt & 7)
    }
  }
}
