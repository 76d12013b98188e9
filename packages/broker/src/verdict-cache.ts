/**
 * Verdicts by the metadata of the request, byte for byte: peers ask the same few things again and
 * again, and a comparison of thirty bytes is cheaper than to read, match and decide anew. Belongs
 * to one connection, so the caller is part of the key.
 */
import type { FrameView } from '@weft/wire'
import type { ForwardVerdict } from './router.ts'

/** Power of two; a newer one takes the place of an older. */
const SLOTS = 64
/** Longer metadata is different each time: traces, tokens. */
const MAX_BYTES = 192

interface Kept {
  readonly metadata: Uint8Array
  /** The type of the frame: interactions may be decided differently. */
  readonly type: number
  readonly verdict: ForwardVerdict
  readonly version: number
}

export class VerdictCache {
  #slots: (Kept | undefined)[] | undefined

  find(view: FrameView, version: number): ForwardVerdict | undefined {
    if (this.#slots === undefined) return undefined
    const { bytes, metadataFrom, metadataTo, type } = view
    const length = metadataTo - metadataFrom
    if (length > MAX_BYTES) return undefined
    const kept = this.#slots[slotOf(view)]
    if (kept === undefined || kept.version !== version || kept.type !== type) return undefined
    const { metadata } = kept
    if (metadata.length !== length) return undefined
    for (let i = 0; i < length; i++) {
      if (metadata[i] !== bytes[metadataFrom + i]) return undefined
    }
    return kept.verdict
  }

  keep(view: FrameView, verdict: ForwardVerdict, version: number): void {
    const { bytes, metadataFrom, metadataTo, type } = view
    if (metadataTo - metadataFrom > MAX_BYTES) return
    this.#slots ??= new Array<Kept | undefined>(SLOTS).fill(undefined)
    const metadata = Buffer.from(bytes.subarray(metadataFrom, metadataTo))
    this.#slots[slotOf(view)] = { metadata, type, verdict, version }
  }
}

/** FNV-1a over the metadata; only spreads, equality is decided by the bytes. */
function slotOf({ bytes, metadataFrom, metadataTo }: FrameView): number {
  let hash = 0x811c9dc5
  for (let i = metadataFrom; i < metadataTo; i++) {
    hash = Math.imul(hash ^ (bytes[i] as number), 0x01000193)
  }
  return (hash ^ (hash >>> 15)) & (SLOTS - 1)
}
