/**
 * The body of a gRPC answer as gRPC-Web has it: the messages as they are, then the trailers as one
 * more frame; in the text form each frame as base64 of its own, so that what arrived can be read.
 */
import { Transform, type TransformCallback } from 'node:stream'

const PREFIX_BYTES = 5
const TRAILERS = 0x80
const NO_BYTES = Buffer.alloc(0)

export interface WebFramesOptions {
  readonly text: boolean
  /** Trailers as lines of HTTP/1.1; asked for when the last message went by. */
  trailers(): Buffer | undefined
}

export class WebFrames extends Transform {
  readonly #text: FrameText | undefined
  readonly #trailers: () => Buffer | undefined

  constructor({ text, trailers }: WebFramesOptions) {
    super()
    this.#text = text ? new FrameText() : undefined
    this.#trailers = trailers
  }

  override _transform(piece: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    done(null, this.#text === undefined ? piece : this.#text.take(piece))
  }

  override _flush(done: TransformCallback): void {
    const frame = trailersFrame(this.#trailers() ?? Buffer.from('grpc-status: 2\r\n'))
    if (this.#text === undefined) done(null, frame)
    else done(null, Buffer.concat([this.#text.end(), this.#text.take(frame)]))
  }
}

/** `Name: value` lines become `name:value`. */
function trailersFrame(lines: Buffer): Buffer {
  const text = lines
    .toString('latin1')
    .split('\r\n')
    .filter((line) => line !== '')
    .map((line) => {
      const colon = line.indexOf(':')
      return `${line.slice(0, colon).toLowerCase()}:${line.slice(colon + 1).trim()}\r\n`
    })
    .join('')
  const frame = Buffer.alloc(PREFIX_BYTES + text.length)
  frame[0] = TRAILERS
  frame.writeUInt32BE(text.length, 1)
  frame.write(text, PREFIX_BYTES, 'latin1')
  return frame
}

/** Frames that come in pieces, as base64; padding only where a frame ends. */
class FrameText {
  /** Fewer than three bytes that wait for their group. */
  #rest: Buffer = NO_BYTES
  #prefix = 0
  #length = 0
  #left = 0

  take(piece: Buffer): Buffer {
    const texts: string[] = []
    let at = 0
    while (at < piece.length) {
      const from = at
      at = this.#skip(piece, at)
      const ends = this.#prefix === 0 && this.#left === 0
      texts.push(this.#encode(piece.subarray(from, at), ends))
    }
    return Buffer.from(texts.join(''), 'latin1')
  }

  /** Whatever a broken frame left. */
  end(): Buffer {
    return Buffer.from(this.#encode(NO_BYTES, true), 'latin1')
  }

  /** @returns Where the frame or the piece ends. */
  #skip(piece: Buffer, from: number): number {
    let at = from
    while (this.#left === 0 && at < piece.length) {
      this.#length = this.#prefix === 0 ? 0 : this.#length * 256 + (piece[at] as number)
      at++
      if (++this.#prefix < PREFIX_BYTES) continue
      this.#prefix = 0
      this.#left = this.#length
      if (this.#left === 0) return at
    }
    const step = Math.min(this.#left, piece.length - at)
    this.#left -= step
    return at + step
  }

  #encode(bytes: Buffer, whole: boolean): string {
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes])
    const cut = whole ? all.length : all.length - (all.length % 3)
    this.#rest = cut === all.length ? NO_BYTES : Buffer.from(all.subarray(cut))
    return all.subarray(0, cut).toString('base64')
  }
}
