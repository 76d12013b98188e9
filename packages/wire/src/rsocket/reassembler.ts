/**
 * Fragments of one payload to the payload, within bounds: so many bytes, and no fragments that
 * bring next to nothing (an endless run of empty ones is an attack that byte limits do not see).
 */

import type { RSocketPayload } from './frame-writer.ts'
import type { FrameView } from './frames.ts'

/** A fragment with fewer bytes than this is slow… */
const SLOW_FRAGMENT_BYTES = 64
/** …and so many of them in one payload are too many. */
const MAX_SLOW_FRAGMENTS = 32

export class Reassembler {
  readonly #maxBytes: number
  #metadata: Uint8Array[] | undefined
  readonly #data: Uint8Array[] = []
  #slow = 0
  #dataBegan = false
  /** What is held, for limits that count a whole connection. */
  bytes = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Adds a fragment, which is copied. Returns why the payload cannot be taken, or undefined. */
  add(view: FrameView): string | undefined {
    const { bytes, metadataFrom, metadataTo, dataFrom, dataTo } = view
    const added = metadataTo - metadataFrom + dataTo - dataFrom
    if (view.follows && added < SLOW_FRAGMENT_BYTES && ++this.#slow > MAX_SLOW_FRAGMENTS) {
      return `more than ${MAX_SLOW_FRAGMENTS} fragments with fewer than ${SLOW_FRAGMENT_BYTES} bytes`
    }
    this.bytes += added
    if (this.bytes > this.#maxBytes) return `a payload of more than ${this.#maxBytes} bytes`
    if (view.hasMetadata) {
      if (this.#dataBegan) return 'metadata after data began'
      this.#metadata ??= []
      this.#metadata.push(Buffer.from(bytes.subarray(metadataFrom, metadataTo)))
    }
    if (dataTo > dataFrom) {
      this.#dataBegan = true
      this.#data.push(Buffer.from(bytes.subarray(dataFrom, dataTo)))
    }
    return undefined
  }

  take(): RSocketPayload {
    return { data: joined(this.#data), metadata: this.#metadata && joined(this.#metadata) }
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts)
}
