/**
 * From text to documents: YAML or JSON, any number of documents in one text,
 * `List` kinds unfolded. Every object is judged by itself (schema, formats, CEL
 * rules, unknown fields, the rules of its kind); what is wrong comes back as
 * problems, nothing is thrown.
 */

import type { Document } from './document.ts'
import type { ObjectRef, Problem } from './problem.ts'

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
  void text
  void options
  return { documents: [], objects: [], problems: [], skipped: [] }
}
