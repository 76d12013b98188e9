/**
 * From text to documents: YAML or JSON, any number of documents in one text,
 * `List` kinds unfolded. Every object is judged by itself (schema, formats, CEL
 * rules, unknown fields, the rules of its kind); what is wrong comes back as
 * problems, nothing is thrown.
 */

import type { Document } from './document.ts'
import { judgeObject } from './judge.ts'
import type { ObjectRef, Problem } from './problem.ts'
import { findPlace, itemPath, LineIndex } from './text/places.ts'
import { type RawDocument, readYaml } from './text/read-yaml.ts'

export interface ParseOptions {
  /** Name of the source for messages and origins. */
  readonly file: string
  /** Namespace of namespaced objects that name none. Default `default`. */
  readonly defaultNamespace?: string
}

/** Everything that one text held. */
export interface ParsedText {
  /** The valid objects of kinds we know, in the order of the text. */
  readonly documents: readonly Document[]
  /** Every object of a kind we know, valid or not, with what was found about it. */
  readonly objects: readonly ParsedObject[]
  /** All problems: those of `objects`, and those of the text itself (syntax). */
  readonly problems: readonly Problem[]
  /** Objects of kinds that the mesh does not read. */
  readonly skipped: readonly SkippedObject[]
}

export interface ParsedObject {
  readonly object: ObjectRef
  readonly file: string
  readonly line: number
  /** No problem of severity `error`. */
  readonly isValid: boolean
  readonly problems: readonly Problem[]
  /** Present when valid. */
  readonly document?: Document
}

export interface SkippedObject {
  readonly object: ObjectRef
  readonly file: string
  readonly line: number
  /** Why, for people. */
  readonly note: string
}

export function parseDocuments(text: string, options: ParseOptions): ParsedText {
  const { file, defaultNamespace = 'default' } = options
  const lines = new LineIndex(text)
  const raw = readYaml(text)
  const problems: Problem[] = raw.problems.map(({ offset, path, code, message }) => ({
    file,
    ...lines.positionOf(offset),
    path,
    severity: 'error',
    code,
    message,
  }))
  const objects: ParsedObject[] = []
  const skipped: SkippedObject[] = []
  for (const { value, place } of unfold(raw.documents)) {
    const judged = judgeObject({ value, place, file, lines, defaultNamespace })
    if (judged.kind === 'skipped') skipped.push(judged.skipped)
    else if (judged.kind === 'notAnObject') problems.push(judged.problem)
    else objects.push(judged.object)
  }
  return {
    documents: objects.flatMap(({ document }) => (document === undefined ? [] : [document])),
    objects,
    problems: [...problems, ...objects.flatMap((object) => object.problems)],
    skipped,
  }
}

/** `kind: List` and `kind: ServiceList` hold objects in `items`. */
function unfold(documents: readonly RawDocument[]): readonly RawDocument[] {
  return documents.flatMap(({ value, place }) => {
    if (!isListKind(value)) return [{ value, place }]
    return value.items.map((item, index) => ({
      value: item,
      place: findPlace(place, itemPath('items', index)).place,
    }))
  })
}

function isListKind(value: unknown): value is { items: readonly unknown[] } {
  if (typeof value !== 'object' || value === null) return false
  const { kind, items } = value as Record<string, unknown>
  return typeof kind === 'string' && kind.endsWith('List') && Array.isArray(items)
}
