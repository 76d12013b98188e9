/**
 * Fields to header blocks. What a peer was sent before goes as an index; a field gets
 * one when it is seen the second time, so that values that never come again (paths
 * with ids, dates, trace contexts) do not push out those that do.
 *
 * Credentials are never indexed: neither here nor, by their form, at any later hop
 * (RFC 7541, section 7.1.3). Strings go plain: a mesh has bandwidth, not time.
 */
import { COLON, CR, LF, LOWER, SPACE } from '../../http1/bytes.ts'
import { hashName } from '../../http1/field-names.ts'
import type { OutBuffer } from '../../http1/out-buffer.ts'
import { DynamicTable } from './dynamic-table.ts'
import { HpackEntry, STATIC_ENTRIES } from './entry.ts'

/** Larger tables cost memory per connection and save little. */
const MAX_TABLE_BYTES = 4_096
const MAX_INDEXED_BYTES = 256
const SLOTS = 256
const STATIC = STATIC_ENTRIES.length
const SENSITIVE: ReadonlySet<number> = new Set(
  ['authorization', 'proxy-authorization', 'cookie', 'set-cookie'].map(hashName),
)
/** How a literal begins: with a place in the table, without, or never with one. */
const INDEXED = 0x40
const PLAIN = 0x00
const NEVER = 0x10

const STATIC_SLOTS = 512
/** By hash of name and value, and by hash of the name alone: number in the static table, or 0. */
const staticFields = new Uint8Array(STATIC_SLOTS)
const staticNames = new Uint8Array(STATIC_SLOTS)

function place(slots: Uint8Array, hash: number, index: number): void {
  let slot = spread(hash) & (STATIC_SLOTS - 1)
  while (slots[slot] !== 0) slot = (slot + 1) & (STATIC_SLOTS - 1)
  slots[slot] = index
}

function spread(hash: number): number {
  return hash ^ (hash >>> 15)
}

const fieldHashes = new Int32Array(STATIC + 1)
for (const [i, entry] of STATIC_ENTRIES.entries()) {
  const { line, nameLength } = entry
  fieldHashes[i + 1] = fieldHash(entry.hash, line, nameLength + 2, line.length - 2)
  place(staticFields, fieldHashes[i + 1] as number, i + 1)
  const first = STATIC_ENTRIES.findIndex((other) => other.hash === entry.hash)
  if (first === i) place(staticNames, entry.hash, i + 1)
}

/** The hash of a name, continued over a value. */
export function fieldHash(nameHash: number, bytes: Uint8Array, from: number, to: number): number {
  let hash = nameHash
  for (let i = from; i < to; i++) hash = (Math.imul(hash, 31) + (bytes[i] as number)) | 0
  return hash
}

export class HpackEncoder {
  readonly #table = new DynamicTable(MAX_TABLE_BYTES)
  /** By hash of name and value: the number of the insertion plus one, or 0. */
  readonly #slots = new Int32Array(SLOTS)
  /** Hashes of fields that went by without an index. */
  readonly #seen = new Int32Array(SLOTS)
  /** Smallest size since the last block, to be told in the next one; -1 when nothing changed. */
  #resized = -1
  readonly #out: OutBuffer

  constructor(out: OutBuffer) {
    this.#out = out
  }

