/** One call for commands: parse every file, then look across all of them. */

import { type AnalyzeOptions, analyze } from './analyze.ts'
import type { Document } from './document.ts'
import { type ParsedObject, type ParsedText, parseDocuments, type SkippedObject } from './parse.ts'
import type { Problem } from './problem.ts'

export interface SourceText {
  readonly file: string
  readonly text: string
}

export interface Validation {
  readonly isValid: boolean
  readonly documents: readonly Document[]
  readonly objects: readonly ParsedObject[]
  readonly problems: readonly Problem[]
  readonly skipped: readonly SkippedObject[]
}

/** Problems found across objects are added to the object that they concern. */
export function validateDocuments(
  sources: readonly SourceText[],
  options: AnalyzeOptions & { readonly defaultNamespace?: string } = {},
): Validation {
  const { defaultNamespace = 'default' } = options
  const parsed: ParsedText[] = sources.map(({ file, text }) =>
    parseDocuments(text, { file, defaultNamespace }),
  )
  const documents = parsed.flatMap((one) => one.documents)
  const across = analyze(documents, options)
  const problems = [...parsed.flatMap((one) => one.problems), ...across]
  return {
    isValid: !problems.some((problem) => problem.severity === 'error'),
    documents,
    objects: parsed.flatMap((one) => one.objects),
    problems,
    skipped: parsed.flatMap((one) => one.skipped),
  }
}
