/**
 * Takes one object out of a YAML document that holds several (`kind: List`) and
 * leaves the text of the others as it is: also of those that are invalid, and of
 * kinds that the mesh does not read.
 */
import { type ParsedText, parseDocuments } from '@weft/config'

type IsNamed = (object: ParsedText['objects'][number]['object']) => boolean

/** Whether a document holds nothing but objects that are named. */
export function holdsOnly(text: string, isNamed: IsNamed): boolean {
  return contentsOf(text, isNamed).length === 0
}

/** Undefined when the text is written in a way that cannot be cut without harm to the others. */
export function withoutMembers(text: string, isNamed: IsNamed): string | undefined {
  const next = fromJson(text, isNamed) ?? fromLines(text, isNamed)
  if (next === undefined) return undefined
  const before = contentsOf(text, isNamed)
  const after = contentsOf(next, () => false)
  // Whatever was cut, nothing else may read differently now.
  return JSON.stringify(after) === JSON.stringify(before) ? next : undefined
}

function fromJson(text: string, isNamed: IsNamed): string | undefined {
  // Numbers this long do not survive being read and written.
  if (/\d{16}/.test(text)) return undefined
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  const { items } = (value ?? {}) as { items?: unknown }
  if (!Array.isArray(items)) return undefined
  const kept = items.filter((item) => !namedIn(JSON.stringify(item), isNamed))
  return JSON.stringify({ ...(value as object), items: kept }, undefined, 2)
}

/** Block style: a member's lines are those from its dash to the next line not indented deeper. */
function fromLines(text: string, isNamed: IsNamed): string | undefined {
  const lines = text.split('\n')
  const { objects } = parseDocuments(text, { file: '' })
  const removed = new Set<number>()
  for (const { object, line } of objects) {
    if (!isNamed(object)) continue
    let first = line - 1
    while (first > 0 && /^\s*(#.*)?$/.test(lines[first] ?? '')) first--
    if (!isDash(lines[first]) && isBareDash(lines[first - 1])) first--
    if (!isDash(lines[first])) return undefined
    const next = endOf(lines, first)
    for (let i = first; i < next; i++) removed.add(i)
  }
  return lines.filter((_, i) => !removed.has(i)).join('\n')
}

/** The line after a member; comments at its end that are not indented are about what follows. */
function endOf(lines: readonly string[], first: number): number {
  const dashIndent = indentOf(lines[first])
  let end = first + 1
  for (let i = end; i < lines.length; i++) {
    if (isBlank(lines[i])) continue
    if (indentOf(lines[i]) > dashIndent) end = i + 1
    // A comment may stand anywhere in a member, however little it is indented.
    else if (!/^\s*#/.test(lines[i] ?? '')) break
  }
  while (end < lines.length && isBlank(lines[end])) end++
  return end
}

/** Everything in a text except what is named, as plain data without its place. */
function contentsOf(text: string, isNamed: IsNamed): readonly unknown[] {
  const { objects, skipped, problems } = parseDocuments(text, { file: '' })
  return [
    ...objects
      .filter(({ object }) => !isNamed(object))
      .map(({ object, document, ...one }) => [
        object,
        document?.metadata,
        document?.spec,
        document?.status,
        one.problems.map(({ path, message }) => [path, message]),
      ]),
    ...skipped.map(({ object }) => object),
    ...problems.filter(({ object }) => object === undefined).map(({ message }) => message),
  ]
}

function namedIn(text: string, isNamed: IsNamed): boolean {
  return parseDocuments(text, { file: '' }).objects.some(({ object }) => isNamed(object))
}

function isDash(line: string | undefined): boolean {
  return /^\s*-\s/.test(line ?? '') || isBareDash(line)
}

function isBareDash(line: string | undefined): boolean {
  return /^\s*-\s*(#.*)?$/.test(line ?? '')
}

function isBlank(line: string | undefined): boolean {
  return /^\s*$/.test(line ?? '')
}

function indentOf(line: string | undefined): number {
  return /^\s*/.exec(line ?? '')?.[0].length ?? 0
}
