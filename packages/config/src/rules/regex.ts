/** Regular expressions: RE2 syntax, which runs in linear time, and a bound on their size. */

import { RE2JS } from 're2js'

/** Istio's bound; Envoy's program for a longer one would exceed its limit. */
const MAX_CHARS = 1024

/** What is wrong with the expression, or nothing. */
export function regexProblem(expression: string): string | undefined {
  if (expression === '') return 'must not be empty; write ".*" to match everything'
  if (expression.length > MAX_CHARS) {
    return `is too long for a regular expression: ${expression.length} characters, at most ${MAX_CHARS}`
  }
  try {
    RE2JS.compile(expression)
    return undefined
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    return `is not a regular expression in RE2 syntax (no look-around, no back-references): ${reason}`
  }
}
