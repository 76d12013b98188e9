/** The few protobuf primitives that the hot paths write and read by hand. */

const textEncoder = new TextEncoder()

const LENGTH_DELIMITED = 2

/** `tag length bytes` of a length-delimited field. */
export function field(number: number, bytes: Uint8Array): Uint8Array {
  const head = [...varint((number << 3) | LENGTH_DELIMITED), ...varint(bytes.length)]
  const out = new Uint8Array(head.length + bytes.length)
  out.set(head)
  out.set(bytes, head.length)
  return out
}

/** A string field; nothing at all for the empty string, as proto3 has it. */
export function textField(number: number, text: string): Uint8Array {
  return text === '' ? new Uint8Array(0) : field(number, textEncoder.encode(text))
}

function varint(value: number): number[] {
  const bytes: number[] = []
  let rest = value
  while (rest > 0x7f) {
    bytes.push((rest & 0x7f) | 0x80)
    rest = Math.floor(rest / 128)
  }
  bytes.push(rest)
  return bytes
}

/**
 * The two strings of a message that has no other fields, or `undefined` when it has:
 * the shape of nearly every request on a Delta stream, an ACK.
 */
export function readTwoTexts(
  bytes: Buffer,
  first: number,
  second: number,
): readonly [string, string] | undefined {
  let at = 0
  let a = ''
  let b = ''
  while (at < bytes.length) {
    const tag = bytes[at] ?? 0
    const number = tag >> 3
    const wanted = number === first || number === second
    if ((tag & 7) !== LENGTH_DELIMITED || !wanted || tag > 0x7f) return undefined
    const length = bytes[at + 1] ?? 0x80
    const end = at + 2 + length
    // Longer strings take two bytes of length; type URLs and nonces do not come near.
    if (length > 0x7f || end > bytes.length) return undefined
    const text = bytes.toString('utf8', at + 2, end)
    if (number === first) a = text
    else b = text
    at = end
  }
  return [a, b]
}
