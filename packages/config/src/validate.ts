/** One call for commands: parse every file, then look across all of them. */

import { type AnalyzeOptions, analyze } from './analyze/analyze.ts'
import type { Document } from './document.ts'
import { type ParsedObject, parseDocuments, type SkippedObject } from './parse.ts'
import type { ObjectRef, Problem } from './problem.ts'

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
  const acrossByObject = Map.groupBy(across, ({ file, object }) => keyOf(file, object))
  const problems = [...parsed.flatMap((one) => one.problems), ...across]
  return {
    isValid: !problems.some((problem) => problem.severity === 'error'),
    documents,
    objects: parsed
      .flatMap((one) => one.objects)
      .map((one) => withMore(one, acrossByObject.get(keyOf(one.file, one.object)))),
    problems,
    skipped: parsed.flatMap((one) => one.skipped),
  }
}

function keyOf(file: string, object: ObjectRef | undefined): string {
  return JSON.stringify([file, object?.apiVersion, object?.kind, object?.namespace, object?.name])
}

function withMore(object: ParsedObject, more: readonly Problem[] | undefined): ParsedObject {
  if (object.document === undefined || more === undefined) return object
  return { ...object, problems: [...object.problems, ...more] }
}
