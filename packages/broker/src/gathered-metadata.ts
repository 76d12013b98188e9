/**
 * Metadata of a request that is spread over fragments. A route can be chosen when it is whole:
 * metadata comes first and completely (Protocol.md, "Fragmentation and Reassembly"), so the first
 * byte of data, or the last fragment, ends it.
 */
import { FRAME_FLAG, type FrameView } from '@weft/wire'

export class GatheredMetadata {
  readonly #maxBytes: number
  readonly #parts: Buffer[] = []
  #length = 0
  isWhole = false

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Whether the metadata of this first frame may go on in the next. */
  static isNeeded(view: FrameView): boolean {
    return view.follows && view.dataTo === view.dataFrom
  }

  /** Takes the next fragment. A text says why the request cannot be taken. */
  add(view: FrameView): string | undefined {
    if ((view.flags & FRAME_FLAG.metadata) !== 0) {
      const part = Buffer.from(view.bytes.subarray(view.metadataFrom, view.metadataTo))
      this.#length += part.length
      if (this.#length > this.#maxBytes) return 'the metadata is too long'
      this.#parts.push(part)
    }
    this.isWhole = !view.follows || view.dataTo > view.dataFrom
    return undefined
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#parts)
  }
}
