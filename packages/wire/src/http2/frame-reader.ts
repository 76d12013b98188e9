/**
 * Bytes to frames. DATA goes on in pieces as it comes; every other frame is small
 * (16 KiB at most) and waits here until it is whole. Any cut of the bytes gives the
 * same frames.
 */
import { H2_ERROR } from './contract.ts'
import { FLAG, FRAME, HEADER_BYTES, MAX_FRAME_BYTES, PREFACE, readUint32 } from './frames.ts'

export interface FrameSink {
  /** Nothing more is wanted. */
  readonly closed: boolean
  /** A whole frame other than DATA; its content is `bytes[from..to)`. */
  onFrame(type: number, flags: number, id: number, bytes: Buffer, from: number, to: number): void
  /** `length` counts padding, too. */
  onDataBegin(flags: number, id: number, length: number, padding: number): void
  /** `last`: the frame's content ends with these bytes. */
  onDataPart(bytes: Buffer, from: number, to: number, last: boolean): void
  onFrameError(code: number, why: string): void
}

export class FrameReader {
  readonly #sink: FrameSink
  /** Bytes of the client's preface that are still to come. */
  #prefaceLeft: number
  /** A frame that is not whole yet. */
  #stash: Buffer | undefined
  #stashLength = 0
  #dataLeft = 0
  #paddingLeft = 0

  constructor(sink: FrameSink, expectPreface: boolean) {
    this.#sink = sink
    this.#prefaceLeft = expectPreface ? PREFACE.length : 0
  }

  receive(bytes: Buffer, length: number): void {
    const sink = this.#sink
    let at = this.#prefaceLeft > 0 ? this.#preface(bytes, length) : 0
    while (at < length && !sink.closed) {
      if (this.#dataLeft > 0) at = this.#data(bytes, at, length)
      else if (this.#paddingLeft > 0) {
        const skipped = Math.min(this.#paddingLeft, length - at)
        this.#paddingLeft -= skipped
        at += skipped
      } else if (this.#stash !== undefined) at = this.#fill(this.#stash, bytes, at, length)
      else at = this.#frame(bytes, at, length)
    }
  }

  #preface(bytes: Buffer, length: number): number {
    let at = 0
    while (at < length && this.#prefaceLeft > 0) {
      if (bytes[at] !== PREFACE[PREFACE.length - this.#prefaceLeft]) {
        this.#sink.onFrameError(H2_ERROR.protocolError, 'the client preface is not that of HTTP/2')
        return length
      }
      at++
      this.#prefaceLeft--
    }
    return at
  }

  #data(bytes: Buffer, at: number, length: number): number {
    const end = Math.min(at + this.#dataLeft, length)
    this.#dataLeft -= end - at
    this.#sink.onDataPart(bytes, at, end, this.#dataLeft === 0)
    return end
  }

  /** How many bytes from `at` on make a unit that can be handled; 0 when the header shows an error. */
  #need(bytes: Buffer, at: number): number {
    const length =
      ((bytes[at] as number) << 16) | ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number)
    if (length > MAX_FRAME_BYTES) {
      this.#sink.onFrameError(H2_ERROR.frameSizeError, 'a frame is larger than 16,384 bytes')
      return 0
    }
    if (bytes[at + 3] !== FRAME.data) return HEADER_BYTES + length
    const padded = ((bytes[at + 4] as number) & FLAG.padded) !== 0
    return padded && length > 0 ? HEADER_BYTES + 1 : HEADER_BYTES
  }

  #frame(bytes: Buffer, at: number, length: number): number {
    const ready = length - at
    if (ready < HEADER_BYTES) return this.#keep(bytes, at, length, HEADER_BYTES)
    const need = this.#need(bytes, at)
    if (need === 0) return length
    if (ready < need) return this.#keep(bytes, at, length, need)
    this.#deliver(bytes, at, need)
    return at + need
  }

  #keep(bytes: Buffer, at: number, length: number, need: number): number {
    const stash = Buffer.allocUnsafeSlow(need)
    bytes.copy(stash, 0, at, length)
    this.#stash = stash
    this.#stashLength = length - at
    return length
  }

  #fill(stash: Buffer, bytes: Buffer, at: number, length: number): number {
    const end = Math.min(at + stash.length - this.#stashLength, length)
    bytes.copy(stash, this.#stashLength, at, end)
    this.#stashLength += end - at
    if (this.#stashLength < stash.length) return end
    const need = this.#need(stash, 0)
    if (need === 0) return length
    if (need > stash.length) {
      this.#keep(stash, 0, stash.length, need)
      return end
    }
    this.#stash = undefined
    this.#deliver(stash, 0, need)
    return end
  }

  #deliver(bytes: Buffer, at: number, need: number): void {
    const sink = this.#sink
    const type = bytes[at + 3] as number
    const flags = bytes[at + 4] as number
    const id = readUint32(bytes, at + 5) % 0x8000_0000
    const from = at + HEADER_BYTES
    if (type !== FRAME.data) {
      sink.onFrame(type, flags, id, bytes, from, at + need)
      return
    }
    const length =
      ((bytes[at] as number) << 16) | ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number)
    const padded = (flags & FLAG.padded) !== 0
    if (padded && (length === 0 || (bytes[from] as number) >= length)) {
      sink.onFrameError(H2_ERROR.protocolError, 'padding is longer than its frame')
      return
    }
    this.#paddingLeft = padded ? (bytes[from] as number) : 0
    this.#dataLeft = length - this.#paddingLeft - (padded ? 1 : 0)
    sink.onDataBegin(flags, id, length, length - this.#dataLeft)
    if (this.#dataLeft === 0 && !sink.closed) sink.onDataPart(bytes, from, from, true)
  }
}
