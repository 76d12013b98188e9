/** What travels: bytes, and what people write in their place. */

/** Bytes go as they are, text as UTF-8, `undefined` as nothing, everything else as JSON. */
export type Outgoing = unknown

const encoder = new TextEncoder()
const decoder = new TextDecoder()
const strict = new TextDecoder('utf-8', { fatal: true })
const EMPTY = new Uint8Array(0)

/** An answer, an item of a stream, or what a handler is asked. */
export class Message {
  readonly data: Uint8Array
  /** As it came, mostly composite; undefined: there was none. */
  readonly metadata: Uint8Array | undefined

  constructor(data: Uint8Array, metadata?: Uint8Array) {
    this.data = data
    this.metadata = metadata
  }

  /** The data as UTF-8. */
  text(): string {
    return decoder.decode(this.data)
  }

  /**
   * The data as JSON. What it is is for the caller to check.
   *
   * @throws {SyntaxError} If it is no JSON.
   */
  json(): unknown {
    return JSON.parse(strict.decode(this.data))
  }
}

/** @throws {TypeError} If it has no form as bytes: a function, a symbol, a BigInt, a cycle. */
export function encode(value: Outgoing): Uint8Array {
  if (value instanceof Uint8Array) return value
  if (typeof value === 'string') return encoder.encode(value)
  if (value === undefined) return EMPTY
  if (value instanceof ArrayBuffer) return new Uint8Array(value)
  if (ArrayBuffer.isView(value)) {
    return new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
  }
  if (value instanceof Message) return value.data
  const text: string | undefined = JSON.stringify(value)
  if (text === undefined) throw new TypeError(`Cannot send a ${typeof value}: it has no JSON form`)
  return encoder.encode(text)
}
