/**
 * Problems as a terminal shows them:
 *
 *     reviews.yaml:14:9: error: spec.http[0].route[0].wieght: unknown field "wieght"; did you mean "weight"?
 *       14 |         wieght: 90
 *          |         ^
 */

import type { Problem } from './problem.ts'

/** @param texts The sources by file name; without one the excerpt is left out. */
export function renderProblems(
  problems: readonly Problem[],
  texts: ReadonlyMap<string, string>,
): string {
  const lines = new Map<string, readonly string[]>()
  for (const [file, text] of texts) lines.set(file, text.split(/\r\n|\n|\r/))
  return problems
    .toSorted(inReadingOrder)
    .map((problem) => renderHead(problem) + renderExcerpt(problem, lines.get(problem.file)))
    .join('')
}

function inReadingOrder(a: Problem, b: Problem): number {
  if (a.file !== b.file) return a.file < b.file ? -1 : 1
  return a.line - b.line || a.column - b.column
}

function renderHead({ file, line, column, severity, message, alias }: Problem): string {
  const place = [file, ...(line === 0 ? [] : [line]), ...(column === 0 ? [] : [column])].join(':')
  const also = alias === undefined ? '' : ` [${alias}]`
  return `${place}: ${severity}: ${message}${also}\n`
}

/** Terminals wrap what is longer, and the caret would point nowhere. */
const MAX_WIDTH = 160

function renderExcerpt({ line, column }: Problem, lines: readonly string[] | undefined): string {
  const source = lines?.[line - 1]
  if (source === undefined || source.trim() === '') return ''
  const number = String(line)
  // What terminals would act on or give no width is shown as a blank.
  const shown = source.slice(0, MAX_WIDTH).replaceAll(/\p{C}/gu, ' ')
  const excerpt = `  ${number} | ${shown}\n`
  if (column === 0 || column > MAX_WIDTH) return excerpt
  return `${excerpt}  ${' '.repeat(number.length)} | ${' '.repeat(column - 1)}^\n`
}
