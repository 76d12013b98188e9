/**
 * YAML or JSON text → plain values with places. YAML as kubectl reads it: 1.1's
 * `yes`/`no` are booleans, `<<` merges, a key may appear once. Every document is
 * read by itself, so that a mistake in one does not hide the others, and what
 * aliases may unfold to is bounded.
 *
 * This file knows nothing of kinds. It never throws.
 */

import {
  type Alias,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  type Node,
  parseDocument,
  type Scalar,
  type ScalarTag,
  type YAMLMap,
  type YAMLSeq,
} from 'yaml'
import { childPath, itemPath, type Place } from './places.ts'

export interface RawDocument {
  readonly value: unknown
  readonly place: Place
}

interface TextProblem {
  readonly offset: number
  readonly path: string
  readonly code: 'syntax' | 'duplicate-key' | 'too-large'
  readonly message: string
}

interface RawText {
  readonly documents: readonly RawDocument[]
  readonly problems: readonly TextProblem[]
}

interface TextLimits {
  /** Characters of one text. */
  readonly maxChars: number
  /** Maps, lists and scalars of one document, aliases unfolded. */
  readonly maxNodes: number
  readonly maxDepth: number
}

/** A text of 16 M characters holds some 20,000 routes; a Kubernetes object has at most 3 MB. */
const TEXT_LIMITS: TextLimits = { maxChars: 16 << 20, maxNodes: 1_000_000, maxDepth: 200 }

export function readYaml(text: string, limits: TextLimits = TEXT_LIMITS): RawText {
  if (text.length > limits.maxChars) {
    const message = `the text has ${text.length} characters; at most ${limits.maxChars} are read; split it into several files`
    return { documents: [], problems: [{ offset: 0, path: '', code: 'too-large', message }] }
  }
  const documents: RawDocument[] = []
  const problems: TextProblem[] = []
  for (const chunk of splitDocuments(text)) {
    try {
      const document = readDocument(chunk, limits, problems)
      if (document !== undefined) documents.push(document)
    } catch (error) {
      problems.push({ offset: chunk.offset, path: '', ...unreadable(error) })
    }
  }
  return { documents, problems }
}

function unreadable(error: unknown): Pick<TextProblem, 'code' | 'message'> {
  const say = (reason: string) => `this document cannot be read: ${reason}`
  if (error instanceof TooLarge) return { code: 'too-large', message: say(error.message) }
  // The YAML library recurses: nesting beyond the stack ends here.
  if (error instanceof RangeError) {
    return { code: 'too-large', message: say('it is nested too deeply') }
  }
  return { code: 'syntax', message: say(error instanceof Error ? error.message : String(error)) }
}

interface Chunk {
  readonly text: string
  readonly offset: number
}

/**
 * A line that begins with `---` starts a document wherever it stands: YAML
 * allows it neither in a block scalar nor in a quoted one (section 9.1.2).
 */
function splitDocuments(text: string): readonly Chunk[] {
  const chunks: Chunk[] = []
  const bom = text.startsWith('\uFEFF') ? 1 : 0
  let start = bom
  for (const match of text.matchAll(/^---(?=[ \t\r\n]|$)|^\.\.\.(?=[ \t\r\n]|$)/gm)) {
    chunks.push({ text: text.slice(start, match.index), offset: start })
    start = match[0] === '...' ? match.index + 3 : match.index
  }
  chunks.push({ text: text.slice(start), offset: start })
  return chunks.filter((chunk) => !isEmpty(chunk.text))
}

