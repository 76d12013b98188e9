/**
 * The program as a few files of plain JavaScript, by esbuild:
 *
 *     src/index.ts and everything it reaches -> index.js, chunks that lazy imports load
 *     lazy-*.js                              -> what synchronous code loads at first need
 *     bookstore/                             -> the demo's applications
 *     notices.txt                            -> licences of the libraries inside
 *
 * Names stay as they are in the sources, so that stack traces can be read.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { cheapBuiltinImports } from './builtin-imports.mjs'
import { lazyName, sourcePlugin } from './source-plugin.mjs'

const PACKAGE = dirname(dirname(fileURLToPath(import.meta.url)))
const ROOT = dirname(dirname(PACKAGE))
const PACKAGES = join(ROOT, 'packages')
/** As sources require them → where they are. */
const LAZY = new Map([
  ['re2js', 're2js'],
  ['../identity/mesh-peers.ts', join(PACKAGES, 'proxy/src/identity/mesh-peers.ts')],
])
const BOOKSTORE = join(PACKAGE, 'demo', 'bookstore')
const SHARED = {
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'node24',
  minifyWhitespace: true,
  minifySyntax: true,
  legalComments: 'none',
  absWorkingDir: ROOT,
  logLevel: 'silent',
  write: false,
}

/**
 * @param esbuild The module: whoever calls knows what to do when it is not installed.
 * @returns Files by their path in the bundle, and the paths of what they were made from.
 */
export async function makeBundle(esbuild) {
  const assets = new Map()
  const entryPoints = [...LAZY].map(([specifier, file]) => ({ in: file, out: lazyName(specifier) }))
  const program = await esbuild.build({
    ...SHARED,
    entryPoints: [{ in: join(PACKAGE, 'src/index.ts'), out: 'index' }, ...entryPoints],
    splitting: true,
    conditions: ['source'],
    // A proxy lives on after its bundle was replaced: nobody else's file may have the name.
    chunkNames: '[name]-[hash]',
    outdir: ROOT,
    metafile: true,
    plugins: [sourcePlugin(LAZY, assets)],
  })
  const bookstore = await esbuild.build({
    ...SHARED,
    entryPoints: readdirSync(BOOKSTORE)
      .filter((name) => name.endsWith('.ts'))
      .map((name) => join(BOOKSTORE, name)),
    outdir: join(ROOT, 'bookstore'),
    metafile: true,
  })
  const files = new Map(assets)
  for (const { path, text } of program.outputFiles) {
    files.set(relative(ROOT, path), cheapBuiltinImports(text))
  }
  for (const { path, contents } of bookstore.outputFiles) files.set(relative(ROOT, path), contents)
  for (const name of readdirSync(join(BOOKSTORE, 'static'))) {
    files.set(`bookstore/static/${name}`, readFileSync(join(BOOKSTORE, 'static', name)))
  }
  const inputs = [
    ...Object.keys(program.metafile.inputs),
    ...Object.keys(bookstore.metafile.inputs),
  ]
  files.set('notices.txt', notices(inputs))
  return { files, inputs: ownInputs(inputs) }
}

/** The libraries are watched as a whole: npm writes its hidden lockfile at every change. */
function ownInputs(inputs) {
  const sources = inputs.filter((path) => path.startsWith('packages/'))
  const manifests = readdirSync(PACKAGES).map((name) => `packages/${name}/package.json`)
  const builders = readdirSync(join(PACKAGE, 'build')).map((name) => `packages/cli/build/${name}`)
  const all = [...sources, ...manifests, ...builders, 'node_modules/.package-lock.json']
  return all.map((path) => relative(PACKAGE, join(ROOT, path))).sort()
}

function notices(inputs) {
  const folders = new Set(
    inputs.flatMap((path) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? []),
  )
  const parts = [...folders].sort().map((folder) => {
    const dir = join(ROOT, folder)
    const { name, version, license } = JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8'))
    const file = readdirSync(dir).find((one) => /^licen[cs]e/i.test(one))
    const path = file === undefined ? undefined : join(dir, file)
    const text = path !== undefined && existsSync(path) ? readFileSync(path, 'utf8').trim() : ''
    return `${name} ${version} (${license})\n\n${text}\n`
  })
  return parts.join(`\n${'-'.repeat(80)}\n\n`)
}
