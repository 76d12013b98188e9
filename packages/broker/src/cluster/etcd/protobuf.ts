/** What etcd's messages need of protobuf: varints, bytes and messages within messages. */

const LENGTH_DELIMITED = 2
const CONTINUES = 0x80n

/** Fields in the order in which they are added; zero, false and empty are left out (proto3). */
export class ProtoWriter {
  readonly #parts: Uint8Array[] = []

  number(field: number, value: bigint | number | boolean): this {
    const whole = BigInt(value)
    if (whole !== 0n) this.#parts.push(varint(BigInt(field) << 3n), varint(whole))
    return this
  }

  text(field: number, text: string): this {
    return text === '' ? this : this.bytes(field, Buffer.from(text))
  }

  /** Written even when it is empty: an empty message says something. */
  bytes(field: number, content: Uint8Array): this {
    const tag = (BigInt(field) << 3n) | BigInt(LENGTH_DELIMITED)
    this.#parts.push(varint(tag), varint(BigInt(content.length)), content)
    return this
  }

  message(field: number, content: ProtoWriter): this {
    return this.bytes(field, content.finish())
  }

  finish(): Buffer {
    return Buffer.concat(this.#parts)
  }
}

/** int64 as two's complement of 64 bits, as protobuf has it. */
function varint(value: bigint): Uint8Array {
  const bytes: number[] = []
  let rest = BigInt.asUintN(64, value)
  while (rest >= CONTINUES) {
    bytes.push(Number((rest & 0x7fn) | CONTINUES))
    rest >>= 7n
  }
  bytes.push(Number(rest))
  return Uint8Array.from(bytes)
}

export interface ProtoField {
  readonly field: number
  /** Of a varint; 0 for others. */
  readonly number: bigint
  /** Of strings, bytes and messages; empty for others. */
  readonly bytes: Buffer
}

const NOTHING = Buffer.alloc(0)

/**
 * The fields of a message, in their order; fixed-size ones are passed over.
 *
 * @throws {RangeError} When the message ends within a field.
 */
export function* readProto(message: Buffer): Generator<ProtoField> {
  let at = 0
  const varintAt = (): bigint => {
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      if (at >= message.length) throw new RangeError('a protobuf message ends within a number')
      const byte = message[at++] as number
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return BigInt.asIntN(64, value)
    }
    throw new RangeError('a protobuf number has more than ten bytes')
  }
  const skip = (bytes: number): Buffer => {
    const to = at + bytes
    if (bytes < 0 || to > message.length) {
      throw new RangeError('a protobuf message ends within a field')
    }
    const content = message.subarray(at, to)
    at = to
    return content
  }
  while (at < message.length) {
    const tag = Number(varintAt())
    const field = tag >>> 3
    const wireType = tag & 7
    if (wireType === 0) yield { field, number: varintAt(), bytes: NOTHING }
    else if (wireType === LENGTH_DELIMITED) {
      yield { field, number: 0n, bytes: skip(Number(varintAt())) }
    } else if (wireType === 1) skip(8)
    else if (wireType === 5) skip(4)
    else throw new RangeError(`protobuf wire type ${wireType} is not known`)
  }
}