/** Only blanks, comments, directives and the marker itself. */
function isEmpty(text: string): boolean {
  const rest = text.startsWith('---') ? text.slice(3) : text
  return rest.split('\n').every((line) => /^\s*(#.*)?\r?$|^%/.test(line))
}

class TooLarge extends Error {}

const yamlOneBooleans: ScalarTag = {
  identify: (value) => typeof value === 'boolean',
  default: true,
  tag: 'tag:yaml.org,2002:bool',
  test: /^(?:y|Y|yes|Yes|YES|on|On|ON|n|N|no|No|NO|off|Off|OFF)$/,
  resolve: (text) => /^[yY]|^[oO][nN]$/.test(text),
}

function readDocument(
  chunk: Chunk,
  limits: TextLimits,
  problems: TextProblem[],
): RawDocument | undefined {
  const parsed = parseDocument(chunk.text, {
    customTags: (tags) => [yamlOneBooleans, ...tags],
    keepSourceTokens: false,
    logLevel: 'silent',
    merge: true,
    prettyErrors: false,
    strict: true,
    uniqueKeys: false,
  })
  // The library recurses, catches what the stack says and goes on from there.
  if (parsed.errors.some(({ message }) => /stack (size exceeded|overflow)/i.test(message))) {
    throw new TooLarge('it is nested too deeply')
  }
  for (const error of parsed.errors) {
    problems.push({
      // What is not closed is found missing at the end: the last line with text is nearer to it.
      offset: chunk.offset + Math.min(error.pos[0], chunk.text.trimEnd().length),
      path: '',
      code: 'syntax',
      message: syntaxMessage(error.code, error.message, chunk.text, error.pos[0]),
    })
  }
  if (parsed.errors.length > 0 || parsed.contents === null) return undefined
  const known = problems.length
  const reader = new ValueReader(chunk, limits, problems, (alias) => alias.resolve(parsed))
  const result = reader.read(parsed.contents, '', undefined, 0)
  return problems.length === known ? result : undefined
}

/** Builds plain values and places out of the library's nodes. */
class ValueReader {
  readonly #text: string
  readonly #offset: number
  readonly #limits: TextLimits
  readonly #problems: TextProblem[]
  readonly #resolve: (alias: Alias) => Node | undefined
  #nodes = 0

  constructor(
    { text, offset }: Chunk,
    limits: TextLimits,
    problems: TextProblem[],
    resolve: (alias: Alias) => Node | undefined,
  ) {
    this.#text = text
    this.#offset = offset
    this.#limits = limits
    this.#problems = problems
    this.#resolve = resolve
  }

  read(node: unknown, path: string, keyAt: number | undefined, depth: number): RawDocument {
    this.#nodes++
    if (this.#nodes > this.#limits.maxNodes) {
      throw new TooLarge(`it unfolds to more than ${this.#limits.maxNodes} values`)
    }
    if (depth > this.#limits.maxDepth) {
      throw new TooLarge(`it is nested deeper than ${this.#limits.maxDepth} levels`)
    }
    if (isAlias(node)) return this.#readAlias(node, path, keyAt, depth)
    const scalar = isMap(node) ? this.#trailingColonScalar(node) : undefined
    if (scalar !== undefined) return { value: scalar, place: this.#place(node, keyAt) }
    if (isMap(node)) return this.#readMap(node, path, keyAt, depth)
    if (isSeq(node)) return this.#readList(node, path, keyAt, depth)
    return this.#readScalar(node, keyAt)
  }

  /**
   * `[10.0.0.1, 2001:db8::]`: by YAML's letter a map with an empty value, by Go's
   * reader, which Kubernetes uses, the text that was meant.
   */
  #trailingColonScalar(node: YAMLMap): string | undefined {
    if (!node.range || node.items.length !== 1) return undefined
    const source = this.#text.slice(node.range[0], node.range[1]).trimEnd()
    return /^[0-9a-fA-F:]*::$/.test(source) ? source : undefined
  }

  #readAlias(alias: Alias, path: string, keyAt: number | undefined, depth: number): RawDocument {
    const target = this.#resolve(alias)
    if (target === undefined) {
      const message = `alias *${alias.source} has no anchor before it; define &${alias.source} first`
      this.#report(alias, path, 'syntax', message)
      return { value: null, place: this.#place(alias, keyAt) }
    }
    return this.read(target, path, keyAt, depth + 1)
  }

  #readScalar(node: unknown, keyAt: number | undefined): RawDocument {
    const value = isScalar(node) ? plainValue(node) : null
    return { value, place: this.#place(node, keyAt) }
  }

  #readList(node: YAMLSeq, path: string, keyAt: number | undefined, depth: number): RawDocument {
    const value: unknown[] = []
    const children = new Map<string, Place>()
    for (const [index, item] of node.items.entries()) {
      const read = this.read(item, itemPath(path, index), undefined, depth + 1)
      value.push(read.value)
      children.set(String(index), read.place)
    }
    return { value, place: { ...this.#place(node, keyAt), children } }
  }

  #readMap(node: YAMLMap, path: string, keyAt: number | undefined, depth: number): RawDocument {
    const entries = new Map<string, unknown>()
    const children = new Map<string, Place>()
    const merged: RawDocument[] = []
    for (const pair of node.items) {
      const key = keyText(pair.key)
      if (key === undefined) {
        this.#report(pair.key, path, 'syntax', 'a key must be a text, not a map or a list')
        continue
      }
      const at = this.#at(pair.key)
      if (isMergeKey(pair.key)) {
        merged.push(this.read(pair.value, path, at, depth + 1))
        continue
      }
      const childAt = childPath(path, key)
      if (entries.has(key)) {
        const message = `key "${key}" appears twice in this map; remove one of them`
        this.#report(pair.key, childAt, 'duplicate-key', message)
        continue
      }
      const read = this.read(pair.value, childAt, at, depth + 1)
      entries.set(key, read.value)
      children.set(key, read.place)
    }
    for (const one of merged) mergeInto(entries, children, one)
    // Unlike an assignment this makes a key `__proto__` an own property like any other.
    const value = Object.fromEntries(entries)
    return { value, place: { ...this.#place(node, keyAt), children } }
  }

  #place(node: unknown, keyAt: number | undefined): Place {
    const at = this.#at(node) ?? keyAt ?? this.#offset
    return keyAt === undefined ? { at } : { at, keyAt }
  }

  #at(node: unknown): number | undefined {
    const range = (node as Partial<Node> | null)?.range
    return range === undefined || range === null ? undefined : this.#offset + range[0]
  }

  #report(node: unknown, path: string, code: TextProblem['code'], message: string): void {
    this.#problems.push({ offset: this.#at(node) ?? this.#offset, path, code, message })
  }
}

/** What the map has itself wins over what it merges; of several merges the first wins. */
function mergeInto(
  entries: Map<string, unknown>,
  children: Map<string, Place>,
  { value, place }: RawDocument,
): void {
  const sources = Array.isArray(value) ? value.map((_, index) => String(index)) : [undefined]
  for (const source of sources) {
    const from = source === undefined ? value : (value as unknown[])[Number(source)]
    const at = source === undefined ? place : place.children?.get(source)
    if (typeof from !== 'object' || from === null) continue
    for (const [key, item] of Object.entries(from)) {
      if (entries.has(key)) continue
      entries.set(key, item)
      const child = at?.children?.get(key)
      if (child !== undefined) children.set(key, child)
    }
  }
}

function keyText(key: unknown): string | undefined {
  if (!isScalar(key)) return key === null ? 'null' : undefined
  if (typeof key.value === 'string') return key.value
  return key.source ?? String(key.value)
}

function isMergeKey(key: unknown): boolean {
  if (!isScalar(key)) return false
  // The library marks a merge key by a symbol value; quoted, it is an ordinary key.
  return typeof key.value === 'symbol' || (key.source === '<<' && key.type === 'PLAIN')
}

function plainValue(node: Scalar): unknown {
  const { value } = node
  if (typeof value === 'bigint') return Number(value)
  if (value === undefined || typeof value === 'symbol') return node.source ?? null
  if (typeof value === 'object' && value !== null) return node.source ?? null
  return value
}

function syntaxMessage(code: string, message: string, text: string, at: number): string {
  const line = text.slice(text.lastIndexOf('\n', at - 1) + 1, at + 1)
  if (code === 'TAB_AS_INDENT' || /^\s*\t/.test(line)) {
    return 'a tab is used for indentation; YAML allows only spaces there'
  }
  const quote = /Missing closing (.)quote/.exec(message)?.[1]
  if (quote !== undefined)
    return `a text begins with ${quote} and does not end with ${quote}; close it`
  const [first = message] = message.split('\n')
  return `the YAML cannot be read: ${first.replace(/ at line \d+.*$/, '')}${adviceFor(code)}`
}

function adviceFor(code: string): string {
  return ADVICE[code] ?? '; check indentation and quotes from here on'
}

const ADVICE: Readonly<Record<string, string>> = {
  BAD_ALIAS: '; put the value in quotes if the * belongs to it',
  BAD_SCALAR_START: '; put the value in quotes',
  MISSING_CHAR: '; close what was opened before this place',
  MULTILINE_IMPLICIT_KEY: '; a ":" is missing, or this line is indented wrongly',
  BLOCK_AS_IMPLICIT_KEY: '; put the value in quotes, or start it on its own line',
  UNEXPECTED_TOKEN: '; check indentation and quotes from here on',
  BAD_INDENT: '; align this line with its siblings',
}
