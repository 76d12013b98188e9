/**
 * Bytes of a TCP or TLS connection to frames: a u24 length before each. A frame that came in
 * one piece is handed on where it lies; one that came in pieces is put together once, in a
 * buffer that grows with what really came and not with the length that a peer claims. Any cut
 * of the bytes gives the same frames.
 */
import { FRAME_HEAD_BYTES, LENGTH_PREFIX_BYTES, readUint24 } from './frames.ts'

export interface RSocketFrameSink {
  /** Nothing more is wanted. */
  readonly closed: boolean
  /**
   * A whole frame: `bytes[from..to)`, its length prefix in the three bytes before `from`.
   * Valid, and the reader's to change, during the call only.
   */
  onFrame(bytes: Uint8Array, from: number, to: number): void
  /** The connection cannot go on: CONNECTION_ERROR. Nothing follows. */
  onFrameError(why: string): void
}

/** The first buffer of a frame in pieces; most frames fit. */
const FIRST_STASH_BYTES = 4096

export class RSocketFrameReader {
  readonly #sink: RSocketFrameSink
  /** The longest frame without prefix, 6 to 16,777,215 bytes; holds for frames that begin from now on. */
  maxFrameBytes: number
  /** A frame with its prefix that is not whole yet. */
  #stash: Uint8Array | undefined
  #stashed = 0

  constructor(sink: RSocketFrameSink, maxFrameBytes: number) {
    this.#sink = sink
    this.maxFrameBytes = maxFrameBytes
  }

  /** Bytes held of a frame that is not whole yet. */
  get heldBytes(): number {
    return this.#stashed
  }

  receive(bytes: Uint8Array, length: number): void {
    const sink = this.#sink
    let at = 0
    if (this.#stash !== undefined) at = this.#fill(this.#stash, bytes, length)
    while (at < length && !sink.closed) {
      const have = length - at
      const need = have < LENGTH_PREFIX_BYTES ? LENGTH_PREFIX_BYTES : this.#need(bytes, at)
      if (need === 0) return
      if (have < need || need === LENGTH_PREFIX_BYTES) {
        this.#keep(bytes, at, length)
        return
      }
      sink.onFrame(bytes, at + LENGTH_PREFIX_BYTES, at + need)
      at += need
    }
  }

  /** Bytes of the frame at `at` with its prefix; 0 when its length is an error. */
  #need(bytes: Uint8Array, at: number): number {
    const length = readUint24(bytes, at)
    if (length >= FRAME_HEAD_BYTES && length <= this.maxFrameBytes) {
      return LENGTH_PREFIX_BYTES + length
    }
    this.#sink.onFrameError(
      length < FRAME_HEAD_BYTES
        ? `a frame of ${length} bytes is shorter than its head of 6`
        : `a frame of ${length} bytes is longer than the limit of ${this.maxFrameBytes}`,
    )
    return 0
  }

  #keep(bytes: Uint8Array, at: number, length: number): void {
    const have = length - at
    const stash = Buffer.allocUnsafeSlow(Math.max(FIRST_STASH_BYTES, have))
    stash.set(bytes.subarray(at, length))
    this.#stash = stash
    this.#stashed = have
  }

  /** Adds to the frame in pieces; returns where in `bytes` the next frame begins. */
  #fill(stash: Uint8Array, bytes: Uint8Array, length: number): number {
    let target = stash
    let at = 0
    while (this.#stashed < LENGTH_PREFIX_BYTES && at < length) {
      target[this.#stashed++] = bytes[at++] as number
    }
    if (this.#stashed < LENGTH_PREFIX_BYTES) return length
    const need = this.#need(target, 0)
    if (need === 0) {
      this.#stash = undefined
      this.#stashed = 0
      return length
    }
    const end = Math.min(length, at + need - this.#stashed)
    const total = this.#stashed + end - at
    if (total > target.length) target = this.#grown(target, total, need)
    target.set(bytes.subarray(at, end), this.#stashed)
    this.#stashed = total
    if (total < need) return length
    this.#stash = undefined
    this.#stashed = 0
    this.#sink.onFrame(target, LENGTH_PREFIX_BYTES, need)
    return end
  }

  #grown(stash: Uint8Array, total: number, need: number): Uint8Array {
    const larger = Buffer.allocUnsafeSlow(Math.min(need, Math.max(total, stash.length * 2)))
    larger.set(stash.subarray(0, this.#stashed))
    this.#stash = larger
    return larger
  }
}
