/**
 * Small rules that no linter has: file length, globals that must be passed in,
 * and catalogs that list every member of their folder.
 *
 *     node tools/check-files.ts
 */
import { globSync, readFileSync } from 'node:fs'
import { basename, dirname } from 'node:path'

/** Hard limit; the habit is 300. Tests may be longer: a table of cases is data. */
export const MAX_LINES = 500
const MAX_TEST_LINES = 1200

/** Each needs its reason. */
const LONG_FILES: Readonly<Record<string, string>> = {}

/** Where the outside world may be touched directly; everything else gets it passed in. */
const EDGES = [
  /^packages\/base\/src\/clock\.ts$/,
  /^packages\/cli\//,
  /^packages\/[a-z]+\/build\//,
  /^(tools|bench|test|examples)\//,
  /\.(test|bench|fuzz)\.ts$/,
  /conformance\.ts$/,
  // Chooses how the process speaks to the kernel, once, before anything can be passed in.
  /^packages\/net\/src\/pick-transport\.ts$/,
  /^packages\/testkit\//,
]
/** `setTimeout()` without an argument is a method that somebody declares. */
const GLOBALS =
  /(?<![\w.'"`/])(Date\.now\(|Math\.random\(|process\.env\b|set(?:Timeout|Interval)\((?!\)))/

/** What one file does wrong, as sentences. Pure, for the test. */
export function fileProblems(path: string, text: string): string[] {
  const problems: string[] = []
  const lines = text.split('\n')
  const limit = /\.test\.ts$/.test(path) ? MAX_TEST_LINES : MAX_LINES
  if (lines.length > limit && LONG_FILES[path] === undefined) {
    problems.push(`${path} has ${lines.length} lines, more than ${limit}: split it`)
  }
  if (EDGES.some((edge) => edge.test(path))) return problems
  lines.forEach((line, index) => {
    const found = GLOBALS.exec(line.replace(/^\s*(\*|\/\/).*/, ''))
    if (found) {
      problems.push(`${path}:${index + 1} uses ${found[1]}: pass in a clock, random or setting`)
    }
  })
  return problems
}

/** Members of a family's folder that its catalog does not import. Pure, for the test. */
export function catalogProblems(
  catalog: string,
  text: string,
  siblings: readonly string[],
): string[] {
  const listed = new Set([...text.matchAll(/from '\.\/([^']+)'/g)].map((match) => match[1]))
  const exempt = [...text.matchAll(/^\/\/ not a member: (\S+)/gm)].map((match) => match[1])
  return siblings
    .filter((file) => file !== 'catalog.ts' && !/\.(test|bench|fuzz)\.ts$/.test(file))
    .filter((file) => !listed.has(file) && !exempt.includes(file))
    .map((file) => `${catalog} does not list ${file} (or say "// not a member: ${file}")`)
}

if (import.meta.main) {
  const files = globSync('{packages,tools,bench,test,examples}/**/*.ts', {
    exclude: ['**/node_modules/**', '**/gen/**', '**/dist/**'],
  })
  const problems = files.flatMap((path) => {
    const text = readFileSync(path, 'utf8')
    const own = fileProblems(path, text)
    if (basename(path) !== 'catalog.ts') return own
    const siblings = globSync(`${dirname(path)}/*.ts`).map((file) => basename(file))
    return [...own, ...catalogProblems(path, text, siblings)]
  })
  for (const problem of problems) console.error(problem)
  process.exitCode = problems.length === 0 ? 0 : 1
}
