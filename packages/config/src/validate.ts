/** One call for commands: parse every file, then look across all of them. */

import { type AnalyzeOptions, analyze } from './analyze/analyze.ts'
import type { Document } from './document.ts'
import { type ParsedObject, parseDocuments, type SkippedObject } from './parse.ts'
import type { Problem } from './problem.ts'

export interface SourceText {
  readonly file: string
  readonly text: string
}

export interface Validation {
  /** No problem of severity `error`. */
  readonly isValid: boolean
  readonly documents: readonly Document[]
  /** With the problems found across objects added to the object they concern. */
  readonly objects: readonly ParsedObject[]
  readonly problems: readonly Problem[]
  readonly skipped: readonly SkippedObject[]
}

export function validateDocuments(
  sources: readonly SourceText[],
  options: AnalyzeOptions & { readonly defaultNamespace?: string } = {},
): Validation {
  const { defaultNamespace = 'default' } = options
  const parsed = sources.map(({ file, text }) => parseDocuments(text, { file, defaultNamespace }))
  const documents = parsed.flatMap((one) => one.documents)
  const across = analyze(documents, options)
  const problems = [...parsed.flatMap((one) => one.problems), ...across]
  return {
    isValid: !problems.some((problem) => problem.severity === 'error'),
    documents,
    objects: parsed.flatMap((one) => one.objects).map((object) => withMore(object, across)),
    problems,
    skipped: parsed.flatMap((one) => one.skipped),
  }
}

function withMore(object: ParsedObject, across: readonly Problem[]): ParsedObject {
  const { document } = object
  if (document === undefined) return object
  const more = across.filter(
    (problem) =>
      problem.file === object.file &&
      problem.object?.kind === object.object.kind &&
      problem.object.apiVersion === object.object.apiVersion &&
      problem.object.namespace === object.object.namespace &&
      problem.object.name === object.object.name,
  )
  return more.length === 0 ? object : { ...object, problems: [...object.problems, ...more] }
}