  /** The peer's SETTINGS_HEADER_TABLE_SIZE. */
  limitTable(bytes: number): void {
    const size = Math.min(bytes, MAX_TABLE_BYTES)
    if (size === this.#table.maxSize) return
    this.#resized = this.#resized < 0 ? size : Math.min(this.#resized, size)
    this.#table.resize(size)
  }

  /** Before the first field of a block. */
  begin(): void {
    if (this.#resized < 0) return
    if (this.#resized < this.#table.maxSize) this.#integer(0x20, 5, this.#resized)
    this.#integer(0x20, 5, this.#table.maxSize)
    this.#resized = -1
  }

  /**
   * Writes a field that has a place in the dynamic table; the name may be in any case.
   *
   * @param hash That of `field-names.ts`, continued over the value.
   * @returns `false` when it has none: `field` writes it.
   */
  indexed(
    hash: number,
    name: Uint8Array,
    nameFrom: number,
    nameTo: number,
    value: Uint8Array,
    from: number,
    to: number,
  ): boolean {
    const inserted = this.#slots[spread(hash) & (SLOTS - 1)] as number
    const nth = this.#table.inserted - inserted
    if (inserted === 0 || nth >= this.#table.count) return false
    const entry = this.#table.get(nth) as HpackEntry
    if (!isField(entry, name, nameFrom, nameTo, value, from, to)) return false
    this.#integer(0x80, 7, STATIC + 1 + nth)
    return true
  }

  /**
   * Any other field.
   *
   * @param nameHash That of `field-names.ts`.
   */
  field(
    hash: number,
    nameHash: number,
    name: Uint8Array,
    nameFrom: number,
    nameTo: number,
    value: Uint8Array,
    from: number,
    to: number,
  ): void {
    const known = this.#static(hash, name, nameFrom, nameTo, value, from, to)
    if (known > 0) {
      this.#integer(0x80, 7, known)
      return
    }
    const slot = spread(hash) & (SLOTS - 1)
    const form = this.#formOf(hash, slot, nameHash, to - from + nameTo - nameFrom)
    const index = this.#staticName(nameHash, name, nameFrom, nameTo)
    this.#integer(form, form === INDEXED ? 6 : 4, index)
    if (index === 0) this.#name(name, nameFrom, nameTo)
    this.#integer(0, 7, to - from)
    this.#out.copy(value as Buffer, from, to)
    if (form === INDEXED) this.#remember(slot, name, nameFrom, nameTo, value, from, to)
  }

  #static(
    hash: number,
    name: Uint8Array,
    nameFrom: number,
    nameTo: number,
    value: Uint8Array,
    from: number,
    to: number,
  ): number {
    for (let slot = spread(hash) & (STATIC_SLOTS - 1); ; slot = (slot + 1) & (STATIC_SLOTS - 1)) {
      const index = staticFields[slot] as number
      if (index === 0) return 0
      if (fieldHashes[index] !== hash) continue
      const entry = STATIC_ENTRIES[index - 1] as HpackEntry
      if (isField(entry, name, nameFrom, nameTo, value, from, to)) return index
    }
  }

  #formOf(hash: number, slot: number, nameHash: number, length: number): number {
    if (SENSITIVE.has(nameHash)) return NEVER
    if (length > MAX_INDEXED_BYTES || length + 32 > this.#table.maxSize) return PLAIN
    if (this.#seen[slot] === hash) return INDEXED
    this.#seen[slot] = hash
    return PLAIN
  }

  #staticName(nameHash: number, name: Uint8Array, from: number, to: number): number {
    let slot = spread(nameHash) & (STATIC_SLOTS - 1)
    for (;;) {
      const index = staticNames[slot] as number
      if (index === 0) return 0
      const entry = STATIC_ENTRIES[index - 1] as HpackEntry
      if (entry.hash === nameHash && isName(entry, name, from, to)) return index
      slot = (slot + 1) & (STATIC_SLOTS - 1)
    }
  }

  #name(name: Uint8Array, from: number, to: number): void {
    const length = to - from
    this.#integer(0, 7, length)
    const out = this.#out
    out.reserve(length)
    const { bytes, length: at } = out
    for (let i = 0; i < length; i++) bytes[at + i] = LOWER[name[from + i] as number] as number
    out.length = at + length
  }

  #remember(
    slot: number,
    name: Uint8Array,
    nameFrom: number,
    nameTo: number,
    value: Uint8Array,
    from: number,
    to: number,
  ): void {
    const nameLength = nameTo - nameFrom
    const line = new Uint8Array(nameLength + 4 + to - from)
    for (let i = 0; i < nameLength; i++) line[i] = LOWER[name[nameFrom + i] as number] as number
    line[nameLength] = COLON
    line[nameLength + 1] = SPACE
    for (let i = from; i < to; i++) line[nameLength + 2 + i - from] = value[i] as number
    line[line.length - 2] = CR
    line[line.length - 1] = LF
    this.#table.insert(new HpackEntry(line, nameLength))
    this.#slots[slot] = this.#table.inserted
  }

  #integer(first: number, prefixBits: number, value: number): void {
    const out = this.#out
    out.reserve(8)
    const { bytes } = out
    const most = (1 << prefixBits) - 1
    if (value < most) {
      bytes[out.length++] = first | value
      return
    }
    bytes[out.length++] = first | most
    let rest = value - most
    while (rest >= 0x80) {
      bytes[out.length++] = (rest & 0x7f) | 0x80
      rest >>>= 7
    }
    bytes[out.length++] = rest
  }
}

function isName(entry: HpackEntry, name: Uint8Array, from: number, to: number): boolean {
  if (entry.nameLength !== to - from) return false
  const { line } = entry
  for (let i = from; i < to; i++) if (line[i - from] !== LOWER[name[i] as number]) return false
  return true
}

function isField(
  entry: HpackEntry,
  name: Uint8Array,
  nameFrom: number,
  nameTo: number,
  value: Uint8Array,
  from: number,
  to: number,
): boolean {
  const { line, nameLength } = entry
  if (line.length - nameLength - 4 !== to - from) return false
  if (!isName(entry, name, nameFrom, nameTo)) return false
  const shift = nameLength + 2 - from
  for (let i = from; i < to; i++) if (line[i + shift] !== value[i]) return false
  return true
}
