/**
 * Holds the documents to the tree: every relative link resolves, and every
 * source file they name in backticks exists.
 *
 *     node tools/check-docs.ts
 */
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** What a document says that is not so. `exists` is asked about paths from the root. Pure, for the test. */
export function docProblems(
  path: string,
  text: string,
  exists: (path: string) => boolean,
): string[] {
  const prose = text.replace(/^```[\s\S]*?^```/gm, '')
  const links = [...prose.matchAll(/\]\((?![a-z]+:|#)([^)#\s]+)/g)].map((match) => match[1] ?? '')
  const broken = links
    .filter((link) => !exists(join(dirname(path), link)))
    .map((link) => `${path} links to ${link}, which does not exist`)
  const named = [...prose.matchAll(/`([a-z][\w-]*(?:\/[\w.{},-]+)+\.(?:ts|mjs|js|json|md))`/g)]
    .map((match) => match[1] ?? '')
    .filter((name) => !name.includes('{'))
  const missing = named
    .filter(
      (name) =>
        ![
          name,
          join(dirname(path), name),
          join(dirname(path), 'src', name),
          packagePath(name),
        ].some(exists),
    )
    .map((name) => `${path} names ${name}, which does not exist`)
  return [...broken, ...missing]
}

/** `proxy/listen/accept.ts`, as the documents write it, is `packages/proxy/src/listen/accept.ts`. */
function packagePath(name: string): string {
  const slash = name.indexOf('/')
  return `packages/${name.slice(0, slash)}/src${name.slice(slash)}`
}

if (import.meta.main) {
  const documents = globSync('{*.md,docs/**/*.md,packages/*/README.md,examples/**/*.md,bench/*.md}')
  const problems = documents.flatMap((path) =>
    docProblems(path, readFileSync(path, 'utf8'), existsSync),
  )
  for (const problem of problems) console.error(problem)
  process.exitCode = problems.length === 0 ? 0 : 1
}
