/** Spells the names of a head that lies in `out`, for HTTP/1 peers that are particular about it. */

const LF = 0x0a
const COLON = 0x3a
const DASH = 0x2d
const CASE_BIT = 0x20

/** Of `bytes[from..end)`, which begins with a start line. */
export function spellNames(
  bytes: Uint8Array,
  from: number,
  end: number,
  spelling: 'lower' | 'proper',
): void {
  let at = nextLine(bytes, from, end)
  while (at < end) {
    spellName(bytes, at, end, spelling === 'proper')
    at = nextLine(bytes, at, end)
  }
}

function nextLine(bytes: Uint8Array, from: number, end: number): number {
  const lineEnd = bytes.indexOf(LF, from)
  return lineEnd < 0 || lineEnd >= end ? end : lineEnd + 1
}

function spellName(bytes: Uint8Array, from: number, end: number, proper: boolean): void {
  let upper = proper
  for (let i = from; i < end && bytes[i] !== COLON && bytes[i] !== LF; i++) {
    const letter = (bytes[i] as number) | CASE_BIT
    const isLetter = letter >= 0x61 && letter <= 0x7a
    if (isLetter) bytes[i] = upper ? letter & ~CASE_BIT : letter
    upper = proper && bytes[i] === DASH
  }
}
