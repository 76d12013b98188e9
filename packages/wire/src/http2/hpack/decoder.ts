/**
 * Header blocks to fields (RFC 7541). Each field arrives as a line `name: value CRLF`
 * at a sink; what fields mean is the sink's to know. Lengths are checked against
 * what the sink may still take before anything is decoded or copied.
 */
import { knownName } from '../../http1/field-names.ts'
import { DynamicTable } from './dynamic-table.ts'
import {
  entryOf,
  type HpackEntry,
  hashOf,
  isValue,
  KIND,
  kindOfName,
  STATIC_ENTRIES,
} from './entry.ts'
import { decodedBound, decodeHuffman } from './huffman.ts'

export interface FieldSink {
  /** Bytes that names and values may still have; what is longer is skipped by `onTooLarge`. */
  readonly room: number
  onField(
    line: Uint8Array,
    length: number,
    nameLength: number,
    hash: number,
    known: number,
    kind: number,
  ): void
  /** @param bytes It would have had; 0 when it was not decoded. */
  onTooLarge(bytes: number): void
}

const STATIC = STATIC_ENTRIES.length
const TOO_LONG = -2
/** Integers of more continuation bytes than this are nothing but an attack. */
const MAX_INTEGER_BYTES = 5
const BAD = -1

/** Where a literal becomes a line; nothing in it outlives a field. */
let scratch = new Uint8Array(4_096)
/** Where the last integer ended. */
let cursor = 0

function readInteger(bytes: Uint8Array, at: number, to: number, prefixBits: number): number {
  const mask = (1 << prefixBits) - 1
  let value = (bytes[at] as number) & mask
  cursor = at + 1
  if (value < mask) return value
  for (let i = 0; i < MAX_INTEGER_BYTES; i++) {
    if (cursor >= to) return BAD
    const byte = bytes[cursor++] as number
    value += (byte & 0x7f) * 2 ** (7 * i)
    if (byte < 0x80) return value
  }
  return BAD
}

export class HpackDecoder {
  readonly #table: DynamicTable
  /** Ours, as told to the peer: its encoder may use less, never more. */
  readonly #limit: number

  constructor(maxTableBytes: number) {
    this.#limit = maxTableBytes
    this.#table = new DynamicTable(maxTableBytes)
  }

  /** @returns `false` when the block breaks the compression, which ends the connection. */
  decode(bytes: Uint8Array, from: number, to: number, sink: FieldSink): boolean {
    let at = from
    let mayResize = true
    while (at < to) {
      const first = bytes[at] as number
      if (first >= 0x80) {
        const entry = this.#entry(
          first < 0xff ? this.#short(first, at) : readInteger(bytes, at, to, 7),
        )
        if (entry === undefined) return false
        const { line } = entry
        if (line.length - 4 > sink.room) sink.onTooLarge(line.length)
        else sink.onField(line, line.length, entry.nameLength, entry.hash, entry.known, entry.kind)
      } else if (first >= 0x20 && first < 0x40) {
        const size = readInteger(bytes, at, to, 5)
        if (!mayResize || size === BAD || size > this.#limit) return false
        this.#table.resize(size)
        at = cursor
        continue
      } else if (!this.#literal(bytes, at, to, sink)) return false
      at = cursor
      mayResize = false
    }
    return true
  }

  #short(first: number, at: number): number {
    cursor = at + 1
    return first & 0x7f
  }

  #entry(index: number): HpackEntry | undefined {
    if (index <= 0) return undefined
    return index <= STATIC ? STATIC_ENTRIES[index - 1] : this.#table.get(index - STATIC - 1)
  }

  // biome-ignore lint/complexity/noExcessiveCognitiveComplexity: one form read from left to right; its parts share the cursor
  #literal(bytes: Uint8Array, at: number, to: number, sink: FieldSink): boolean {
    const first = bytes[at] as number
    const indexed = first >= 0x40
    const nameIndex = readInteger(bytes, at, to, indexed ? 6 : 4)
    if (nameIndex === BAD) return false
    // What no table keeps and no head has room for need not be decoded at all.
    const enough = Math.max(sink.room, indexed ? this.#table.maxSize : 0)
    let nameLength = 0
    let named: HpackEntry | undefined
    let skip = false
    if (nameIndex > 0) {
      named = this.#entry(nameIndex)
      if (named === undefined) return false
      nameLength = named.nameLength
      room(nameLength + 2)
      const { line } = named
      for (let i = 0; i < nameLength; i++) scratch[i] = line[i] as number
    } else {
      const end = readString(bytes, cursor, to, 0, enough)
      if (end === BAD) return false
      skip = end === TOO_LONG
      nameLength = skip ? 0 : end
    }
    room(nameLength + 2)
    scratch[nameLength] = 0x3a
    scratch[nameLength + 1] = 0x20
    const end = readString(bytes, cursor, to, nameLength + 2, skip ? -1 : enough)
    if (end === BAD) return false
    if (skip || end === TOO_LONG) {
      // Larger than the table: empties it, like any entry that does not fit.
      if (indexed) this.#table.clear()
      sink.onTooLarge(0)
      return true
    }
    room(end + 2)
    scratch[end] = 0x0d
    scratch[end + 1] = 0x0a
    const length = end + 2
    if (indexed) {
      const entry = entryOf(scratch, length, nameLength)
      this.#table.insert(entry)
      if (length - 4 > sink.room) sink.onTooLarge(length)
      else sink.onField(entry.line, length, nameLength, entry.hash, entry.known, entry.kind)
      return true
    }
    if (length - 4 > sink.room) sink.onTooLarge(length)
    else this.#plain(length, nameLength, named, sink)
    return true
  }

  #plain(length: number, nameLength: number, named: HpackEntry | undefined, sink: FieldSink): void {
    const hash = named === undefined ? hashOf(scratch, nameLength) : named.hash
    const known = named === undefined ? knownName(hash, scratch, 0, nameLength) : named.known
    const nameKind =
      named === undefined ? kindOfName(scratch, nameLength, hash, known) : named.nameKind
    const kind = isValue(scratch, nameLength + 2, length - 2) ? nameKind : KIND.invalid
    sink.onField(scratch, length, nameLength, hash, known, kind)
  }
}

/**
 * Reads a string into `scratch` at `into`; `cursor` is behind it afterwards.
 *
 * @returns Where it ends in `scratch`, `BAD`, or `TOO_LONG` when it was skipped.
 */
function readString(
  bytes: Uint8Array,
  at: number,
  to: number,
  into: number,
  enough: number,
): number {
  if (at >= to) return BAD
  const huffman = (bytes[at] as number) >= 0x80
  const length = readInteger(bytes, at, to, 7)
  const from = cursor
  if (length === BAD || length > to - from) return BAD
  cursor = from + length
  // Huffman saves at most as much as its shortest code does and costs at most 30 bits a byte.
  if ((huffman ? Math.floor((length * 8) / 30) : length) > enough) return TOO_LONG
  if (!huffman) {
    room(into + length)
    for (let i = 0; i < length; i++) scratch[into + i] = bytes[from + i] as number
    return into + length
  }
  room(into + decodedBound(length))
  return decodeHuffman(bytes, from, cursor, scratch, into)
}

function room(needed: number): void {
  if (needed <= scratch.length) return
  const grown = new Uint8Array(Math.max(needed, scratch.length * 2))
  grown.set(scratch)
  scratch = grown
}
