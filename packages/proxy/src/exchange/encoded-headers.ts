/**
 * A route's header operations in the form the data path runs them: which names to
 * cut, which lines to write. Made once per list of operations and remembered by
 * the list's identity, so configurations that share a list share the work.
 */
import type { HeaderValue } from '@weft/model'
import type { HeaderOp, HeaderTemplate } from '@weft/traffic'
import { ascii, hashName, knownId, type Piece, pieceOf } from '@weft/wire'

export interface EncodedHeaders {
  readonly cuts: readonly EncodedName[]
  readonly lines: readonly EncodedLine[]
}

export interface EncodedName {
  readonly hash: number
  readonly lower: Uint8Array
  /** Number of a name that parsers know, else 0. */
  readonly known: number
}

/** A whole line ready to copy, or one whose value is rendered per request. */
type EncodedLine =
  | { readonly kind: 'ready'; readonly piece: Piece }
  | { readonly kind: 'template'; readonly name: string; readonly value: HeaderTemplate }

const encodedOps = new WeakMap<readonly HeaderOp[], EncodedHeaders>()

export function encodeHeaderOps(ops: readonly HeaderOp[]): EncodedHeaders {
  const known = encodedOps.get(ops)
  if (known !== undefined) return known
  const encoded = encode(ops)
  encodedOps.set(ops, encoded)
  return encoded
}

/** Stamps replace, strips remove. */
export function encodeStamps(
  stamps: readonly HeaderValue[] = [],
  strips: readonly string[] = [],
): EncodedHeaders {
  return encode([
    ...strips.map((name) => ({ kind: 'remove', name }) as const),
    ...stamps.map(
      ({ name, value }) => ({ kind: 'set', name, value: { kind: 'literal', value } }) as const,
    ),
  ])
}

function encode(ops: readonly HeaderOp[]): EncodedHeaders {
  const cuts = new Map<string, EncodedName>()
  let lines: { readonly name: string; readonly line: EncodedLine }[] = []
  // As if run from front to back over the message: what cuts a name also undoes earlier additions.
  for (const op of ops) {
    if (op.kind !== 'add') {
      cuts.set(op.name, {
        hash: hashName(op.name),
        lower: ascii(op.name),
        known: knownId(op.name),
      })
      lines = lines.filter(({ name }) => name !== op.name)
    }
    if (op.kind !== 'remove') lines.push({ name: op.name, line: encodeLine(op.name, op.value) })
  }
  return { cuts: [...cuts.values()], lines: lines.map(({ line }) => line) }
}

function encodeLine(name: string, value: HeaderTemplate): EncodedLine {
  if (value.kind === 'template') return { kind: 'template', name, value }
  // Values outside Latin-1 go out as UTF-8, as they were written in the configuration.
  return { kind: 'ready', piece: pieceOf(Buffer.from(`${name}: ${value.value}\r\n`, 'utf8')) }
}

export function joinEncoded(
  a: EncodedHeaders | undefined,
  b: EncodedHeaders | undefined,
): EncodedHeaders | undefined {
  if (a === undefined || b === undefined) return a ?? b
  return { cuts: [...a.cuts, ...b.cuts], lines: [...a.lines, ...b.lines] }
}
