/**
 * gRPC messages on an HTTP/2 stream: one byte 0 (not compressed), four bytes of length, the
 * message. A message may be cut anywhere into DATA frames.
 */

const PREFIX_BYTES = 5

export function frame(parts: readonly Uint8Array[]): Buffer {
  let length = 0
  for (const part of parts) length += part.length
  const out = Buffer.allocUnsafe(PREFIX_BYTES + length)
  out[0] = 0
  out.writeUInt32BE(length, 1)
  let at = PREFIX_BYTES
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
}

/** What a peer sent cannot be read; the stream has to end with this gRPC status. */
export class FrameError extends Error {
  override readonly name = 'FrameError'
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

/** Never written to: of thousands of readers, nearly all are empty. */
const NONE: Buffer[] = []
const UNIMPLEMENTED = 12
const RESOURCE_EXHAUSTED = 8

/** Puts messages together; holds at most one message of `maxBytes` and a chunk. */
export class FrameReader {
  readonly #maxBytes: number
  #chunks: Buffer[] = NONE
  #bufferedBytes = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /**
   * The messages that are complete now. They may share memory with `chunk`.
   *
   * @throws {FrameError} On a compressed message, or one that is too large.
   */
  read(chunk: Buffer): Buffer[] {
    // Hot: nearly always a chunk is one whole message.
    if (this.#bufferedBytes === 0 && chunk.length >= PREFIX_BYTES) {
      if (chunk.length === PREFIX_BYTES + this.#lengthIn(chunk))
        return [chunk.subarray(PREFIX_BYTES)]
    }
    if (this.#bufferedBytes === 0) this.#chunks = [chunk]
    else this.#chunks.push(chunk)
    this.#bufferedBytes += chunk.length
    const messages: Buffer[] = []
    for (;;) {
      if (this.#bufferedBytes < PREFIX_BYTES) return messages
      const length = this.#messageLength()
      if (this.#bufferedBytes < PREFIX_BYTES + length) return messages
      const all = this.#join()
      const end = PREFIX_BYTES + length
      messages.push(all.subarray(PREFIX_BYTES, end))
      this.#chunks = end < all.length ? [all.subarray(end)] : NONE
      this.#bufferedBytes = all.length - end
    }
  }

  #messageLength(): number {
    const [first] = this.#chunks
    // Only while the prefix itself is cut is there anything to join: a large message that comes
    // in many chunks is copied once, when it is complete.
    const head = first !== undefined && first.length >= PREFIX_BYTES ? first : this.#join()
    return this.#lengthIn(head)
  }

  #lengthIn(head: Buffer): number {
    if (head[0] !== 0) throw new FrameError(UNIMPLEMENTED, 'compressed messages are not supported')
    const length = head.readUInt32BE(1)
    if (length > this.#maxBytes) {
      const text = `message of ${length} bytes is larger than ${this.#maxBytes}`
      throw new FrameError(RESOURCE_EXHAUSTED, text)
    }
    return length
  }

  #join(): Buffer {
    const [first] = this.#chunks
    if (first !== undefined && this.#chunks.length === 1) return first
    const joined = Buffer.concat(this.#chunks)
    this.#chunks = [joined]
    return joined
  }
}
