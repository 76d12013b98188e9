/**
 * Holds every package.json to `layers.ts`, and every import of another package
 * to that package.json.
 *
 *     node tools/check-layers.ts
 */
import { globSync, readFileSync } from 'node:fs'
import { mayImport } from './layers.ts'

interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>
  readonly devDependencies?: Readonly<Record<string, string>>
}

/** What one package does that the table forbids, as sentences. Pure, for the test. */
export function layerProblems(
  pkg: string,
  manifest: Manifest,
  sources: ReadonlyMap<string, string>,
): string[] {
  const allowed = mayImport[pkg]
  if (allowed === undefined) return [`packages/${pkg} is not in tools/layers.ts: add its row`]
  const declared = weftNames(manifest.dependencies)
  const problems = declared
    .filter((name) => !allowed.includes(name))
    .map((name) => `packages/${pkg}/package.json depends on @weft/${name}, which its layer may not`)
  for (const [file, text] of sources) {
    const isTest = /\.(test|bench|fuzz)\.ts$|(conformance|-fixture)\.ts$/.test(file)
    const usable = isTest ? [...declared, ...weftNames(manifest.devDependencies)] : declared
    for (const [, name = ''] of text.matchAll(/(?:from|import)\s*\(?\s*'@weft\/([a-z]+)/g)) {
      if (name !== pkg && !usable.includes(name)) {
        problems.push(
          `${file} imports @weft/${name}, which packages/${pkg}/package.json does not declare`,
        )
      }
    }
  }
  return problems
}

function weftNames(dependencies: Readonly<Record<string, string>> = {}): string[] {
  return Object.keys(dependencies)
    .filter((name) => name.startsWith('@weft/'))
    .map((name) => name.slice('@weft/'.length))
}

if (import.meta.main) {
  const problems = globSync('packages/*/package.json').flatMap((path) => {
    const pkg = path.split('/')[1] ?? ''
    const sources = new Map(
      globSync(`packages/${pkg}/{src,bin,build}/**/*.{ts,js,mjs}`, { exclude: ['**/gen/**'] }).map(
        (file) => [file, readFileSync(file, 'utf8')],
      ),
    )
    return layerProblems(pkg, JSON.parse(readFileSync(path, 'utf8')), sources)
  })
  for (const problem of problems) console.error(problem)
  process.exitCode = problems.length === 0 ? 0 : 1
}
