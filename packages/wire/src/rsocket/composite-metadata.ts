/**
 * Composite metadata (RSocket Extensions, "Composite Metadata"): entries of a MIME type and
 * content, one after another.
 *
 *     u8   0x80 | id                 a well-known MIME type
 *      or  u8 (length - 1), ascii    any other, of 1 to 128 characters
 *     u24  length of the content
 *     …    content
 *
 * The specification's text says "length" where every implementation writes length − 1; the
 * wire is what counts. The walk allocates nothing: it is on the way of every request.
 */
import { readUint24, writeUint24 } from './frames.ts'
import { mimeId, mimeName } from './mime-types.ts'

/** Walks the entries of `bytes[from..to)`. Reusable; positions are valid while the bytes are. */
export class CompositeReader {
  #bytes: Uint8Array = new Uint8Array(0)
  #at = 0
  #to = 0
  /** The well-known id of the entry, or −1 when its type is spelled out. */
  id = -1
  entryFrom = 0
  /** The spelled-out type. */
  mimeFrom = 0
  mimeTo = 0
  contentFrom = 0
  contentTo = 0
  /** An entry goes beyond the end: what was before it stands, nothing can follow. */
  malformed = false

  start(bytes: Uint8Array, from: number, to: number): this {
    this.#bytes = bytes
    this.#at = from
    this.#to = to
    this.malformed = false
    return this
  }

  /** Goes to the next entry; false at the end and when it is malformed. */
  next(): boolean {
    const bytes = this.#bytes
    let at = this.#at
    if (at >= this.#to || this.malformed) return false
    this.entryFrom = at
    const first = bytes[at++] as number
    if (first >= 0x80) {
      this.id = first & 0x7f
      this.mimeFrom = at
      this.mimeTo = at
    } else {
      this.id = -1
      this.mimeFrom = at
      at += first + 1
      this.mimeTo = at
    }
    if (at + 3 > this.#to) return this.#fail()
    this.contentFrom = at + 3
    this.contentTo = at + 3 + readUint24(bytes, at)
    if (this.contentTo > this.#to) return this.#fail()
    this.#at = this.contentTo
    return true
  }

  #fail(): false {
    this.malformed = true
    return false
  }

  /** Goes to the next entry of this well-known type. */
  find(id: number): boolean {
    while (this.next()) if (this.id === id) return true
    return false
  }

  get mime(): string | undefined {
    if (this.id >= 0) return mimeName(this.id)
    return Buffer.from(this.#bytes.subarray(this.mimeFrom, this.mimeTo)).toString('latin1')
  }

  get content(): Uint8Array {
    return this.#bytes.subarray(this.contentFrom, this.contentTo)
  }
}

export interface CompositeEntry {
  /** A MIME type of 1 to 128 ASCII characters, or the number of a well-known id. */
  readonly mime: string | number
  readonly content: Uint8Array
}

function renderCompositeEntry(entry: CompositeEntry): Buffer {
  const { content } = entry
  const type = renderMime(entry.mime)
  const bytes = Buffer.allocUnsafe(type.length + 3 + content.length)
  bytes.set(type, 0)
  writeUint24(bytes, type.length, content.length)
  bytes.set(content, type.length + 3)
  return bytes
}

export function renderComposite(entries: readonly CompositeEntry[]): Buffer {
  return Buffer.concat(entries.map(renderCompositeEntry))
}

/** Every entry, copied: for SETUP and for tests, not for the way of a request. Undefined: malformed. */
export function readComposite(bytes: Uint8Array): CompositeEntry[] | undefined {
  const reader = new CompositeReader().start(bytes, 0, bytes.length)
  const entries: CompositeEntry[] = []
  while (reader.next()) {
    entries.push({ mime: reader.mime ?? reader.id, content: Buffer.from(reader.content) })
  }
  return reader.malformed ? undefined : entries
}

/** `0x80 | id`, or length − 1 and the text; the form of entries, of 0x7A, 0x7B and 0x7C alike. */
export function renderMime(mime: string | number): Buffer {
  const id = typeof mime === 'number' ? mime : mimeId(mime)
  if (id !== undefined) return Buffer.of(0x80 | id)
  const text = Buffer.from(mime as string, 'latin1')
  if (text.length === 0 || text.length > 128) {
    throw new RangeError(`Cannot render a MIME type: 1 to 128 characters, got ${text.length}`)
  }
  return Buffer.concat([Buffer.of(text.length - 1), text])
}
